"""Stock ops of the rows of an int8 map: softmax, its logarithm, normalisation to length 1 (laws A14, A35, A36).

In: an op of an int8 model. Out: KernelCalls. Refuses, naming the op, formats that TFLM's kernels do not take.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from tflm_quantmcu.graph.types import ModelGraph, Op, Tensor
from tflm_quantmcu.law.activations import MAX_SHIFT, radius
from tflm_quantmcu.law.fixed_point import quantize_multiplier
from tflm_quantmcu.law.kernel_calls import KernelCall, Pair, SoftmaxParams
from tflm_quantmcu.law.product_calls import L2NormalizationParams, LogSoftmaxParams
from tflm_quantmcu.lowering.stock_parts import io_tensors, refuse

_INPUT_BITS = 5
_MAX_SOFTMAX_DEPTH = 4095
_MAX_LENGTH_DEPTH = ((1 << 31) - 1) // (255 * 255)


def _softmax(graph: ModelGraph, op: Op) -> list[KernelCall]:
    """Law A14. Source: PreprocessSoftmaxScaling and CalculateInputRadius of TFLM's quantization_util.cc."""
    source, output = io_tensors(graph, op, 1)
    _require(graph, op, source, output, (1 / 256, -128))
    multiplier, shift = _input_factor(graph, op, source, op.beta)
    depth = source.shape[-1]
    # At shift 31 the radius is 0: only the largest value itself counts, and 0 is 0 at any shift.
    params = SoftmaxParams(
        source.num_elements // depth, depth, -radius(_INPUT_BITS, shift), (multiplier, min(shift, MAX_SHIFT))
    )
    return [KernelCall("Softmax", params, (source.index,), output.index)]


def _log_softmax(graph: ModelGraph, op: Op) -> list[KernelCall]:
    """Law A36. Source: CalculateOpData of TFLM's log_softmax.cc and PreprocessLogSoftmaxScalingExp."""
    source, output = io_tensors(graph, op, 1)
    _require(graph, op, source, output, (1 / 16, 127))
    multiplier, shift = _input_factor(graph, op, source, 1.0)
    divisor = 2.0 ** (31 - shift) / multiplier
    if not (shift > 0 and divisor < 1):
        raise refuse(graph, op, f"its input's scale {source.scales[0]:g} is too small for TFLM's kernel")
    depth = source.shape[-1]
    params = LogSoftmaxParams(
        source.num_elements // depth,
        depth,
        -radius(_INPUT_BITS, shift),
        (multiplier, min(shift, MAX_SHIFT)),
        quantize_multiplier(divisor),
    )
    return [KernelCall("LogSoftmax", params, (source.index,), output.index)]


def _require(graph: ModelGraph, op: Op, source: Tensor, output: Tensor, format: tuple[float, int]) -> None:
    found, depth = (output.scales[0], output.zero_points[0]), source.shape[-1]
    if found != format or depth > _MAX_SOFTMAX_DEPTH:
        raise refuse(
            graph,
            op,
            f"its output has scale {found[0]:g}, zero point {found[1]} and rows of {depth}; TFLM's kernel gives scale "
            f"1/{1 / format[0]:g}, zero point {format[1]}, and its sum holds rows up to {_MAX_SOFTMAX_DEPTH}",
        )


def _input_factor(graph: ModelGraph, op: Op, source: Tensor, beta: float) -> Pair:
    real = min(beta * source.scales[0] * 2.0 ** (31 - _INPUT_BITS), 2.0**31 - 1)
    if not real > 1:
        raise refuse(graph, op, f"its input's scale {source.scales[0]:g} is too small for TFLM's kernel")
    return quantize_multiplier(real)


def _l2_normalization(graph: ModelGraph, op: Op) -> list[KernelCall]:
    """Law A35: TFLM's kernel takes its output's format to be 1/128 and 0, whatever it is."""
    source, output = io_tensors(graph, op, 1)
    depth = source.shape[-1]
    if op.activation != "NONE" or depth > _MAX_LENGTH_DEPTH:
        raise refuse(graph, op, f"it has an activation, or rows of more than {_MAX_LENGTH_DEPTH} values")
    params = L2NormalizationParams(source.num_elements // depth, depth, source.zero_points[0])
    return [KernelCall("L2Normalization", params, (source.index,), output.index)]


ROWS: Mapping[str, Callable[[ModelGraph, Op], list[KernelCall]]] = {
    "L2_NORMALIZATION": _l2_normalization,
    "LOG_SOFTMAX": _log_softmax,
    "SOFTMAX": _softmax,
}
