"""What the taps of a window read, of whole maps at once: the gathering that convolutions and pools of the oracle share.

In: a batch of maps [N, H, W, C] and a window. Out: an array [N, *size, C] a tap.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from tflm_quantmcu.graph.types import Window

_Value = TypeVar("_Value", bound=np.generic)


def tap_values(
    x: npt.NDArray[_Value], window: Window, size: tuple[int, int], fill: int
) -> Iterator[tuple[int, int, npt.NDArray[_Value]]]:
    """What each tap of a window reads for all outputs.

    Args:
      x: [N, H, W, C] of any dtype, which stays.
      window: its bottom and right pads follow from `size`; the others may be negative.
      size: output height and width.
      fill: what is read outside the map.

    Yields:
      (ky, kx, values [N, *size, C]) of every tap, row by row.
    """
    x = padded(x, window, size, fill)
    for ky in range(window.kernel_height):
        for kx in range(window.kernel_width):
            y0, x0 = ky * window.dilation_height, kx * window.dilation_width
            tap = x[:, y0 :: window.stride_height, x0 :: window.stride_width]
            yield ky, kx, tap[:, : size[0], : size[1]]


def padded(x: npt.NDArray[_Value], window: Window, size: tuple[int, int], fill: int) -> npt.NDArray[_Value]:
    """All that a window reads: [N, height, width, C] of x's dtype, from the first tap of the first output on.

    Args:
      x, window, size, fill: as of `tap_values`.
    """
    rows = _read_extent(window.pad_top, size[0], window.stride_height, window.kernel_height, window.dilation_height)
    cols = _read_extent(window.pad_left, size[1], window.stride_width, window.kernel_width, window.dilation_width)
    return _crop_or_pad(x, rows, cols, fill)


def _read_extent(pad: int, size: int, stride: int, kernel: int, dilation: int) -> tuple[int, int]:
    """[start, end) in input coordinates of all that an axis' windows cover."""
    return -pad, -pad + max(0, (size - 1) * stride + (kernel - 1) * dilation + 1)


def _crop_or_pad(
    x: npt.NDArray[_Value], rows: tuple[int, int], cols: tuple[int, int], fill: int
) -> npt.NDArray[_Value]:
    """The part [rows) x [cols) of a map, which may reach outside it."""
    (top, bottom), (left, right) = rows, cols
    height, width = x.shape[1:3]
    if top == 0 and left == 0 and bottom <= height and right <= width:
        return x[:, :bottom, :right]
    part = np.full((len(x), bottom - top, right - left, x.shape[-1]), fill, x.dtype)
    y0, y1, x0, x1 = max(top, 0), min(bottom, height), max(left, 0), min(right, width)
    if y0 < y1 and x0 < x1:
        part[:, y0 - top : y1 - top, x0 - left : x1 - left] = x[:, y0:y1, x0:x1]
    return part
