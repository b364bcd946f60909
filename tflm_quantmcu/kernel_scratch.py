"""How much scratch the kernels of a core ask for: <Op>ScratchBytes of tflm_kernels/cortex_m, computed ahead of time.

In: a variant of the kernels and their params. Out: bytes. Emitted code holds the same figures against the C++ functions
(IsPlanRight), so that a difference between the two shows in the first run of its test.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tflm_quantmcu.kernel_calls import Conv2DParams, DepthwiseConv2DParams, FeatureMap, FullyConnectedParams
from tflm_quantmcu.memory import align
from tflm_quantmcu.packing import run_bytes
from tflm_quantmcu.stage_geometry import StageOp
from tflm_quantmcu.stage_layout import SCRATCH_ALIGNMENT
from tflm_quantmcu.stage_program import StageProgram

KERNEL_VARIANTS = REFERENCE, DSP, MVE = "reference", "dsp", "mve"
# Which kernels run on each core of third_party/arm_none_eabi/cores.bzl.
VARIANTS = {"host": REFERENCE, "m0plus": REFERENCE, "m3": REFERENCE, "m4": DSP, "m7": DSP, "m33": DSP, "m55": MVE}
CORES = {v: tuple(core for core, own in VARIANTS.items() if own == v) for v in KERNEL_VARIANTS}

_STAGE_KERNELS = {"CONV_2D": "Conv2D", "DEPTHWISE_CONV_2D": "DepthwiseConv2D"}

_MVE_LANES = 16
_MVE_QUAD = 4
_MVE_MAX_ROW = 1 << 16
_MVE_MAX_QUADS = 8
_MVE_WEIGHT_BYTES = 2048
_MVE_GATHERED_PIXELS = 4
_MVE_DEPTHWISE_TABLE_BYTES = 256


def kernel_scratch_bytes(variant: str, kernel: str, params: Any) -> int:
    """Of one call; 0 for kernels that take none."""
    formula = _FORMULAS.get((variant, kernel))
    return formula(params) if formula else 0


def stage_scratch_bytes(variant: str, program: StageProgram) -> int:
    """Of a patch stage: its maps, and behind them what the largest call takes."""
    if variant == REFERENCE:
        return program.scratch_bytes
    kernel_bytes = 0
    for number, places in _places_by_class(program).items():
        bits = [format.bits for format in program.formats[number]]
        largest = stage_kernel_bytes(variant, program.ops, program.shapes, program.spans, bits, places)
        kernel_bytes = max(kernel_bytes, largest)
    return behind_maps(program.scratch_bytes, kernel_bytes)


def behind_maps(map_bytes: int, kernel_bytes: int) -> int:
    """Scratch of a stage whose maps take so much, and its largest call so much."""
    return align(map_bytes, SCRATCH_ALIGNMENT) + kernel_bytes if kernel_bytes else map_bytes


def stage_kernel_bytes(
    variant: str,
    ops: Iterable[StageOp],
    shapes: Sequence[tuple[int, int, int]],
    spans: tuple[np.ndarray, np.ndarray],
    bits: Sequence[int],
    places: Sequence[tuple[int, int]] | None = None,
) -> int:
    """The most that a call of a stage takes, in tiles of one class.

    Args:
      variant: of the kernels.
      ops: of the stage; filters do not count.
      shapes: [map] (height, width, channels).
      spans: along both axes (`StageGeometry.spans`).
      bits: [map] widths.
      places: in `spans`, of the tiles; None is all.
    """
    largest = 0
    for op in ops:
        kernel = _STAGE_KERNELS.get(op.kind, "")
        if (variant, kernel) not in _FORMULAS:
            continue
        rows = _extents(spans[0], op, op.window.stride_height, op.window.pad_top)
        cols = _extents(spans[1], op, op.window.stride_width, op.window.pad_left)
        met = itertools.product(set(rows), set(cols)) if places is None else {(rows[r], cols[c]) for r, c in places}
        for row, col in met:
            if row[1] and col[1]:
                call = _stage_call(op, shapes, bits, row, col)
                largest = max(largest, kernel_scratch_bytes(variant, kernel, call))
    return largest


def least_kernel_bytes(variant: str, op: StageOp, shapes: Sequence[tuple[int, int, int]], bits: Sequence[int]) -> int:
    """What an op of a stage takes whatever its tiles are."""
    kernel = _STAGE_KERNELS.get(op.kind, "")
    if (variant, kernel) not in _FORMULAS:
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
    if op.kind == "DEPTHWISE_CONV_2D":
        return DepthwiseConv2DParams(source, output, window, (0, 0), op.weight_bits, op.depth_multiplier)
    return Conv2DParams(source, output, window, (0, 0), op.weight_bits)


def _places_by_class(program: StageProgram) -> Mapping[int, list[tuple[int, int]] | None]:
    """Class -> places in the program's spans of the tiles that may be of it; None is all."""
    if len(program.formats) == 1:
        return {0: None}
    places: dict[int, list[tuple[int, int]]] = {}
    rows, cols = program.spans
    in_spans = itertools.product(range(len(rows)), range(len(cols)))
    for place, visit in zip(in_spans, program.visits(), strict=True):
        for number in program.classes_of(*visit):
            places.setdefault(number, []).append(place)
    return places


def _dsp_groups(filter_bytes: int, weight_bits: int) -> int:
    """Bytes of one widened pixel."""
    return -(-filter_bytes // 4) * (64 // weight_bits)


def _dsp_conv2d(params: Conv2DParams) -> int:
    taps = params.window.kernel_height * params.window.kernel_width
    return 2 * _dsp_groups(taps * run_bytes(params.input.channels, params.weight_bits), params.weight_bits)


def _dsp_fully_connected(params: FullyConnectedParams) -> int:
    return _dsp_groups(run_bytes(params.input.channels, params.weight_bits), params.weight_bits)


def _mve_expanded(num_runs: int, run_length: int, order_bits: int) -> int:
    values = num_runs * run_bytes(run_length, order_bits) * (8 // order_bits)
    return -(-values // _MVE_LANES) * _MVE_LANES


def _mve_conv2d(params: Conv2DParams) -> int:
    taps, channels, bits = (
        params.window.kernel_height * params.window.kernel_width,
        params.input.channels,
        params.input.bits,
    )
    if taps * channels > _MVE_MAX_ROW:
        return 0
    quad_bytes = _MVE_QUAD * _mve_expanded(taps, channels, bits)
    if not _mve_needs_gather(params):
        return quad_bytes
    fitting = max(1, min(_MVE_WEIGHT_BYTES // quad_bytes, _MVE_MAX_QUADS))
    num_quads = min(fitting, -(-params.output.channels // _MVE_QUAD))
    return num_quads * quad_bytes + _MVE_GATHERED_PIXELS * taps * run_bytes(channels, bits)


def _mve_needs_gather(params: Conv2DParams) -> bool:
    w, source, output = params.window, params.input, params.output
    return (
        (w.kernel_height, w.kernel_width, w.pad_top, w.pad_left) != (1, 1, 0, 0)
        or (output.height - 1) * w.stride_height >= source.height
        or (output.width - 1) * w.stride_width >= source.width
    )


def _mve_depthwise_conv2d(params: DepthwiseConv2DParams) -> int:
    return params.window.kernel_height * params.window.kernel_width * _MVE_LANES + _MVE_DEPTHWISE_TABLE_BYTES


def _mve_fully_connected(params: FullyConnectedParams) -> int:
    channels, bits = params.input.channels, params.input.bits
    if channels > _MVE_MAX_ROW or (bits, params.weight_bits) == (8, 8):
        return 0
    return _mve_expanded(1, channels, params.weight_bits)


_FORMULAS: Mapping[tuple[str, str], Callable[[Any], int]] = {
    (DSP, "Conv2D"): _dsp_conv2d,
    (DSP, "FullyConnected"): _dsp_fully_connected,
    (MVE, "Conv2D"): _mve_conv2d,
    (MVE, "DepthwiseConv2D"): _mve_depthwise_conv2d,
    (MVE, "FullyConnected"): _mve_fully_connected,
}
