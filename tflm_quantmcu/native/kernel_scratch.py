"""How much scratch the kernels of a core ask for, and which calls they take: what they say of themselves on the host.

In: a variant of the kernels and their params. Out: bytes. The op library answers
(tflm_kernels/micro/python/scratch.cc), so that nothing of the kernels is known twice.
"""

from __future__ import annotations

import contextlib
import ctypes
import dataclasses
import functools
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tflm_quantmcu.graph.op_kinds import OP_KINDS
from tflm_quantmcu.graph.target import DSP, MVE, PLAIN, REFERENCE
from tflm_quantmcu.law.kernel_calls import Conv2DParams, DepthwiseConv2DParams, FeatureMap
from tflm_quantmcu.law.packing import run_bytes
from tflm_quantmcu.native.exclusive import changed
from tflm_quantmcu.native.op_library import find_op_library, open_op_library
from tflm_quantmcu.placement.memory import align
from tflm_quantmcu.stage.geometry import StageOp
from tflm_quantmcu.stage.layout import SCRATCH_ALIGNMENT
from tflm_quantmcu.stage.program import StageProgram

_NUMBERS: Mapping[str, int] = {REFERENCE: 0, DSP: 1, MVE: 2, PLAIN: 3}
# Those that a variant has for each pair of widths apart (tflm_kernels/portable/ops/widths.h).
_OF_WIDTHS = dict.fromkeys((PLAIN, DSP), ("Conv2D", "DepthwiseConv2D", "FullyConnected", "Add"))
# Kernel -> those of a variant that need no seldom path, the least code first.
_LEAST: Mapping[str, Mapping[str, tuple[str, ...]]] = {
    DSP: {"Conv2D": ("Conv2DRegular",), "DepthwiseConv2D": ("DepthwiseConv2DRegular", "DepthwiseConv2DWhole")}
}
_KERNELS = tuple(kind.kernel for kind in OP_KINDS.values() if kind.takes_scratch)


@functools.lru_cache(maxsize=1 << 16)  # the planner asks for the same calls again and again
def kernel_scratch_bytes(variant: str, kernel: str, params: Any) -> int:
    """The scratch of one call; 0 for kernels that take none.

    Args:
      variant: one of KERNEL_VARIANTS.
      kernel: name of the C++ function.
      params: its params, as law/kernel_calls.py has them.

    Raises:
      UsageError: the op library is missing.
    """
    if variant == REFERENCE or kernel not in _KERNELS:
        return 0
    words = np.array(list(_flattened(params)), np.int32)
    return int(_function(f"QuantMcu{kernel}ScratchBytes")(_NUMBERS[variant], words.ctypes.data))


def has_widths(variant: str, kernel: str) -> bool:
    """Whether a project may link a variant's kernel for the widths alone that a model runs."""
    return kernel in _OF_WIDTHS.get(variant, ())


@functools.lru_cache(maxsize=1 << 16)
def is_fast(variant: str, kernel: str, params: Any) -> bool:
    """Whether a variant's kernel for the widths of a call takes it; if not, the reference does.

    Raises:
      UsageError: the op library is missing.
    """
    words = np.array(list(_flattened(params)), np.int32)
    return bool(_function(f"QuantMcuIs{kernel}Fast", ctypes.c_int32)(_NUMBERS[variant], words.ctypes.data))


def least_kernels(variant: str, kernel: str) -> tuple[str, ...]:
    """Names of a variant's kernels of 8 bits that need no seldom path, the least code first."""
    return _LEAST.get(variant, {}).get(kernel, ())


def may_run_on(variant: str, least: str, params: Any, factors: np.ndarray) -> bool:
    """Whether a call may run on a kernel of `least_kernels`.

    Args:
      variant: one of KERNEL_VARIANTS.
      least: name of the C++ function.
      params: of the call.
      factors: int32 [2, output channels], multipliers and shifts.

    Raises:
      UsageError: the op library is missing.
    """
    words = np.array(list(_flattened(params)), np.int32)
    table = np.ascontiguousarray(factors, np.int32)
    function = _function(f"QuantMcuIs{least}", ctypes.c_int32, 2)
    return bool(function(_NUMBERS[variant], words.ctypes.data, table.ctypes.data))


@functools.lru_cache(maxsize=256)
def stage_scratch_bytes(variant: str, program: StageProgram) -> int:
    """The scratch of a patch stage: its maps, and behind them what the largest call takes.

    Raises:
      UsageError: the op library is missing.
    """
    if variant == REFERENCE:
        return program.scratch_bytes
    _, _, words = program.encode()
    header = np.array(program.header_words, np.int32)
    function = _function("QuantMcuStageScratchBytes", num_pointers=2)
    return int(function(_NUMBERS[variant], header.ctypes.data, words.ctypes.data))


def behind_maps(map_bytes: int, kernel_bytes: int) -> int:
    """Scratch of a stage whose maps take so much, and its largest call so much."""
    return align(map_bytes, SCRATCH_ALIGNMENT) + kernel_bytes if kernel_bytes else map_bytes


def stage_kernel_bytes(
    variants: Iterable[str],
    ops: Iterable[StageOp],
    shapes: Sequence[tuple[int, int, int]],
    spans: tuple[np.ndarray, np.ndarray],
    bits: Sequence[int],
) -> tuple[int, ...]:
    """The most that a call of a stage takes, in tiles of one class, before the stage is built.

    Args:
      variants: of the kernels.
      ops: of the stage; filters do not count.
      shapes: [map] (height, width, channels).
      spans: int64 [tiles, maps, 3] along both axes, pixels (`StageGeometry.spans`).
      bits: [map] widths.

    Returns:
      Bytes, [variant].
    """
    calls = [
        (kernel, call) for op in ops if (kernel := op.traits.stage_scratch) for call in _calls(op, shapes, spans, bits)
    ]
    return tuple(
        max((kernel_scratch_bytes(variant, kernel, call) for kernel, call in calls), default=0) for variant in variants
    )


def _calls(
    op: StageOp, shapes: Sequence[tuple[int, int, int]], spans: tuple[np.ndarray, np.ndarray], bits: Sequence[int]
) -> list[Any]:
    """The params of an op's calls that differ, in tiles of one class."""
    rows = _extents(spans[0], op, op.window.stride_height, op.window.pad_top)
    cols = _extents(spans[1], op, op.window.stride_width, op.window.pad_left)
    pairs = itertools.product(dict.fromkeys(rows), dict.fromkeys(cols))
    return [_stage_call(op, shapes, bits, row, col) for row, col in pairs if row[1] and col[1]]


def least_kernel_bytes(variant: str, op: StageOp, shapes: Sequence[tuple[int, int, int]], bits: Sequence[int]) -> int:
    """What an op of a stage takes whatever its tiles are.

    Args:
      variant: of the kernels.
      op: of the stage; its filter does not count.
      shapes: [map] (height, width, channels).
      bits: [map] widths.
    """
    kernel = op.traits.stage_scratch
    if variant == REFERENCE or not kernel:
        return 0
    return kernel_scratch_bytes(variant, kernel, _stage_call(op, shapes, bits, (1, 1, 0), (1, 1, 0)))


# (pixels that a call reads, pixels that it writes, padding before them) along one axis.
_Extent = tuple[int, int, int]


def _extents(spans: np.ndarray, op: StageOp, stride: int, pad: int) -> list[_Extent]:
    """[tile]"""
    begin, _, end = spans[:, op.inputs[0]].T
    _, fresh, written = spans[:, op.output].T
    extents = np.stack([end - begin, written - fresh, pad + begin - fresh * stride], axis=-1)
    return [(read, computed, before) for read, computed, before in extents.tolist()]


def _stage_call(
    op: StageOp, shapes: Sequence[tuple[int, int, int]], bits: Sequence[int], row: _Extent, col: _Extent
) -> Any:
    """The params of a convolution over one tile; zero points and clamps do not count."""
    (source, output) = (
        FeatureMap(row[side], col[side], shapes[m][2], col[side] * run_bytes(shapes[m][2], bits[m]), bits[m], 0)
        for side, m in enumerate((op.inputs[0], op.output))
    )
    window = dataclasses.replace(op.window, pad_top=row[2], pad_left=col[2])
    if op.traits.is_depthwise:
        return DepthwiseConv2DParams(source, output, window, (0, 0), op.weight_bits, op.depth_multiplier)
    return Conv2DParams(source, output, window, (0, 0), op.weight_bits)


def variant_number(variant: str) -> int:
    """The op library's number of a variant."""
    return _NUMBERS[variant]


@contextlib.contextmanager
def asked_as(variant: str) -> Iterator[None]:
    """While it lasts, our ops ask TFLM on the host for the scratch that this variant takes; they compute all the same.

    Other threads wait: TFLM's Python interpreter has no place for it but the library itself.

    Raises:
      UsageError: the op library is missing.
    """
    if variant == REFERENCE:
        yield
        return
    set_variant = open_op_library(find_op_library()).QuantMcuSetScratchVariant
    with changed(lambda: set_variant(_NUMBERS[REFERENCE])):
        set_variant(_NUMBERS[variant])
        yield


@functools.cache  # a process has one library
def _function(name: str, result: Any = ctypes.c_int64, num_pointers: int = 1) -> Any:
    function = getattr(open_op_library(find_op_library()), name)
    function.argtypes = [ctypes.c_int32] + [ctypes.c_void_p] * num_pointers
    function.restype = result
    return function


def _flattened(params: Any) -> Iterator[int]:
    """The int32 words of a C++ struct: its fields in order."""
    # Thousands are asked for, and `is_dataclass` and `fields` take longer.
    if names := getattr(params, "__dataclass_fields__", ()):
        params = [getattr(params, name) for name in names]
    if isinstance(params, (list, tuple)):
        for item in params:
            yield from _flattened(item)
    else:
        yield int(params)
