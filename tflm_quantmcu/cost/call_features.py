"""What a kernel does on a call, counted: the numbers that instructions and cycles are a linear formula of.

A kernel's loops run over output pixels, channels, taps and input channels, some of them in blocks: pairs of pixels, 2,
4 or 16 channels, words or vectors of products; borders are handled apart. Each product of these that a kernel of ours
may loop over is a feature. Which ones a core's kernel does loop over, the fit says: the others get 0.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

from tflm_quantmcu.cost.shapes import SAME_FORMAT, KernelShape


@functools.cache
def call_features(shape: KernelShape) -> np.ndarray:
    """float [features], all >= 0; how many depends on the op. Kept, since searches ask for the same shapes often."""
    axes = [_Axis.of(shape, axis) for axis in range(2)]
    if shape.op in ("conv2d", "fully_connected", "dot_pixels"):
        values = _convolution(shape, *axes)
    elif shape.op == "depthwise_conv2d":
        values = _depthwise(shape, *axes)
    elif shape.op.endswith(SAME_FORMAT):
        values = _copies(shape, *axes)
    else:
        values = _elementwise(shape, *axes)
    return np.array(values, float)


def _blocks(count: int, size: int) -> int:
    return -(-count // size)


class _Axis:
    """The windows of one axis.

    Attributes:
      outputs: number of output positions.
      kernel: taps of a window.
      inside: [outputs] taps inside the input.
      segments: taps inside of each run of positions that a kernel handles alike: all whole windows are one.
    """

    def __init__(self, outputs: int, kernel: int, inside: np.ndarray):
        self.outputs = outputs
        self.kernel = kernel
        self.inside = inside
        cut = [int(n) for n in inside if n < kernel]
        self.whole = outputs - len(cut)
        self.segments = [kernel] * (self.whole > 0) + cut

    @staticmethod
    @functools.lru_cache(maxsize=4096)
    def _made(size: int, outputs: int, kernel: int, stride: int, pad: int) -> _Axis:
        positions = (np.arange(outputs) * stride - pad)[:, None] + np.arange(kernel)
        return _Axis(outputs, kernel, ((positions >= 0) & (positions < size)).sum(axis=1))

    @staticmethod
    def of(shape: KernelShape, axis: int) -> _Axis:
        return _Axis._made(
            shape.input[axis], shape.output[axis], shape.kernel[axis], shape.stride[axis], shape.pad[axis]
        )


def _gathers(gathered: int, passes: Sequence[int], rows: int, columns: int, length: int) -> list[int]:
    """Windows that are gathered, their rows, vectors and taps, for as many blocks of channels as there are passes."""
    per_window = [n * each for each in (1, rows, _blocks(length, 16)) for n in passes]
    return [gathered * n for n in (*per_window, *(rows * columns * n for n in passes[:2]))]


def _convolution(shape: KernelShape, y: _Axis, x: _Axis) -> list[int]:
    """Also of what reads all of its input for each output: fully connected, sums of products."""
    inputs, outputs = shape.input[2], shape.output[2]
    pixels, length = y.outputs * x.outputs, y.kernel * x.kernel * inputs
    rows, taps = int(y.inside.sum()) * x.outputs, int(y.inside.sum()) * int(x.inside.sum())
    clipped = pixels - y.whole * x.whole
    pairs, row_length, fours = _blocks(pixels, 2), x.kernel * inputs, _blocks(outputs, 4)
    # Windows that are gathered, perhaps for a block of channels after the other: those that are not rows of vectors.
    gathered = clipped if row_length % 16 == 0 else pixels * (y.kernel * x.kernel > 1)
    passes = (1, *(_blocks(outputs * _blocks(length, 16) * 16, size) for size in (2048, 4096, 8192)))
    return [
        *(1, y.outputs, pixels, pairs, y.outputs * _blocks(x.outputs, 2), _blocks(pixels, 4)),
        # Weights: a channel's, a block of channels', expanded once a call.
        *(outputs, _blocks(outputs, 4), outputs * length, outputs * _blocks(length, 16)),
        _blocks(outputs, 4) * _blocks(length, 16),
        # Results.
        *(pixels * outputs, pixels * _blocks(outputs, 2), pixels * _blocks(outputs, 4), pixels * (outputs % 2)),
        *(pixels * (outputs % 4 > 0), pairs * _blocks(outputs, 2), _blocks(pixels, 4) * outputs),
        y.outputs * _blocks(outputs, 4),
        # Products: inside the input, all, in words and vectors of blocks of pixels and channels.
        *(taps * inputs * outputs, pixels * length * outputs, taps * outputs, rows * outputs),
        *(pairs * _blocks(outputs, 2) * _blocks(length, size) for size in (4, 8, 16)),
        pairs * (outputs % 2) * _blocks(length, 8),
        _blocks(pixels, 4) * outputs * _blocks(length, 8),
        pixels * _blocks(outputs, 4) * _blocks(length, 16),
        pixels * _blocks(outputs, 4) * y.kernel * _blocks(row_length, 16),
        # Reading windows: pixels, taps, kernel rows, what does not fill words, borders.
        *(taps * inputs, taps, rows, pixels * length, taps * _blocks(inputs, 4), taps * (inputs % 4)),
        *(taps * (inputs % 4 > 0), rows * (row_length % 4), rows * (row_length % 4 > 0)),
        *(pixels * _blocks(length, 4) * (length % 4 > 0), clipped, clipped * length),
        *_gathers(gathered, passes, y.kernel, x.kernel, length),
        # Vectors of values below 8 bits, and what does not fill a vector.
        *(n * _blocks(length, size) for size in (32, 64) for n in (fours, pixels * fours, pairs * outputs, gathered)),
        *(pixels * fours * y.kernel * _blocks(row_length, size) for size in (32, 64)),
        *(n * (length % size > 0) for size in (16, 32, 64) for n in (fours, pixels * fours)),
        *(n * (length % 16) for n in (fours, outputs)),
        *(n * (row_length % 16 > 0) for n in (fours, pixels * fours, pixels * fours * y.kernel)),
        *(pixels * fours * (outputs % 4 > 0), gathered * fours, y.outputs * passes[2] * fours),
        *(*_blocks_of_pixels(pixels, outputs, length), *_pairs_of_windows(shape, y, x)),
    ]


def _blocks_of_pixels(pixels: int, outputs: int, length: int) -> list[int]:
    """Four pixels a channel where filters are short, else two pixels and channels; a last pixel is alone."""
    is_short, words, twos = length <= 64, _blocks(length, 4), _blocks(outputs, 2)
    size = 4 if is_short else 2
    ones = int(pixels % size == 1)
    blocks = _blocks(pixels - ones, size)
    short, long = blocks * is_short, blocks * (not is_short)
    one_of_four = int(pixels % 4 == 1)
    fours = _blocks(pixels - one_of_four, 4)
    return [
        *(short, short * outputs, short * outputs * words, short * words, short * _blocks(outputs, 4)),
        *(long, long * twos, long * twos * words, long * words, long * _blocks(outputs, 4)),
        *(ones, ones * twos, ones * twos * words, ones * words, ones * outputs, ones * _blocks(outputs, 4)),
        *(short * (length % 4 > 0), long * (length % 4 > 0) * words, ones * (length % 4 > 0) * words),
        # Below 8 bits: four pixels and a channel, whatever the filter's length.
        *(fours, fours * outputs, fours * outputs * words, fours * words, one_of_four * outputs),
        *(one_of_four, one_of_four * twos * words, one_of_four * words),
    ]


def _pairs_of_windows(shape: KernelShape, y: _Axis, x: _Axis) -> list[int]:
    """Four channels and two pixels, whose windows are expanded for blocks of channels: Conv2D of MVE."""
    inputs, outputs = shape.input[2], shape.output[2]
    length, row_length = y.kernel * x.kernel * inputs, x.kernel * inputs
    fours, steps = _blocks(outputs, 4), _blocks(length, 16)
    pairs, one = divmod(y.outputs * x.outputs, 2)
    is_direct = y.kernel * x.kernel == 1 or row_length % 16 == 0
    values = [fours, fours * steps, pairs * fours, pairs * fours * steps, pairs * fours * ((steps - 1) // 2)]
    values += [one * fours, one * fours * steps, (pairs + one) * (outputs % 4 > 0)]
    values += [outputs * length * (inputs % size > 0) for size in (2, 4)]
    values += _window_passes(y, x, _blocks(fours, 16), steps, shape, is_direct)
    # Weights below 8 bits, by the values of a byte: as bytes, or 16 bytes with as many blocks of a window.
    for size in (2, 4):
        room = 256 // (16 * steps)  # quads in kExpandedBytes of tflm_kernels/cortex_m/mve/scratch.h
        is_short = y.outputs * x.outputs >= (16 if inputs % size == 0 else 256) and (steps <= 2 or fours <= room)
        blocks = _blocks(y.kernel * x.kernel * _blocks(inputs, size), 16)
        is_whole = y.kernel * x.kernel == 1 or (row_length % (16 * size) == 0 and inputs % size == 0)
        expanded = _window_passes(y, x, _blocks(fours, min(max(room, 1), 16)), steps, shape, is_direct)
        split = _window_passes(y, x, _blocks(fours, 16), blocks, shape, is_whole)
        split += [n * fours * blocks for n in (1, pairs, one)]
        values += [n * is_short for n in expanded] + [n * (not is_short) for n in split]
    return values


def _window_passes(y: _Axis, x: _Axis, passes: int, steps: int, shape: KernelShape, is_direct: bool) -> list[int]:
    """Expanding windows of so many steps for so many blocks of channels."""
    inputs = shape.input[2]
    row_length = x.kernel * inputs
    pairs, inside = y.outputs * x.outputs // 2, y.whole * x.whole
    clipped = y.outputs * x.outputs - inside
    direct, flat = inside * is_direct, inside * (not is_direct)
    values = [passes, pairs * passes, passes * direct, passes * direct * y.kernel, passes * direct * steps]
    values += [passes * n for n in (flat, flat * y.kernel, flat * y.kernel * x.kernel, clipped)]
    values += [passes * clipped * n for n in (y.kernel, y.kernel * x.kernel)]
    values += [passes * (flat + clipped) * n for n in (steps, y.kernel * _blocks(row_length, 16))]
    values += [passes * (flat + clipped) * y.kernel * x.kernel * (inputs % size > 0) for size in (2, 4)]
    return values


def _depthwise(shape: KernelShape, y: _Axis, x: _Axis) -> list[int]:
    channels, is_shared = shape.output[2], shape.output[2] != shape.input[2]
    pixels, num_taps = y.outputs * x.outputs, y.kernel * x.kernel
    taps = int(y.inside.sum()) * int(x.inside.sum())
    rows = int(y.inside.sum()) * x.outputs
    whole = y.whole * x.whole
    clipped = pixels - whole
    inside = np.outer(y.inside, x.inside)  # of each pixel
    pairs, nines = int(((inside + 1) // 2).sum()), int((inside == 9).sum())
    rectangles = np.outer(y.segments, x.segments)  # pixels with the same taps inside
    rectangle_pairs, fours = int(((rectangles + 1) // 2).sum()), _blocks(channels, 4)
    values = [1, y.outputs, pixels, rectangles.size, len(y.segments), int(rectangles.sum())]
    for size in (4, 16):
        blocks = _blocks(channels, size)
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
    vectors = _vectors(shape, y, x)
    return [*values, *(n * (not has_rows) for n in values), *(n * has_rows for n in _rows(shape)), *vectors]


def _vectors(shape: KernelShape, y: _Axis, x: _Axis) -> list[int]:
    """Blocks of 16 channels on MVE: those of 3x3 windows, of others, and those whose lanes are gathered."""
    channels, is_shared, is_3x3 = shape.output[2], shape.output[2] != shape.input[2], y.kernel == x.kernel == 3
    num_taps, whole = y.kernel * x.kernel, y.whole * x.whole
    clipped = y.outputs * x.outputs - whole
    full = 0 if is_shared else channels // 16
    values = []
    for blocks in (full * is_3x3, full * (not is_3x3), _blocks(channels, 16) - full):
        values += [blocks * n for n in (1, num_taps, y.outputs, whole, whole * y.kernel, whole * num_taps)]
        values += [blocks * clipped * n for n in (1, y.kernel, num_taps)]
    return values


_PLANE_WORDS = 256  # that rows of the input take at once, of 16 rows at most


def _has_rows(shape: KernelShape) -> bool:
    """Whether an 8-bit map is widened row by row on DSP: HasRows of tflm_kernels/cortex_m/dsp/scratch.h."""
    height, width = shape.output[:2]
    segments = [1 + (pad > 0) + (outputs - pad + 2 > size) for size, outputs, pad in zip(*_sizes(shape), strict=True)]
    time = 130 + height * (20 + 8 * (width + width % 2)) + (height + 2) * (6 + width + width % 2)
    is_three = tuple(shape.kernel) == (3, 3) and tuple(shape.stride) == (1, 1)
    return is_three and 18 * height * width + 30 * segments[0] * segments[1] > time


def _sizes(shape: KernelShape) -> tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]:
    return shape.input[:2], shape.output[:2], shape.pad


def _rows(shape: KernelShape) -> list[int]:
    """What is done where rows are widened: channels go over two pixels at a time, blocks of four over the input."""
    (height, width, channels), is_shared = shape.output, shape.output[2] != shape.input[2]
    steps, fours = _blocks(width, 2), _blocks(channels, 4)
    room = _PLANE_WORDS // ((steps + 1) * (1 if is_shared else 4))
    passes = _blocks(height, max(min(room, 16) - 2, 1))
    inputs = (height + 2) * fours
    inside = min(height + 2, shape.input[0]) * fours
    return [
        *(1, channels, fours, passes * fours, passes * channels, height * fours, height * channels),
        *(height * steps * channels, height * _blocks(steps, 4) * channels, height * width * fours),
        *(inputs, inside, inputs * steps * is_shared, inside * steps, inside * is_shared, fours * is_shared),
        *(height * width * (channels % 4 > 0), inside * (channels % 4 > 0), inside * steps * (channels % 4 > 0)),
        height * width * fours * is_shared,
    ]


def _elementwise(shape: KernelShape, y: _Axis, x: _Axis) -> list[int]:
    """Pools, sums of pixels, and ops that make each value of one or two."""
    channels = shape.output[2]
    pixels = y.outputs * x.outputs
    taps, rows = int(y.inside.sum()) * int(x.inside.sum()), int(y.inside.sum()) * x.outputs
    values = [1, y.outputs, pixels, rows, taps, pixels - y.whole * x.whole]
    for size in (1, 4, 16):
        blocks = _blocks(channels, size)
        values += [blocks, y.outputs * blocks, pixels * blocks, taps * blocks]
        values += [_blocks(pixels * channels, size), _blocks(x.outputs * channels, size) * y.outputs]
    values += [pixels * (channels % 4 > 0), pixels * (channels % 16 > 0), pixels * (channels % 4)]
    return values


def _copies(shape: KernelShape, y: _Axis, x: _Axis) -> list[int]:
    """Rows that are copied as runs of bytes, by words where both begin at one, and pixels around them that are filled;
    of values below 8 bits runs are shorter by a factor."""
    channels, pixels = shape.output[2], y.outputs * x.outputs
    rows, length = int(y.inside.sum()), int(x.inside.sum()) * channels
    filled = pixels - rows * int(x.inside.sum())
    is_apart = (shape.pad[1] * channels) % 4 > 0 or length % 4 > 0
    values = [1, y.outputs, pixels, rows, filled, rows * length, rows * (length % 16), rows * is_apart]
    values += [rows * length * is_apart, rows * (length % 4), (y.outputs - rows), (y.outputs - rows) * x.outputs]
    for size in (1, 4, 16, 64):
        values += [filled * _blocks(channels, size), rows * _blocks(length, size)]
        values += [rows * _blocks(length, size) * is_apart]
    return values + [filled * (channels % 4 > 0), filled * (channels % 4), filled * (channels % 16 > 0)]
