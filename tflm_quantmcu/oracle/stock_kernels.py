"""The numpy oracle of the ops of stock TFLM that no QMCU_ op replaces: laws A10 to A36, written from the law alone.

In: an op of a ModelGraph and its inputs [N, ...]. Out: the values that TFLM's reference kernels give, or None for what
is not here.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.graph.types import ModelGraph, Op
from tflm_quantmcu.law.activations import (
    divide_by_power,
    exp_of_negative,
    hard_swish,
    logistic,
    product,
    reciprocal_of_one_plus,
    saturate,
)
from tflm_quantmcu.law.fixed_point import multiply, round_half_away, to_int32
from tflm_quantmcu.law.kernel_calls import (
    BroadcastAddParams,
    BroadcastPreluParams,
    ComparisonParams,
    FillParams,
    HardSwishParams,
    LogisticParams,
    LutParams,
    MeanParams,
    MulParams,
    Pair,
    QuantizeParams,
    ReductionParams,
    RequantizeBytesParams,
    ResizeBilinearParams,
    SoftmaxParams,
    StridedCopyParams,
)
from tflm_quantmcu.law.moves import resize_bilinear
from tflm_quantmcu.lowering.images import one_image
from tflm_quantmcu.lowering.stock_ops import stock_calls
from tflm_quantmcu.oracle.stock_products import PRODUCTS, offsets
from tflm_quantmcu.oracle.stock_relations import RELATIONS
from tflm_quantmcu.stage.program import StageFormat

_INT8: Pair = (-128, 127)
# Beyond every 8-bit range: steps are clamped here before they are rounded.
_MAX_STEPS = 1024.0


def run(graph: ModelGraph, op: Op, known: Mapping[int, np.ndarray]) -> np.ndarray | None:
    """Runs one op.

    Args:
      graph: the model.
      op: what `stock_ops` knows; any other is not known here either.
      known: tensor index -> values [N, ...] of the op's feature maps, of their tensors' dtypes.

    Returns:
      The output's values [N, ...] in any shape, of its dtype, or None if the op, its types or its shapes are not known.
    """
    if not is_known(graph, op):
        return None
    output = graph.tensors[op.outputs[0]]
    first = known[graph.feature_maps(op)[0]]
    if op.traits.is_reshape:
        return first
    y = np.empty((len(first), output.num_elements), output.dtype)
    for call in stock_calls(graph, op):
        if call.output != output.index:
            continue  # of several outputs only the first is known
        inputs = [_flat(graph, known, t) for t in call.inputs]
        inputs += [values[None] for values in call.constants.values()]
        made = y
        if call.kernel == "StridedCopy":  # of bytes, whatever they are
            inputs, made = [np.ascontiguousarray(x).view(np.uint8) for x in inputs], y.view(np.uint8)
        for i, offset in enumerate(call.input_offsets):
            inputs[i] = np.roll(inputs[i], -offset, axis=1)  # steps may lead back
        _KERNELS[call.kernel](call.params, inputs, made[:, call.output_offset :])
    return y


def is_known(graph: ModelGraph, op: Op) -> bool:
    """Whether `run` gives values: not of what keeps a state, which depends on what came before."""
    if not graph.feature_maps(op) or one_image(graph, op) is not None:
        return False
    if any(graph.tensors[t].is_variable for t in graph.feature_maps(op)):
        return False
    try:
        stock_calls(graph, op)
    except UnsupportedModelError:
        return False
    return True


def _flat(graph: ModelGraph, known: Mapping[int, np.ndarray], index: int) -> np.ndarray:
    """[N, values], or [1, values] of a constant."""
    data = graph.tensors[index].data
    return known[index].reshape(len(known[index]), -1) if data is None else data.reshape(1, -1)


def _strided_copy(params: StridedCopyParams, inputs: Sequence[np.ndarray], y: np.ndarray) -> None:
    y[:, offsets(params.extents, params.output_steps)] = inputs[0][:, offsets(params.extents, params.input_steps)]


def _fill(params: FillParams, inputs: Sequence[np.ndarray], y: np.ndarray) -> None:
    del inputs
    y[:] = params.value


def _mean(params: MeanParams, inputs: Sequence[np.ndarray], y: np.ndarray) -> None:
    kept, reduced = offsets(params.kept, params.kept_steps), offsets(params.reduced, params.reduced_steps)
    steps = inputs[0].astype(np.int64) - params.input_zero_point
    total = sum(steps[:, kept + offset] for offset in reduced)
    y[:] = saturate(multiply(total, *params.multiplier).astype(np.int64) + params.output_zero_point, _INT8)


def _mul(params: MulParams, inputs: Sequence[np.ndarray], y: np.ndarray) -> None:
    x0, x1 = _operands(params, inputs)
    scaled = multiply(x0 * x1, *params.multiplier).astype(np.int64)
    y[:] = saturate(to_int32(scaled + params.output_zero_point), params.clamp)


def _broadcast_add(params: BroadcastAddParams, inputs: Sequence[np.ndarray], y: np.ndarray) -> None:
    operands = zip(_operands(params, inputs), params.multipliers, strict=False)
    total = sum(multiply(x << 20, *factor).astype(np.int64) for x, factor in operands)
    scaled = multiply(total, *params.multipliers[2]).astype(np.int64)
    y[:] = saturate(to_int32(scaled + params.output_zero_point), params.clamp)


def _broadcast_sub(params: BroadcastAddParams, inputs: Sequence[np.ndarray], y: np.ndarray) -> None:
    first, second = (
        multiply(x << 20, *factor).astype(np.int64)
        for x, factor in zip(_operands(params, inputs), params.multipliers, strict=False)
    )
    scaled = multiply(first - second, *params.multipliers[2]).astype(np.int64)
    y[:] = saturate(to_int32(scaled + params.output_zero_point), params.clamp)


def _compared(params: ComparisonParams, inputs: Sequence[np.ndarray], y: np.ndarray, choose: np.ufunc) -> None:
    steps = (params.input0_steps, params.input1_steps)
    y[:] = choose(*(x[:, offsets(params.extents, step)] for x, step in zip(inputs, steps, strict=True)))


def _reduction(
    params: ReductionParams, inputs: Sequence[np.ndarray], y: np.ndarray, reduce: Callable[..., np.ndarray]
) -> None:
    kept, reduced = offsets(params.kept, params.kept_steps), offsets(params.reduced, params.reduced_steps)
    y[:] = reduce(inputs[0][:, kept[:, None] + reduced], axis=2)


def _broadcast_prelu(params: BroadcastPreluParams, inputs: Sequence[np.ndarray], y: np.ndarray) -> None:
    x = inputs[0][:, offsets(params.extents, params.input_steps)].astype(np.int64) - params.input_zero_point
    slope = inputs[1][:, offsets(params.extents, params.slope_steps)].astype(np.int64) - params.slope_zero_point
    above, below = (
        multiply(v, *factor).astype(np.int64) for v, factor in ((x, params.identity), (x * slope, params.negative))
    )
    y[:] = saturate(to_int32(np.where(x >= 0, above, below) + params.output_zero_point), _INT8)


def _resize_bilinear(params: ResizeBilinearParams, inputs: Sequence[np.ndarray], y: np.ndarray) -> None:
    source, output = params.input, params.output
    x = inputs[0].reshape(-1, source.height, source.width, source.channels)
    rows, columns = (
        np.arange(count) * axis.step + axis.first
        for count, axis in ((output.height, params.rows), (output.width, params.columns))
    )
    table = np.array(params.multiplier, np.int32)
    found = resize_bilinear(x, table, positions=(rows, columns), zero_in=0, output=StageFormat(8, 0, *params.clamp))
    y[:] = found.reshape(y.shape)


def _operands(params: MulParams | BroadcastAddParams, inputs: Sequence[np.ndarray]) -> list[np.ndarray]:
    steps = (params.input0_steps, params.input1_steps)
    zeros = (params.input0_zero_point, params.input1_zero_point)
    return [
        x[:, offsets(params.extents, step)].astype(np.int64) - zero
        for x, step, zero in zip(inputs, steps, zeros, strict=True)
    ]


def _softmax(params: SoftmaxParams, inputs: Sequence[np.ndarray], y: np.ndarray) -> None:
    x = inputs[0].reshape(-1, params.depth).astype(np.int64)
    difference = x - x.max(axis=1, keepdims=True)
    scaled = multiply(difference, *params.multiplier).astype(np.int64)
    exps = np.where(difference >= params.smallest_difference, exp_of_negative(scaled, 5), 0)
    total = divide_by_power(exps, 12).sum(axis=1, keepdims=True)
    headroom = 32 - np.frexp(total.astype(np.float64))[1].astype(np.int64)
    reciprocal = reciprocal_of_one_plus((total << headroom) - (1 << 31))
    share = divide_by_power(product(reciprocal, exps), 12 - headroom + 31 - 8)
    y[:] = saturate(share - 128, _INT8).reshape(y.shape)


def _logistic(params: LogisticParams, inputs: Sequence[np.ndarray], y: np.ndarray) -> None:
    y[:] = logistic(params, inputs[0].astype(np.int64))


def _hard_swish(params: HardSwishParams, inputs: Sequence[np.ndarray], y: np.ndarray) -> None:
    y[:] = hard_swish(params, inputs[0].astype(np.int64))


def _lut(params: LutParams, inputs: Sequence[np.ndarray], y: np.ndarray) -> None:
    x, table = inputs
    assert not params.channel_step
    y[:] = table[0][x.astype(np.int64) + (1 << (params.input.bits - 1))]


def _quantize(params: QuantizeParams, inputs: Sequence[np.ndarray], y: np.ndarray) -> None:
    with np.errstate(over="ignore"):
        steps = np.clip(inputs[0] / np.float32(params.scale), -_MAX_STEPS, _MAX_STEPS)
    y[:] = np.where(np.isnan(steps), -128, saturate(round_half_away(steps) + params.zero_point, _INT8))


def _dequantize(params: QuantizeParams, inputs: Sequence[np.ndarray], y: np.ndarray) -> None:
    y[:] = (inputs[0].astype(np.float32) - np.float32(params.zero_point)) * np.float32(params.scale)


def _requantize_bytes(params: RequantizeBytesParams, inputs: Sequence[np.ndarray], y: np.ndarray) -> None:
    scaled = multiply(inputs[0].astype(np.int64) - params.input_zero_point, *params.multiplier)
    y[:] = saturate(to_int32(scaled.astype(np.int64) + params.output_zero_point), params.clamp)


_KERNELS: Mapping[str, Callable[..., None]] = {
    **PRODUCTS,
    **RELATIONS,
    "BroadcastAdd": _broadcast_add,
    "Dequantize": _dequantize,
    "Fill": _fill,
    "HardSwish": _hard_swish,
    "Logistic": _logistic,
    "ArgMax": functools.partial(_reduction, reduce=np.argmax),
    "ArgMin": functools.partial(_reduction, reduce=np.argmin),
    "BroadcastPrelu": _broadcast_prelu,
    "BroadcastSub": _broadcast_sub,
    "Lut": _lut,
    "Maximum": functools.partial(_compared, choose=np.maximum),
    "Minimum": functools.partial(_compared, choose=np.minimum),
    "ReduceMax": functools.partial(_reduction, reduce=np.max),
    "ReduceMin": functools.partial(_reduction, reduce=np.min),
    "ResizeBilinear": _resize_bilinear,
    "Mean": _mean,
    "Mul": _mul,
    "Quantize": _quantize,
    "RequantizeBytes": _requantize_bytes,
    "Softmax": _softmax,
    "StridedCopy": _strided_copy,
}
