"""Stock ops that keep a state from one inference to the next: SVDF and UNIDIRECTIONAL_SEQUENCE_LSTM (laws A37, A38).

In: an op of an int8 model. Out: KernelCalls, which read and write the state. Refuses, naming the op, what TFLM's
kernels do not take or compute on memory that nobody sets.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tflm_quantmcu.graph.types import ModelGraph, Op, Tensor
from tflm_quantmcu.law.kernel_calls import KernelCall, Pair
from tflm_quantmcu.law.product_calls import LstmParams, SvdfParams
from tflm_quantmcu.law.recurrent import SIGMOID_TABLE
from tflm_quantmcu.lowering.stock_parts import constant_input, io_tensors, refuse, scale_factor

_FEATURE, _TIME, _SVDF_BIAS, _SVDF_STATE = range(1, 5)
# Of an LSTM's inputs, by gate: forget, input, cell, output. Source: lstm_shared.h of TFLM.
_INPUT_WEIGHTS, _HIDDEN_WEIGHTS, _BIASES = (2, 1, 3, 4), (6, 5, 7, 8), (13, 12, 14, 15)
_NOT_TAKEN = (9, 10, 11, 16, 17, 20, 21, 22, 23)  # peepholes, projection, layer normalisation
_HIDDEN, _CELL, _NUM_INPUTS = 18, 19, 24
_TANH = 4  # ActivationFunctionType
_Q12, _Q15 = 2.0**-12, 2.0**-15
_INT16_MAX = (1 << 15) - 1
_TANH_SHIFTS = range(-15, 15)


def _svdf(graph: ModelGraph, op: Op) -> list[KernelCall]:
    """Law A37. Source: PrepareSvdf of TFLM's svdf_common.cc."""
    source, output = io_tensors(graph, op, 1)
    feature, time = (constant_input(graph, op, i, "weights") for i in (_FEATURE, _TIME))
    bias = constant_input(graph, op, _SVDF_BIAS, "biases")
    state = _state(graph, op, _SVDF_STATE, ("int8", "int16"))
    if time.dtype != np.dtype(state.dtype):
        raise refuse(graph, op, f"its weights of time are {time.dtype}, its state {state.dtype}")
    feature_scale, time_scale = (_scale(graph, op, op.inputs[i]) for i in (_FEATURE, _TIME))
    params = SvdfParams(
        batches=source.shape[0],
        depth=source.shape[1],
        filters=len(feature),
        rank=int(op.options["rank"]),
        memory=time.shape[1],
        state_bytes=time.itemsize,
        input_zero_point=source.zero_points[0],
        state_zero_point=state.zero_points[0],
        output_zero_point=output.zero_points[0],
        feature_multiplier=_factor(graph, op, (source.scales[0], feature_scale), state.scales[0]),
        multiplier=_factor(graph, op, (state.scales[0], time_scale), output.scales[0]),
    )
    constants = {"Feature": _bytes(feature), "Time": _bytes(time), "Biases": bias.astype(np.int32)}
    return [KernelCall("Svdf", params, (source.index, state.index), output.index, constants)]


def _lstm(graph: ModelGraph, op: Op) -> list[KernelCall]:
    """Law A38. Source: UnidirectionalSequenceLstmPrepare of TFLM and what it calls."""
    source, output = io_tensors(graph, op, 1)
    if len(op.inputs) != _NUM_INPUTS or any(op.inputs[i] >= 0 for i in _NOT_TAKEN):
        raise refuse(graph, op, "it has peepholes, a projection or a normalisation, which TFLM's kernel refuses")
    if int(op.options.get("fusedActivationFunction", 0)) != _TANH:
        raise refuse(graph, op, "its activation is not tanh, the only one that TFLM's kernel takes")
    hidden, cell = _state(graph, op, _HIDDEN, ("int8",)), _state(graph, op, _CELL, ("int16",))
    units, is_time_major = output.shape[2], bool(op.options.get("timeMajor", 0))
    steps, batches = source.shape[:2] if is_time_major else source.shape[1::-1]
    weights, biases = _weights(graph, op)
    params = LstmParams(
        batches=batches,
        steps=steps,
        depth=source.shape[2],
        units=units,
        **_views(is_time_major, batches, steps, (source.shape[2], units)),
        input_zero_point=source.zero_points[0],
        hidden_zero_point=hidden.zero_points[0],
        gates=_gates(graph, op, source, hidden),
        forget_multiplier=scale_factor(graph, op, _Q15 * cell.scales[0] / cell.scales[0]),
        update_multiplier=scale_factor(graph, op, _Q15 * _Q15 / cell.scales[0]),
        hidden_multiplier=scale_factor(graph, op, _Q15 * _Q15 / hidden.scales[0]),
        tanh_shift=_tanh_shift(graph, op, cell),
        clip=_clip(graph, op, cell),
    )
    constants = {"Weights": _bytes(weights), "Biases": biases, "Sigmoid": SIGMOID_TABLE}
    return [KernelCall("Lstm", params, (source.index, hidden.index, cell.index), output.index, constants)]


def _weights(graph: ModelGraph, op: Op) -> tuple[np.ndarray, np.ndarray]:
    """(int8 [units, gates, depth + units], int32 [units, gates])."""
    of_input, of_hidden, biases = (
        np.stack([constant_input(graph, op, i, "weights or biases") for i in places], axis=1)
        for places in (_INPUT_WEIGHTS, _HIDDEN_WEIGHTS, _BIASES)
    )
    if of_input.dtype != np.int8 or biases.dtype != np.int32:
        raise refuse(graph, op, f"its weights are {of_input.dtype}, its biases {biases.dtype}, not int8 and int32")
    return np.concatenate([of_input, of_hidden], axis=2), biases


def _gates(graph: ModelGraph, op: Op, source: Tensor, hidden: Tensor) -> tuple[tuple[Pair, Pair], ...]:
    return tuple(
        (
            _factor(graph, op, (source.scales[0], _scale(graph, op, op.inputs[i])), _Q12),
            _factor(graph, op, (hidden.scales[0], _scale(graph, op, op.inputs[h])), _Q12),
        )
        for i, h in zip(_INPUT_WEIGHTS, _HIDDEN_WEIGHTS, strict=True)
    )


def _views(is_time_major: bool, batches: int, steps: int, widths: Sequence[int]) -> dict[str, int]:
    """How far batches and steps are apart in the input and the output, `widths` values a step."""
    found = {}
    for name, width in zip(("input", "output"), widths, strict=True):
        found[f"{name}_batch_step"] = width if is_time_major else steps * width
        found[f"{name}_time_step"] = batches * width if is_time_major else width
    return found


def _tanh_shift(graph: ModelGraph, op: Op, cell: Tensor) -> int:
    """How far the cell, whose scale is a power of two, is shifted to Q12."""
    mantissa, exponent = np.frexp(cell.scales[0])
    shift = 12 + int(exponent) - 1
    if mantissa != 1 / 2 or shift not in _TANH_SHIFTS:
        raise refuse(graph, op, f"its cell state has scale {cell.scales[0]:g}; needed is a power of two up to 4")
    return shift


def _clip(graph: ModelGraph, op: Op, cell: Tensor) -> int:
    clip = np.float32(op.options.get("cellClip", 0.0))
    if clip <= 0:
        return 0
    steps = min(int(float(clip) / cell.scales[0]), _INT16_MAX)
    if steps == 0:
        raise refuse(graph, op, f"it clips its cell state at {clip:g}, less than a step of {cell.scales[0]:g}")
    return steps


def _state(graph: ModelGraph, op: Op, place: int, dtypes: Sequence[str]) -> Tensor:
    tensor = graph.tensors[op.inputs[place]]
    if not tensor.is_variable or tensor.dtype not in dtypes or len(tensor.scales) != 1:
        raise refuse(graph, op, f"its state '{tensor.label}' is no variable of {' or '.join(dtypes)} with one scale")
    if tensor.dtype == "int16" and tensor.zero_points[0]:
        raise refuse(graph, op, f"its state '{tensor.label}' of int16 has a zero point")
    return tensor


def _scale(graph: ModelGraph, op: Op, index: int) -> float:
    """The one scale of weights without a zero point."""
    tensor = graph.tensors[index]
    if len(tensor.scales) != 1 or tensor.zero_points[0]:
        raise refuse(graph, op, f"'{tensor.label}' has zero points or a scale a channel")
    return tensor.scales[0]


def _factor(graph: ModelGraph, op: Op, scales: tuple[float, float], divisor: float) -> Pair:
    """The multiplier of a product, whose scales TFLM multiplies and divides in float32."""
    return scale_factor(graph, op, float(np.float32(scales[0]) * np.float32(scales[1]) / np.float32(divisor)))


def _bytes(values: np.ndarray) -> np.ndarray:
    return np.ascontiguousarray(values).view(np.uint8).ravel()


RECURRENT: Mapping[str, Callable[[ModelGraph, Op], list[KernelCall]]] = {
    "SVDF": _svdf,
    "UNIDIRECTIONAL_SEQUENCE_LSTM": _lstm,
}
