"""The numpy oracle: the kernels of docs/arithmetic.md, written from the law alone.

Every function takes unpacked int8 maps with a leading batch axis, [N, H, W, C], and the op's int32
requantisation table as docs/format.md F3 and F4 lay it out. Heights and widths of outputs are
given, so that a window may start anywhere; pads may be negative. Convolution sums are taken in
floating point, wide enough to be exact, for the speed of the matrix product.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from tflm_quantmcu.graph.types import Window
from tflm_quantmcu.law.arrays import Int8Array, Int32Array
from tflm_quantmcu.law.fixed_point import multiply, quantize_multiplier, round_half_away
from tflm_quantmcu.law.output import Finish, OutputFormat, requantize_sums, to_output
from tflm_quantmcu.law.taps import tap_values

__all__ = [
    "OutputFormat",
    "add",
    "average_pool2d",
    "conv2d",
    "depthwise_conv2d",
    "fully_connected",
    "max_pool2d",
    "multiply",
    "quantize_multiplier",
    "requantize",
    "requantize_sums",
    "rescale",
    "round_half_away",
]

_ALL_VALUES = np.arange(256, dtype=np.uint8).view(np.int8).astype(np.int64)  # of int8, in the order of their bytes
# Elements of a convolution's intermediate arrays that are held at once: about what caches hold.
_ELEMENTS_AT_ONCE = 1 << 17


def conv2d(
    x: Int8Array,
    filter: Int8Array,
    table: Int32Array,
    *,
    window: Window,
    size: tuple[int, int],
    zero_in: int,
    output: OutputFormat,
    finish: Finish = requantize_sums,
) -> Int8Array:
    """Law A3, convolution.

    Args:
      x: int8 [N, H, W, I].
      filter: int8 [O, Kh, Kw, I].
      table: int32 [3 * O]: bias, multiplier, shift.
      window: its bottom and right pads follow from `size`.
      size: output height and width.
      zero_in: zero point of x.
      output: zero point and clamps of the result.
      finish: takes the last step, as `requantize_sums` does.

    Returns:
      int8 [N, *size, O].
    """
    num_taps = filter[0].size
    dtype = _exact_dtype(filter.reshape(len(filter), num_taps), zero_in)
    weights = filter.reshape(len(filter), num_taps).T.astype(dtype)
    y = np.empty((len(x), *size, len(filter)), np.int8)
    for batch in _batches(len(x), num_taps * size[0] * size[1]):
        centred = x[batch].astype(dtype) - dtype(zero_in)
        columns = np.concatenate([tap for _, _, tap in tap_values(centred, window, size, 0)], axis=-1)
        y[batch] = finish(columns @ weights, table, output)
    return y


def depthwise_conv2d(
    x: Int8Array,
    filter: Int8Array,
    table: Int32Array,
    *,
    window: Window,
    size: tuple[int, int],
    zero_in: int,
    depth_multiplier: int,
    output: OutputFormat,
) -> Int8Array:
    """Law A3, depthwise: channel o of the output reads channel o / depth_multiplier of x.

    Args:
      x: int8 [N, H, W, O / depth_multiplier].
      filter: int8 [Kh, Kw, O].
      depth_multiplier: output channels that each input channel makes.
      table, window, size, zero_in, output: as of `conv2d`.

    Returns:
      int8 [N, *size, O].
    """
    y = np.empty((len(x), *size, filter.shape[-1]), np.int8)
    for batch in _batches(len(x), y[:1].size):
        spread = np.repeat(x[batch], depth_multiplier, axis=-1)
        centred = spread.astype(np.int32) - np.int32(zero_in)
        acc = np.zeros((len(spread), *size, filter.shape[-1]), np.int32)
        for ky, kx, tap in tap_values(centred, window, size, 0):
            acc += tap * filter[ky, kx].astype(np.int32)
        y[batch] = requantize_sums(acc, table, output)
    return y


def fully_connected(
    x: Int8Array,
    filter: Int8Array,
    table: Int32Array,
    *,
    zero_in: int,
    output: OutputFormat,
    finish: Finish = requantize_sums,
) -> Int8Array:
    """Law A3, fully connected.

    Args:
      x: int8 [N, I].
      filter: int8 [O, I].
      table, zero_in, output, finish: as of `conv2d`.

    Returns:
      int8 [N, O].
    """
    dtype = _exact_dtype(filter, zero_in)
    sums = (x.astype(dtype) - dtype(zero_in)) @ filter.T.astype(dtype)
    return finish(sums, table, output)


def mean(x: Int8Array, table: Int32Array, *, zero_in: int, output: OutputFormat) -> Int8Array:
    """Law A11 over height and width.

    Args:
      x: int8 [N, H, W, C].
      table: int32 [2]: multiplier, shift, with 1 / (H * W) in them.
      zero_in, output: as of `conv2d`.

    Returns:
      int8 [N, C].
    """
    sums = (x.astype(np.int32) - np.int32(zero_in)).sum(axis=(1, 2), dtype=np.int32)
    return to_output(multiply(sums, table[0], table[1]), output)


def add(
    x0: Int8Array,
    x1: Int8Array,
    table: Int32Array,
    *,
    zero_in: tuple[int, int],
    output: OutputFormat,
) -> Int8Array:
    """Law A4 on maps of equal shape.

    Args:
      x0, x1: int8 [N, H, W, C].
      table: int32 [6]: multiplier and shift of x0, of x1, of the output.
      zero_in: zero points of x0 and x1.
      output: as of `conv2d`.

    Returns:
      int8 [N, H, W, C].
    """
    scaled = [
        _of_each(x, multiply((_ALL_VALUES - zero) << 20, table[2 * j], table[2 * j + 1]).astype(np.int64))
        for j, (x, zero) in enumerate(zip((x0, x1), zero_in, strict=True))
    ]
    return to_output(multiply(scaled[0] + scaled[1], table[4], table[5]), output)


def average_pool2d(
    x: Int8Array,
    table: Int32Array,
    *,
    window: Window,
    size: tuple[int, int],
    zero_in: int,
    output: OutputFormat,
) -> Int8Array:
    """Law A5. Every window has a tap inside the map.

    Args:
      x: int8 [N, H, W, C].
      table: int32 [2]: multiplier, shift.
      window, size, zero_in, output: as of `conv2d`.

    Returns:
      int8 [N, *size, C].
    """
    inside = np.ones((1, *x.shape[1:3], 1), np.int64)
    total = sum(tap for _, _, tap in tap_values(x.astype(np.int64), window, size, 0))
    count = sum(tap for _, _, tap in tap_values(inside, window, size, 0))
    # Doubles tell a quotient of such small integers from the next whole number: trunc is exact.
    average = np.trunc((total + np.where(total > 0, count // 2, -(count // 2))) / count)
    return rescale(average.astype(np.int8), table, zero_in, output)


def max_pool2d(
    x: Int8Array,
    table: Int32Array,
    *,
    window: Window,
    size: tuple[int, int],
    zero_in: int,
    output: OutputFormat,
) -> Int8Array:
    """Law A6. Every window has a tap inside the map; arguments and what is returned as of `average_pool2d`."""
    lowest = np.full((len(x), *size, x.shape[-1]), -128, np.int8)
    for _, _, tap in tap_values(x, window, size, -128):
        np.maximum(lowest, tap, out=lowest)
    return rescale(lowest, table, zero_in, output)


def requantize(
    x: Int8Array,
    table: Int32Array,
    *,
    window: Window,
    size: tuple[int, int],
    zero_in: int,
    output: OutputFormat,
) -> Int8Array:
    """Law A7. Of the window only the pads count; arguments and what is returned as of `average_pool2d`."""
    return _moved(rescale(x, table, zero_in, output), window, size, output.zero_point)


def lut(x: Int8Array, table: Int32Array, *, window: Window, size: tuple[int, int], output: OutputFormat) -> Int8Array:
    """Law A18.

    Args:
      x: int8 [N, H, W, C].
      table: int32 [words], four entries a word, the lowest value's first; or [C, words], entries of each channel.
      window: only its pads count.
      size, output: as of `conv2d`.

    Returns:
      int8 [N, *size, C].
    """
    entries = np.atleast_2d(np.ascontiguousarray(table.astype("<i4"))).view(np.int8)
    channels = np.arange(x.shape[-1]) % len(entries)
    values = entries[channels, x.astype(np.int64) + entries.shape[1] // 2]
    return _moved(values, window, size, output.zero_point)


def _moved(x: Int8Array, window: Window, size: tuple[int, int], fill: int) -> Int8Array:
    """x [N, *size, C] padded with `fill`, or cropped, by the window's pads."""
    shifted = Window(pad_top=window.pad_top, pad_left=window.pad_left)
    return next(tap for _, _, tap in tap_values(x, shifted, size, fill))


def _batches(num_samples: int, elements_a_sample: int) -> Iterator[slice]:
    at_once = max(1, _ELEMENTS_AT_ONCE // max(1, elements_a_sample))
    return (slice(start, start + at_once) for start in range(0, num_samples, at_once))


def _exact_dtype(filters: Int8Array, zero_in: int) -> type[np.floating]:
    """The fastest type in which no sum of products is rounded, in any order: int8 [O, taps] with all inputs there
    are."""
    largest_input = max(abs(127 - zero_in), abs(-128 - zero_in))
    largest_sum = largest_input * int(np.abs(filters.astype(np.int64)).sum(axis=1).max(initial=0))
    return np.float32 if largest_sum < 1 << 24 else np.float64


def rescale(x: Int8Array, table: Int32Array, zero_in: int, output: OutputFormat) -> Int8Array:
    """Law A7 of each value.

    Args:
      x: int8 of any shape.
      table: int32 [2]: multiplier, shift.
      zero_in, output: as of `conv2d`.

    Returns:
      int8 of x's shape.
    """
    return _of_each(x, to_output(multiply(_ALL_VALUES - zero_in, table[0], table[1]), output))


def _of_each(x: Int8Array, entries: Int8Array) -> Int8Array:
    """What stands for each int8 value; entries in the order of `_ALL_VALUES`."""
    return np.take(entries, x.view(np.uint8))
