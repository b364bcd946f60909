"""How much scratch the kernels of a core ask for: <Op>ScratchBytes of tflm_kernels/cortex_m, computed ahead of time.

In: a variant of the kernels and their params. Out: bytes. Emitted code holds the same figures against the C++ functions
(IsPlanRight), so that a difference between the two shows in the first run of its test.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any

from tflm_quantmcu.kernel_calls import Conv2DParams, DepthwiseConv2DParams, FeatureMap, FullyConnectedParams
from tflm_quantmcu.packing import run_bytes
from tflm_quantmcu.stage_geometry import Region
from tflm_quantmcu.stage_program import StageProgram

REFERENCE, DSP, MVE = "reference", "dsp", "mve"
# Which kernels run on each core of third_party/arm_none_eabi/cores.bzl.
VARIANTS = {"host": REFERENCE, "m0plus": REFERENCE, "m3": REFERENCE, "m4": DSP, "m7": DSP, "m33": DSP, "m55": MVE}

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
    map_bytes = program.scratch_bytes
    kernel_bytes = max(
        (_largest_call(variant, program, r, c, k) for r, c in program.visits() for k in program.classes_of(r, c)),
        default=0,
    )
    return map_bytes if kernel_bytes == 0 else -(-map_bytes // 4) * 4 + kernel_bytes


def _largest_call(variant: str, program: StageProgram, row: int, col: int, patch_class: int) -> int:
    largest = 0
    for op in program.ops:
        kernel = {"CONV_2D": "Conv2D", "DEPTHWISE_CONV_2D": "DepthwiseConv2D"}.get(op.kind)
        if kernel is None:
            continue
        regions = (program.region(row, col, op.inputs[0]), program.computed(row, col, op.output))
        source, output = (
            _view(program, patch_class, m, region) for m, region in zip((op.inputs[0], op.output), regions, strict=True)
        )
        if output.height == 0 or output.width == 0:
            continue
        window = dataclasses.replace(
            op.window,
            pad_top=op.window.pad_top + regions[0][0] - regions[1][0] * op.window.stride_height,
            pad_left=op.window.pad_left + regions[0][2] - regions[1][2] * op.window.stride_width,
        )
        params: Any = Conv2DParams(source, output, window, (0, 0), op.weight_bits)
        if kernel == "DepthwiseConv2D":
            params = DepthwiseConv2DParams(source, output, window, (0, 0), op.weight_bits, op.depth_multiplier)
        largest = max(largest, kernel_scratch_bytes(variant, kernel, params))
    return largest


def _view(program: StageProgram, patch_class: int, index: int, region: Region) -> FeatureMap:
    y0, y1, x0, x1 = region
    stored, channels = program.formats[patch_class][index], program.shapes[index][2]
    row_bytes = (x1 - x0) * run_bytes(channels, stored.bits)
    return FeatureMap(y1 - y0, x1 - x0, channels, row_bytes, stored.bits, stored.zero_point)


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
