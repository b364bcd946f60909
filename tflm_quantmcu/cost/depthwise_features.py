"""What a depthwise kernel does on a call, counted: as call_features.py, of all our depthwise kernels."""

from __future__ import annotations

import numpy as np

from tflm_quantmcu.cost.shapes import KernelShape
from tflm_quantmcu.cost.windows import Axis, blocks_of


def depthwise_features(shape: KernelShape, y: Axis, x: Axis) -> list[int]:
    """Counts of what any of our kernels loops over, as of `call_features`."""
    channels, is_shared = shape.output[2], shape.output[2] != shape.input[2]
    pixels, num_taps = y.outputs * x.outputs, y.kernel * x.kernel
    taps = int(y.inside.sum()) * int(x.inside.sum())
    rows = int(y.inside.sum()) * x.outputs
    whole = y.whole * x.whole
    clipped = pixels - whole
    inside = np.outer(y.inside, x.inside)  # of each pixel
    pairs, nines = int(((inside + 1) // 2).sum()), int((inside == 9).sum())
    rectangles = np.outer(y.segments, x.segments)  # pixels with the same taps inside
    rectangle_pairs, fours = int(((rectangles + 1) // 2).sum()), blocks_of(channels, 4)
    values = [1, y.outputs, pixels, rectangles.size, len(y.segments), int(rectangles.sum())]
    for size in (4, 16):
        blocks = blocks_of(channels, size)
        values += [blocks, num_taps * blocks, pixels * blocks, y.outputs * blocks, rows * blocks, taps * blocks]
        values += [whole * blocks, whole * num_taps * blocks, clipped * blocks, clipped * num_taps * blocks]
        values += [pixels * y.kernel * blocks]
    values += [rectangles.size * fours, int(rectangles.sum()) * fours, rectangle_pairs * fours]
    values += [y.outputs * len(x.segments) * fours]
    values += [nines * fours, (pixels - nines) * fours, pairs * fours, (pairs - 5 * nines) * fours]
    for is_odd in (channels % 4 > 0, channels % 16 > 0):
        values += [pixels * is_odd, taps * is_odd, pixels * num_taps * is_odd]
    values += [pixels * channels, taps * channels, pixels * num_taps * channels, num_taps * channels]
    values += [n * is_shared for n in (channels, pixels * fours, pairs * fours, rectangles.size * fours)]
    values += [n * is_shared for n in (rectangle_pairs * fours, pixels * channels, taps * channels)]
    has_rows = _has_rows(shape)
    groups = [values, [n * (not has_rows) for n in values], [n * has_rows for n in _rows(shape)]]
    return [n for group in (*groups, _vectors(shape, y, x), _rectangles(shape, y, x)) for n in group]


# Pixels from which on a rectangle's channels are set up without DSP, on ARMv6-M and else: kManyPixels of
# tflm_kernels/cortex_m/plain/depthwise_pixels.h. With more taps they always are.
_MANY_PIXELS = (4, 9)
_FEW_TAPS = 9


def _rectangles(shape: KernelShape, y: Axis, x: Axis) -> list[int]:
    """Rectangles of pixels with the same taps inside, of kernels without DSP: made pixel by pixel, or a channel at a
    time."""
    channels, takes_pixels = shape.output[2], shape.output[2] == shape.input[2] and shape.output[2] % 4 == 0
    taps = np.outer(y.segments, x.segments).astype(int)
    heights, widths = ([axis.whole] * (axis.whole > 0) for axis in (y, x))
    heights, widths = heights + [1] * (len(y.segments) - len(heights)), widths + [1] * (len(x.segments) - len(widths))
    pixels, rows = np.outer(heights, widths), np.outer(heights, np.ones(len(widths), int))
    values = []
    for many in _MANY_PIXELS:
        is_few = takes_pixels & (pixels < many) & (taps > 0) & (taps <= _FEW_TAPS)
        few = [is_few, taps * is_few, pixels * is_few]
        values += [int(n.sum()) for n in few]
        values += [int(n.sum()) * (channels // 4) for n in (pixels * is_few, pixels * taps * is_few)]
        is_set_up = ~is_few
        triples = np.maximum((taps + 2) // 3, 1)
        values += [int((n * is_set_up).sum()) for n in (np.ones_like(taps), taps)]
        each = (np.ones_like(taps), taps, rows, pixels, pixels * triples)
        values += [int((n * is_set_up).sum()) * channels for n in each]
    return values


def _vectors(shape: KernelShape, y: Axis, x: Axis) -> list[int]:
    """Blocks of 16 channels on MVE: those of 3x3 windows, of others, and those whose lanes are gathered; or, of a few
    pixels, eight channels at a time."""
    channels, is_shared, is_3x3 = shape.output[2], shape.output[2] != shape.input[2], y.kernel == x.kernel == 3
    num_taps, whole = y.kernel * x.kernel, y.whole * x.whole
    pixels = y.outputs * x.outputs
    clipped = pixels - whole
    if pixels <= _FEW_PIXELS and channels % 8 == 0 and not is_shared:
        eights, taps = channels // 8, int(y.inside.sum()) * int(x.inside.sum())
        few = [1, pixels, pixels * eights, taps * eights, int(y.inside.sum()) * x.outputs * eights]
        return [*[0] * 27, *few]
    full = 0 if is_shared else channels // 16
    values = []
    for blocks in (full * is_3x3, full * (not is_3x3), blocks_of(channels, 16) - full):
        values += [blocks * n for n in (1, num_taps, y.outputs, whole, whole * y.kernel, whole * num_taps)]
        values += [blocks * clipped * n for n in (1, y.kernel, num_taps)]
    return [*values, *[0] * 5]


_FEW_PIXELS = 3  # kFewPixels of tflm_kernels/cortex_m/mve/scratch.h: of more a block's set-up pays
_PLANE_WORDS = 256  # that rows of the input take at once, of 16 rows at most


def _has_rows(shape: KernelShape) -> bool:
    """Whether an 8-bit map is widened row by row on DSP: HasRows of tflm_kernels/cortex_m/dsp/scratch.h."""
    height, width = shape.output[:2]
    segments = [
        min(outputs, 1 + (pad > 0) + (outputs - pad + 2 > size))
        for size, outputs, pad in zip(*_sizes(shape), strict=True)
    ]
    even_width = width + width % 2
    time = 200 + 19 * height * (1 + even_width) + 3 * even_width
    is_three = tuple(shape.kernel) == (3, 3) and tuple(shape.stride) == (1, 1)
    return is_three and 38 * height * width + 100 * segments[0] * segments[1] > time


def _sizes(shape: KernelShape) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    return shape.input[:2], shape.output[:2], shape.pad


def _rows(shape: KernelShape) -> list[int]:
    """What is done where rows are widened: channels go over two pixels at a time, blocks of four over the input."""
    (height, width, channels), is_shared = shape.output, shape.output[2] != shape.input[2]
    steps, fours = blocks_of(width, 2), blocks_of(channels, 4)
    room = _PLANE_WORDS // ((steps + 1) * (1 if is_shared else 4))
    passes = blocks_of(height, max(min(room, 16) - 2, 1))
    inputs = (height + 2) * fours
    inside = min(height + 2, shape.input[0]) * fours
    return [
        *(1, channels, fours, passes * fours, passes * channels, height * fours, height * channels),
        *(height * steps * channels, height * blocks_of(steps, 4) * channels, height * width * fours),
        *(inputs, inside, inputs * steps * is_shared, inside * steps, inside * is_shared, fours * is_shared),
        *(height * width * (channels % 4 > 0), inside * (channels % 4 > 0), inside * steps * (channels % 4 > 0)),
        height * width * fours * is_shared,
    ]
