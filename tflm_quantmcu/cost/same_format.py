"""Which calls move values as they are, between equal formats: kernels copy then, and tables have rows of their own.

In: a kernel's name as tables have it, and its formats. Out: the name under which the call was measured.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from tflm_quantmcu.cost.shapes import SAME_FORMAT
from tflm_quantmcu.graph.types import ModelGraph
from tflm_quantmcu.lowering.ops import LoweredOp
from tflm_quantmcu.stage.program import StageProgram

_COPYING = frozenset({"requantize"})
_FACTOR_OF_1 = (1 << 30, 1)  # as multiplier and shift


class _MapFormat(Protocol):
    @property
    def bits(self) -> int: ...

    @property
    def zero_point(self) -> int: ...


def measured_kernel_of_options(kernel: str, options: Mapping[str, Any]) -> str:
    """The name for an op of ours, by its options (docs/format.md F3)."""
    if kernel not in _COPYING:
        return kernel
    stays = options["input_bits"] == options["output_bits"]
    stays &= options["input_zero_point"] == options["output_zero_point"]
    stays &= (options["multiplier"], options["shift"]) == _FACTOR_OF_1
    return _name(kernel, stays and _is_all(options["output_bits"], options["clamp_min"], options["clamp_max"]))


def measured_kernel_of_stage_op(program: StageProgram, index: int, patch_class: int) -> str:
    """The name for an op of a stage in a class of patches."""
    op = program.ops[index]
    kernel, *_ = op.traits.stage_kernels
    if kernel not in _COPYING:
        return kernel
    source, target = (program.formats[patch_class][m] for m in (op.inputs[0], op.output))
    stays = _is_equal(source, target) and tuple(program.tables[patch_class][index].tolist()) == _FACTOR_OF_1
    return _name(kernel, stays and _is_all(target.bits, target.clamp_min, target.clamp_max))


def measured_kernel_of_lowered(graph: ModelGraph, op: LoweredOp) -> str:
    """The name for an op that a stage is to hold, by the model's own formats."""
    kernel, *_ = op.traits.stage_kernels
    if kernel not in _COPYING:
        return kernel
    source, target = (graph.tensors[t].format for t in (op.inputs[0], op.output))
    stays = _is_equal(source, target) and tuple(op.requantization_table([source], target).tolist()) == _FACTOR_OF_1
    return _name(kernel, stays and _is_all(target.bits, *op.clamp_range(target)))


def _is_equal(source: _MapFormat, target: _MapFormat) -> bool:
    return (source.bits, source.zero_point) == (target.bits, target.zero_point)


def _is_all(bits: int, clamp_min: int, clamp_max: int) -> bool:
    """Whether clamps leave all values of a width."""
    return clamp_min <= -(1 << bits - 1) and clamp_max >= (1 << bits - 1) - 1


def _name(kernel: str, stays: bool) -> str:
    return kernel + SAME_FORMAT if stays else kernel
