"""What all stock ops need to become calls of the portable kernels: their tensors, constants, multipliers and views.

In: an op of an int8 model. Out: parts of KernelCalls. Refuses, naming the op, what is not as the kernels need it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeVar

import numpy as np

from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.graph.layer_names import op_place
from tflm_quantmcu.graph.types import ModelGraph, Op, Tensor
from tflm_quantmcu.law.activations import quantize_factor
from tflm_quantmcu.law.kernel_calls import NUM_DIMS, BroadcastAddParams, Dims, KernelCall, Pair

Made = TypeVar("Made")
_QUANTIZED = ("int8", "uint8")


def refuse(graph: ModelGraph, op: Op, reason: str) -> UnsupportedModelError:
    return UnsupportedModelError(f"{op_place(graph, op)} cannot run on a portable kernel: {reason}")


def io_tensors(graph: ModelGraph, op: Op, num_inputs: int, dtypes: Sequence[str] = ("int8",)) -> list[Tensor]:
    """The first inputs and the output.

    Args:
      graph: the model.
      op: of it.
      num_inputs: that are needed.
      dtypes: that these tensors may have.

    Raises:
      UnsupportedModelError: an input is missing, a tensor has another dtype, or 8 bits without one scale.
    """
    if len(op.inputs) < num_inputs or min(op.inputs[:num_inputs]) < 0:
        raise refuse(graph, op, f"it has {len(op.inputs)} inputs and needs {num_inputs}")
    tensors = [graph.tensors[t] for t in (*op.inputs[:num_inputs], op.outputs[0])]
    for tensor in tensors:
        if tensor.dtype not in dtypes or (tensor.dtype in _QUANTIZED and len(tensor.scales) != 1):
            raise refuse(graph, op, f"'{tensor.label}' is {tensor.dtype}, not {' or '.join(dtypes)} with one scale")
    return tensors


def require_finite(graph: ModelGraph, op: Op, tensors: Sequence[Tensor]) -> None:
    """Refuses float32 constants that emitted code cannot hold."""
    if any(t.data is not None and not np.isfinite(t.data).all() for t in tensors):
        raise refuse(graph, op, "its constant has values that are not finite")


def constant_input(graph: ModelGraph, op: Op, index: int, what: str) -> np.ndarray:
    """The values of a constant input, of the tensor's shape and dtype.

    Args:
      graph: the model.
      op: whose input it is.
      index: among the op's inputs.
      what: they are, in the plural, for the sentence.

    Raises:
      UnsupportedModelError: the input is missing or not constant.
    """
    data = graph.tensors[op.inputs[index]].data if len(op.inputs) > index and op.inputs[index] >= 0 else None
    if data is None:
        raise refuse(graph, op, f"its {what} are not constant")
    return data


def scale_factor(graph: ModelGraph, op: Op, real: float) -> Pair:
    return accepted(graph, op, lambda: quantize_factor(real))


def accepted(graph: ModelGraph, op: Op, make: Callable[[], Made]) -> Made:
    """What `make` gives; a ValueError of it refuses the op."""
    try:
        return make()
    except ValueError as error:
        raise refuse(graph, op, str(error)) from None


def dense_steps(shape: Sequence[int]) -> Dims:
    """Distance of neighbours along each dimension of a dense tensor, in values."""
    return tuple(math.prod(shape[d + 1 :]) for d in range(len(shape)))


def views(graph: ModelGraph, op: Op, extents: Sequence[int], *steps: Sequence[int]) -> tuple[Dims, ...]:
    """(extents, steps...) with `NUM_DIMS` dimensions: those of 1 are left out, neighbours merged where all allow it."""
    if any(len(step) != len(extents) for step in steps):
        raise refuse(graph, op, "its tensors differ in rank")
    merged: list[list[int]] = []
    for extent, *step in zip(extents, *steps, strict=True):
        if extent == 1:
            continue
        if merged and all(outer == inner * extent for outer, inner in zip(merged[-1][1:], step, strict=True)):
            merged[-1] = [merged[-1][0] * extent, *step]
        else:
            merged.append([extent, *step])
    if len(merged) > NUM_DIMS:
        raise refuse(graph, op, f"it moves along {len(merged)} dimensions; supported are {NUM_DIMS}")
    empty = [[1, *[0] * len(steps)]] * (NUM_DIMS - len(merged))
    return tuple(zip(*empty, *merged, strict=True))


def broadcast(graph: ModelGraph, op: Op, inputs: Sequence[Tensor], output: Tensor) -> tuple[Dims, ...]:
    """(extents, steps of each input) of an elementwise op.

    Args:
      graph: the model.
      op: of it.
      inputs, output: its tensors.

    Raises:
      UnsupportedModelError: an input does not broadcast to the output, or there are more dimensions than `views` takes.
    """
    rank = len(output.shape)
    steps = []
    for tensor in inputs:
        shape = (1,) * (rank - len(tensor.shape)) + tensor.shape
        if len(shape) != rank or any(n not in (1, m) for n, m in zip(shape, output.shape, strict=True)):
            raise refuse(graph, op, f"shape {list(tensor.shape)} does not broadcast to {list(output.shape)}")
        steps.append(tuple(0 if n == 1 else step for n, step in zip(shape, dense_steps(shape), strict=True)))
    return views(graph, op, output.shape, *steps)


def broadcast_sum(
    graph: ModelGraph, op: Op, kernel: str, multipliers: tuple[Pair, Pair, Pair], clamp: Pair
) -> list[KernelCall]:
    """The call of a kernel that adds or subtracts two maps (law A4), or squares their difference (A31).

    Args:
      graph: the model.
      op: of it.
      kernel: BroadcastAdd, BroadcastSub or SquaredDifference.
      multipliers: of the first input, the second and the output.
      clamp: of the output.
    """
    x0, x1, output = io_tensors(graph, op, 2)
    extents, steps0, steps1 = broadcast(graph, op, (x0, x1), output)
    params = BroadcastAddParams(
        extents=extents,
        input0_steps=steps0,
        input1_steps=steps1,
        input0_zero_point=x0.zero_points[0],
        input1_zero_point=x1.zero_points[0],
        output_zero_point=output.zero_points[0],
        clamp=clamp,
        multipliers=multipliers,
    )
    return [KernelCall(kernel, params, (x0.index, x1.index), output.index)]
