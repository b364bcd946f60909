"""The numpy oracle of ops that move values or mix neighbours, in patch stages: laws A26 to A29 of docs/arithmetic.md.

Maps, tables and formats are as of arithmetic.py.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tflm_quantmcu.graph.types import Window
from tflm_quantmcu.law.arithmetic import OutputFormat, rescale
from tflm_quantmcu.law.arrays import Int8Array, Int32Array, Int64Array

ONE_PIXEL = 1 << 10  # a pixel, in the steps of a bilinear resize
HALF_PIXEL_CENTRES, ALIGNED_CORNERS = 1, 2  # bits of a bilinear resize's mode


def resize_nearest(
    x: Int8Array,
    table: Int32Array,
    *,
    window: Window,
    size: tuple[int, int],
    zero_in: int,
    output: OutputFormat,
) -> Int8Array:
    """Law A28.

    Args:
      x: int8 [N, H, W, C].
      table: int32 [2]: multiplier, shift.
      window: its strides are the factors; its pads say how many pixels the first of the output stands behind the first
        that x makes.
      size, zero_in, output: as of `arithmetic.conv2d`.

    Returns:
      int8 [N, *size, C].
    """
    rows = (np.arange(size[0]) + window.pad_top) // window.stride_height
    columns = (np.arange(size[1]) + window.pad_left) // window.stride_width
    return rescale(x, table, zero_in, output)[:, rows][:, :, columns]


def resize_bilinear(
    x: Int8Array,
    table: Int32Array,
    *,
    positions: tuple[Int64Array, Int64Array],
    zero_in: int,
    output: OutputFormat,
) -> Int8Array:
    """Law A26, then A7.

    Args:
      x: int8 [N, H, W, C].
      table: int32 [2]: multiplier, shift.
      positions: int64 [rows] and [columns] of the output, in 1024ths of a pixel of x, which holds all that they mix
        (docs/arithmetic.md).
      zero_in, output: as of `arithmetic.conv2d`.

    Returns:
      int8 [N, rows, columns, C].
    """
    mixed = x.astype(np.int64)
    for axis, position in enumerate(positions, 1):
        lower, upper = neighbours(position, x.shape[axis])
        share = np.expand_dims(position - ONE_PIXEL * lower, [a for a in range(4) if a != axis])
        mixed = np.take(mixed, lower, axis) * (ONE_PIXEL - share) + np.take(mixed, upper, axis) * share
    half = np.where(mixed > 0, 1 << 19, -(1 << 19))
    return rescale(np.trunc((mixed + half) / (1 << 20)).astype(np.int8), table, zero_in, output)


def depth_to_space(
    x: Int8Array,
    table: Int32Array,
    *,
    window: Window,
    size: tuple[int, int],
    zero_in: int,
    output: OutputFormat,
) -> Int8Array:
    """Law A29.

    Args:
      x: int8 [N, H, W, rows * columns * C] of a block of rows x columns.
      window: its strides are the block's rows and columns; its pads as of `resize_nearest`.
      table, size, zero_in, output: as of `resize_nearest`.

    Returns:
      int8 [N, *size, C].
    """
    samples, height, width, depth = x.shape
    rows, columns = window.stride_height, window.stride_width
    channels = depth // (rows * columns)
    parts = rescale(x, table, zero_in, output).reshape(samples, height, width, rows, columns, channels)
    y = parts.transpose(0, 1, 3, 2, 4, 5).reshape(samples, height * rows, width * columns, channels)
    return y[:, window.pad_top : window.pad_top + size[0], window.pad_left : window.pad_left + size[1]]


def gather_channels(
    inputs: Sequence[Int8Array], table: Int32Array, *, zeros_in: Sequence[int], output: OutputFormat
) -> Int8Array:
    """Law A27.

    Args:
      inputs: int8 [N, H, W, C] each, of channels of their own.
      table: int32 [2 * inputs + 2 * runs]: multiplier and shift of each input, then first and count of each run of
        channels, in the order of the output.
      zeros_in: zero points of the inputs.
      output: as of `arithmetic.conv2d`.

    Returns:
      int8 [N, H, W, channels of all runs].
    """
    factors, runs = np.split(table.reshape(-1, 2), [len(inputs)])
    rescaled = [rescale(x, f, zero, output) for x, f, zero in zip(inputs, factors, zeros_in, strict=True)]
    channels = np.concatenate(rescaled, axis=-1)
    return np.concatenate([channels[..., first : first + count] for first, count in runs.tolist()], axis=-1)


def resize_positions(size: int, wanted: int, mode: int) -> tuple[int, int]:
    """(step, first) of the positions in 1024ths at which a bilinear resize of `size` pixels reads (law A26). Source:
    ResizeBilinearInteger of TFLM's reference/resize_bilinear.h."""
    step = (ONE_PIXEL * size + wanted // 2) // wanted
    if mode & ALIGNED_CORNERS and wanted > 1:
        step = (ONE_PIXEL * (size - 1) + (wanted - 1) // 2) // (wanted - 1)
    return step, step // 2 - ONE_PIXEL // 2 if mode & HALF_PIXEL_CENTRES else 0


def neighbours(position: Int64Array, size: int) -> tuple[Int64Array, Int64Array]:
    """The pixels that a bilinear resize of `size` pixels mixes at positions, int64 [n] in 1024ths of a pixel; int64 [n]
    each."""
    lower = np.maximum(np.trunc(position / ONE_PIXEL).astype(int), 0)
    return lower, np.minimum(np.trunc((position + ONE_PIXEL - 1) / ONE_PIXEL).astype(int), size - 1)
