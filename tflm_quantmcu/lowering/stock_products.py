"""Stock ops that multiply int8 tensors, neither of which need be constant: matrices, squares of differences, roots.

In: an op of an int8 model. Out: KernelCalls. Refuses, naming the op, what TFLM's kernels do not take.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tflm_quantmcu.graph.types import ModelGraph, Op, Window
from tflm_quantmcu.law.fixed_point import quantize_multiplier
from tflm_quantmcu.law.kernel_calls import (
    Dims,
    FeatureMap,
    KernelCall,
    LutParams,
    Pair,
)
from tflm_quantmcu.law.product_calls import MatMulParams
from tflm_quantmcu.law.roots import reciprocal_root
from tflm_quantmcu.lowering.filters import why_filter_unsupported
from tflm_quantmcu.lowering.ops import LoweredOp
from tflm_quantmcu.lowering.stock_convolutions import rows_of_fully_connected
from tflm_quantmcu.lowering.stock_parts import (
    accepted,
    broadcast_sum,
    constant_input,
    dense_steps,
    io_tensors,
    refuse,
    scale_factor,
    views,
)

_MAX_DEPTH = 1 << 15  # of MatMul
_SQUARE_SHIFT = 7
_NO_BIAS = np.zeros(1, np.int32)


def _fully_connected(graph: ModelGraph, op: Op) -> list[KernelCall]:
    """Rows of constant weights: a convolution of one tap; all others as matrices (law A30)."""
    if why_filter_unsupported(graph, op) is None:
        return [rows_of_fully_connected(graph, op)]
    x, weights, output = io_tensors(graph, op, 2)
    depth, columns = weights.shape[-1], output.shape[-1]
    bias = _NO_BIAS
    if len(op.inputs) > 2 and op.inputs[2] >= 0:
        bias = constant_input(graph, op, 2, "biases").ravel()
        if bias.dtype != np.int32:
            raise refuse(graph, op, "its bias is not int32")
    clamp = LoweredOp("FULLY_CONNECTED", "", (), output.index, Window(), op.activation).clamp_range(output.format)
    steps = views(graph, op, (x.num_elements // depth, columns), (depth, 0), (0, depth))
    return [_mat_mul(graph, op, steps, depth, (1, 1), clamp, bias)]


def _batch_matmul(graph: ModelGraph, op: Op) -> list[KernelCall]:
    """Law A30. Source: TFLM's batch_matmul.cc."""
    x, y, output = io_tensors(graph, op, 2)
    rank = len(output.shape)
    batch = output.shape[:-2]
    shapes, all_steps = [], []
    for tensor, flag in ((x, "adjX"), (y, "adjY")):
        shape = (1,) * (rank - len(tensor.shape)) + tensor.shape
        if any(n not in (1, m) for n, m in zip(shape[:-2], batch, strict=True)):
            raise refuse(graph, op, f"shape {list(tensor.shape)} does not broadcast to {list(output.shape)}")
        order = [*range(rank - 2), *((-1, -2) if op.options.get(flag) else (-2, -1))]
        whole = dense_steps(shape)
        shapes.append([shape[d] for d in order])
        all_steps.append([0 if shape[d] == 1 else whole[d] for d in order])
    (*x_batch, row_step, x_step), (*y_batch, y_step, column_step) = all_steps
    depth = shapes[0][-1]
    if shapes[1][-2] != depth:
        raise refuse(graph, op, f"it multiplies rows of {depth} with columns of {shapes[1][-2]}")
    steps = views(graph, op, output.shape, (*x_batch, row_step, 0), (*y_batch, 0, column_step))
    return [_mat_mul(graph, op, steps, depth, (x_step, y_step), (-128, 127), _NO_BIAS)]


def _mat_mul(
    graph: ModelGraph,
    op: Op,
    steps: Sequence[Dims],
    depth: int,
    depth_steps: Pair,
    clamp: Pair,
    bias: np.ndarray,
) -> KernelCall:
    """The product of the first two inputs; the multiplier is one in float32, as GetQuantizedConvolutionMultipler of
    TFLM's kernel_util.cc takes it."""
    x, y, output = io_tensors(graph, op, 2)
    if depth > _MAX_DEPTH:
        raise refuse(graph, op, f"it adds {depth} products; supported are {_MAX_DEPTH}")
    real = float(np.float32(x.scales[0]) * np.float32(y.scales[0])) / output.scales[0]
    params = MatMulParams(
        extents=steps[0],
        left_steps=steps[1],
        right_steps=steps[2],
        depth=depth,
        left_depth_step=depth_steps[0],
        right_depth_step=depth_steps[1],
        left_zero_point=x.zero_points[0],
        right_zero_point=y.zero_points[0],
        output_zero_point=output.zero_points[0],
        num_biases=bias.size,
        clamp=clamp,
        multiplier=scale_factor(graph, op, real),
    )
    return KernelCall("MatMul", params, (x.index, y.index), output.index, {"Biases": bias})


def _squared_difference(graph: ModelGraph, op: Op) -> list[KernelCall]:
    """Law A31. Source: PrepareQuantized of TFLM's squared_difference.cc."""
    x0, x1, output = io_tensors(graph, op, 2)
    twice_max = 2.0 * max(x0.scales[0], x1.scales[0])
    first, second = (quantize_multiplier(t.scales[0] / twice_max) for t in (x0, x1))
    real = twice_max * twice_max / ((1 << 2 * _SQUARE_SHIFT) * output.scales[0])
    multipliers = first, second, scale_factor(graph, op, real)
    return broadcast_sum(graph, op, "SquaredDifference", multipliers, (-128, 127))


def _reciprocal_root(graph: ModelGraph, op: Op) -> list[KernelCall]:
    """Law A32, by its table."""
    source, output = io_tensors(graph, op, 1)
    table = accepted(graph, op, lambda: reciprocal_root(source.format, output.format))
    maps = [FeatureMap(1, 1, source.num_elements, source.num_elements, 8, t.zero_points[0]) for t in (source, output)]
    params = LutParams(input=maps[0], output=maps[1], pad_top=0, pad_left=0)
    return [KernelCall("Lut", params, (source.index,), output.index, {"Table": table})]


def _divide(graph: ModelGraph, op: Op) -> list[KernelCall]:
    """Source: DivElementwise of TFLM's reference/div.h."""
    raise refuse(
        graph,
        op,
        "its int8 kernel shifts small quotients by more bits than a number has, which cores do differently",
    )


PRODUCTS: Mapping[str, Callable[[ModelGraph, Op], list[KernelCall]]] = {
    "BATCH_MATMUL": _batch_matmul,
    "DIV": _divide,
    "FULLY_CONNECTED": _fully_connected,
    "RSQRT": _reciprocal_root,
    "SQUARED_DIFFERENCE": _squared_difference,
}
