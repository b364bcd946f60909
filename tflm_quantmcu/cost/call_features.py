"""What a kernel does on a call, counted: the numbers that instructions and cycles are a linear formula of.

A kernel's loops run over output pixels, channels, taps and input channels, some of them in blocks: pairs of pixels, 2,
4 or 16 channels, words or vectors of products; borders are handled apart. Each product of these that a kernel of ours
may loop over is a feature. Which ones a core's kernel does loop over, the fit says: the others get 0.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

from tflm_quantmcu.cost.depthwise_features import depthwise_features
from tflm_quantmcu.cost.shapes import SAME_FORMAT, KernelShape
from tflm_quantmcu.cost.windows import Axis, blocks_of


@functools.cache
def call_features(shape: KernelShape) -> np.ndarray:
    """float [features], all >= 0; how many depends on the op. Kept, since searches ask for the same shapes often."""
    axes = [Axis.of(shape, axis) for axis in range(2)]
    if shape.op in ("conv2d", "fully_connected", "dot_pixels"):
        values = _convolution(shape, *axes)
    elif shape.op == "depthwise_conv2d":
        values = depthwise_features(shape, *axes)
    elif shape.op.endswith(SAME_FORMAT):
        values = _copies(shape, *axes)
    else:
        values = _elementwise(shape, *axes)
    return np.array(values, float)


def _gathers(gathered: int, passes: Sequence[int], rows: int, columns: int, length: int) -> list[int]:
    """Windows that are gathered, their rows, vectors and taps, for as many blocks of channels as there are passes."""
    per_window = [n * each for each in (1, rows, blocks_of(length, 16)) for n in passes]
    return [gathered * n for n in (*per_window, *(rows * columns * n for n in passes[:2]))]


def _convolution(shape: KernelShape, y: Axis, x: Axis) -> list[int]:
    """Also of what reads all of its input for each output: fully connected, sums of products."""
    inputs, outputs = shape.input[2], shape.output[2]
    pixels, length = y.outputs * x.outputs, y.kernel * x.kernel * inputs
    rows, taps = int(y.inside.sum()) * x.outputs, int(y.inside.sum()) * int(x.inside.sum())
    clipped = pixels - y.whole * x.whole
    pairs, row_length, fours = blocks_of(pixels, 2), x.kernel * inputs, blocks_of(outputs, 4)
    # Windows that are gathered, perhaps for a block of channels after the other: those that are not rows of vectors.
    gathered = clipped if row_length % 16 == 0 else pixels * (y.kernel * x.kernel > 1)
    passes = (1, *(blocks_of(outputs * blocks_of(length, 16) * 16, size) for size in (2048, 4096, 8192)))
    return [
        *(1, y.outputs, pixels, pairs, y.outputs * blocks_of(x.outputs, 2), blocks_of(pixels, 4)),
        # Weights: a channel's, a block of channels', expanded once a call.
        *(outputs, blocks_of(outputs, 4), outputs * length, outputs * blocks_of(length, 16)),
        blocks_of(outputs, 4) * blocks_of(length, 16),
        # Results.
        *(pixels * outputs, pixels * blocks_of(outputs, 2), pixels * blocks_of(outputs, 4), pixels * (outputs % 2)),
        *(pixels * (outputs % 4 > 0), pairs * blocks_of(outputs, 2), blocks_of(pixels, 4) * outputs),
        y.outputs * blocks_of(outputs, 4),
        # Products: inside the input, all, in words and vectors of blocks of pixels and channels.
        *(taps * inputs * outputs, pixels * length * outputs, taps * outputs, rows * outputs),
        *(pairs * blocks_of(outputs, 2) * blocks_of(length, size) for size in (4, 8, 16)),
        pairs * (outputs % 2) * blocks_of(length, 8),
        blocks_of(pixels, 4) * outputs * blocks_of(length, 8),
        pixels * blocks_of(outputs, 4) * blocks_of(length, 16),
        pixels * blocks_of(outputs, 4) * y.kernel * blocks_of(row_length, 16),
        # Reading windows: pixels, taps, kernel rows, what does not fill words, borders.
        *(taps * inputs, taps, rows, pixels * length, taps * blocks_of(inputs, 4), taps * (inputs % 4)),
        *(taps * (inputs % 4 > 0), rows * (row_length % 4), rows * (row_length % 4 > 0)),
        *(pixels * blocks_of(length, 4) * (length % 4 > 0), clipped, clipped * length),
        *_gathers(gathered, passes, y.kernel, x.kernel, length),
        # Vectors of values below 8 bits, and what does not fill a vector.
        *(n * blocks_of(length, size) for size in (32, 64) for n in (fours, pixels * fours, pairs * outputs, gathered)),
        *(pixels * fours * y.kernel * blocks_of(row_length, size) for size in (32, 64)),
        *(n * (length % size > 0) for size in (16, 32, 64) for n in (fours, pixels * fours)),
        *(n * (length % 16) for n in (fours, outputs)),
        *(n * (row_length % 16 > 0) for n in (fours, pixels * fours, pixels * fours * y.kernel)),
        *(pixels * fours * (outputs % 4 > 0), gathered * fours, y.outputs * passes[2] * fours),
        *(*_blocks_of_pixels(shape, pixels, length), *_pairs_of_windows(shape, y, x)),
    ]


def _blocks_of_pixels(shape: KernelShape, pixels: int, length: int) -> list[int]:
    """Four pixels a channel where filters are short, else two pixels and channels; a last pixel is alone, four channels
    at a time. Of short windows of one pixel each the last two meet two channels at a time."""
    outputs = shape.output[2]
    is_short, words, twos, quads = length <= 64, blocks_of(length, 4), blocks_of(outputs, 2), blocks_of(outputs, 4)
    is_flat = tuple(shape.kernel) == (1, 1) and shape.input[:2] == shape.output[:2] and length % 4 == outputs % 2 == 0
    last_two = int(is_short and is_flat and pixels % 4 == 2)
    size = 4 if is_short else 2
    ones = int(pixels % size == 1)
    blocks = blocks_of(pixels - ones - 2 * last_two, size)
    short, long = blocks * is_short, blocks * (not is_short) + last_two
    one_of_four = int(pixels % 4 == 1)
    fours = blocks_of(pixels - one_of_four, 4)
    return [
        *(short, short * outputs, short * outputs * words, short * words, short * quads),
        *(long, long * twos, long * twos * words, long * words, long * quads, last_two * (pixels > 2)),
        *(ones, ones * twos, ones * twos * words, ones * words, ones * outputs, ones * quads, ones * quads * words),
        *(ones * (outputs % 4), ones * (outputs % 4) * words),
        *(short * (length % 4 > 0), long * (length % 4 > 0) * words, ones * (length % 4 > 0) * words),
        # Below 8 bits: four pixels and a channel, whatever the filter's length.
        *(fours, fours * outputs, fours * outputs * words, fours * words, one_of_four * outputs),
        *(one_of_four, one_of_four * twos * words, one_of_four * words, one_of_four * quads * words),
        one_of_four * (outputs % 4) * words,
    ]


# Bytes of a window, as tflm_kernels/cortex_m/mve/scratch.h has them.
_MAX_ZERO_WINDOW = 1024
_MAX_WINDOW_OF_FOUR = 512
_MAX_WINDOW_OF_TWO = 512


def _pairs_of_windows(shape: KernelShape, y: Axis, x: Axis) -> list[int]:
    """Four channels and two pixels, whose windows are expanded for blocks of channels: Conv2D of MVE."""
    inputs, outputs = shape.input[2], shape.output[2]
    length, row_length = y.kernel * x.kernel * inputs, x.kernel * inputs
    fours, steps = blocks_of(outputs, 4), blocks_of(length, 16)
    pixels = y.outputs * x.outputs
    is_apart = pixels == 2 and 16 * steps > _MAX_WINDOW_OF_TWO
    pairs, one = (0, 2) if is_apart else divmod(pixels, 2)
    is_alone = pixels == 1  # of 8-bit weights; of others where a window of zero points has room beside it
    passes = 1 if is_alone else blocks_of(fours, 16)
    is_direct = y.kernel * x.kernel == 1 or row_length % 16 == 0
    values = [fours, fours * steps, pairs * fours, pairs * fours * steps, pairs * fours * ((steps - 1) // 2)]
    values += [one * fours, one * fours * steps, (pairs + one) * (outputs % 4 > 0)]
    values = [n * each for each in (not is_alone, is_alone) for n in (*values, steps)]
    values += [outputs * length * (inputs % size > 0) for size in (2, 4)]
    values += _window_passes(y, x, passes, steps, shape, is_direct)
    # Weights below 8 bits, by the values of a byte: as bytes, or 16 bytes with as many blocks of a window.
    for size in (2, 4):
        room = 256 // (16 * steps)  # quads in kExpandedBytes of tflm_kernels/cortex_m/mve/scratch.h
        is_short = pixels >= (16 if inputs % size == 0 else 256) and (steps <= 2 or fours <= room)
        blocks = blocks_of(y.kernel * x.kernel * blocks_of(inputs, size), 16)
        is_whole = y.kernel * x.kernel == 1 or (row_length % (16 * size) == 0 and inputs % size == 0)
        expanded = _window_passes(y, x, blocks_of(fours, min(max(room, 1), 16)), steps, shape, is_direct)
        has_room = is_alone and 16 * size * blocks <= _MAX_ZERO_WINDOW
        split = _window_passes(y, x, 1 if has_room else blocks_of(fours, 16), blocks, shape, is_whole)
        split += _packed_pixels(pixels, fours, blocks, size)
        values += [n * is_short for n in expanded] + [n * (not is_short) for n in split]
    return values


def _packed_pixels(pixels: int, fours: int, blocks: int, size: int) -> list[int]:
    """Sums of weights that stay packed: of four pixels where windows are short, of pairs, of one, of one alone."""
    quads = pixels // 4 if 16 * size * blocks <= _MAX_WINDOW_OF_FOUR else 0
    pairs, one = divmod(pixels - 4 * quads, 2)
    is_alone = int(pixels == 1 and 16 * size * blocks <= _MAX_ZERO_WINDOW)
    counts = (1 - is_alone, quads, pairs, one - is_alone, is_alone)
    return [n * fours * each for each in (1, blocks) for n in counts]


def _window_passes(y: Axis, x: Axis, passes: int, steps: int, shape: KernelShape, is_direct: bool) -> list[int]:
    """Expanding windows of so many steps for so many blocks of channels."""
    inputs = shape.input[2]
    row_length = x.kernel * inputs
    pairs, inside = y.outputs * x.outputs // 2, y.whole * x.whole
    clipped = y.outputs * x.outputs - inside
    direct, flat = inside * is_direct, inside * (not is_direct)
    values = [passes, pairs * passes, passes * direct, passes * direct * y.kernel, passes * direct * steps]
    values += [passes * n for n in (flat, flat * y.kernel, flat * y.kernel * x.kernel, clipped)]
    values += [passes * clipped * n for n in (y.kernel, y.kernel * x.kernel)]
    values += [passes * (flat + clipped) * n for n in (steps, y.kernel * blocks_of(row_length, 16))]
    values += [passes * (flat + clipped) * y.kernel * x.kernel * (inputs % size > 0) for size in (2, 4)]
    return values


def _elementwise(shape: KernelShape, y: Axis, x: Axis) -> list[int]:
    """Pools, sums of pixels, and ops that make each value of one or two."""
    channels = shape.output[2]
    pixels = y.outputs * x.outputs
    taps, rows = int(y.inside.sum()) * int(x.inside.sum()), int(y.inside.sum()) * x.outputs
    values = [1, y.outputs, pixels, rows, taps, pixels - y.whole * x.whole]
    for size in (1, 4, 16):
        blocks = blocks_of(channels, size)
        values += [blocks, y.outputs * blocks, pixels * blocks, taps * blocks]
        values += [blocks_of(pixels * channels, size), blocks_of(x.outputs * channels, size) * y.outputs]
    values += [pixels * (channels % 4 > 0), pixels * (channels % 16 > 0), pixels * (channels % 4)]
    return values


def _copies(shape: KernelShape, y: Axis, x: Axis) -> list[int]:
    """Rows that are copied as runs of bytes, by words where both begin at one, and pixels around them that are filled;
    of values below 8 bits runs are shorter by a factor."""
    channels, pixels = shape.output[2], y.outputs * x.outputs
    rows, length = int(y.inside.sum()), int(x.inside.sum()) * channels
    filled = pixels - rows * int(x.inside.sum())
    is_apart = (shape.pad[1] * channels) % 4 > 0 or length % 4 > 0
    values = [1, y.outputs, pixels, rows, filled, rows * length, rows * (length % 16), rows * is_apart]
    values += [rows * length * is_apart, rows * (length % 4), (y.outputs - rows), (y.outputs - rows) * x.outputs]
    for size in (1, 4, 16, 64):
        values += [filled * blocks_of(channels, size), rows * blocks_of(length, size)]
        values += [rows * blocks_of(length, size) * is_apart]
    return values + [filled * (channels % 4 > 0), filled * (channels % 4), filled * (channels % 16 > 0)]
