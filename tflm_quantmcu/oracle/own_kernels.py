"""The numpy oracle of our own ops: which law computes which kind.

In: a call, values in whole arrays. Out: the output's values. Reductions at the end of a stage see `simulate.py`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tflm_quantmcu.graph.types import Window
from tflm_quantmcu.law import arithmetic, moves, two_maps
from tflm_quantmcu.law.arithmetic import OutputFormat
from tflm_quantmcu.law.arrays import Int8Array, Int32Array, Int64Array
from tflm_quantmcu.stage.geometry import Region, StageOp

NOWHERE = np.zeros(0, np.int64)
NO_FILTER = np.zeros(0, np.int8)


@dataclasses.dataclass(frozen=True, eq=False)
class Call:
    """What a kernel of ours is called with.

    Attributes:
      inputs: int8 [N, H, W, C], or [N, ...] of a fully connected op.
      filter: int8; empty without weights.
      table: int32, as `requantization_table` gives it.
      size: (height, width) of the output.
      zeros: zero point of each input.
      positions: of a bilinear resize, those of each row and column of the output in the input (law A26).
    """

    inputs: Sequence[Int8Array]
    filter: Int8Array
    table: Int32Array
    window: Window
    size: tuple[int, int]
    zeros: Sequence[int]
    depth_multiplier: int
    output: OutputFormat
    positions: tuple[Int64Array, Int64Array] = (NOWHERE, NOWHERE)

    @property
    def place(self) -> dict[str, Any]:
        """Where ops that slide a window, or move, read and write."""
        return {"window": self.window, "size": self.size, "zero_in": self.zeros[0], "output": self.output}


Law = Callable[[Call], Int8Array]


def moved_window(op: StageOp, source: Region, corner: tuple[int, int]) -> Window:
    """The window of a stage's op from the first pixel (y, x) that a tile computes, over its region of the input; of an
    upsampling, whose strides are on its output, by how far that pixel stands behind the first that the region makes."""
    (top, _, left, _), (y0, x0), window = source, corner, op.window
    height, width = window.stride_height, window.stride_width
    if op.traits.upsamples:
        return dataclasses.replace(window, pad_top=y0 - top * height, pad_left=x0 - left * width)
    pads = {"pad_top": window.pad_top - y0 * height + top, "pad_left": window.pad_left - x0 * width + left}
    return dataclasses.replace(window, **pads)


def resize_places(
    op: StageOp, shapes: Sequence[tuple[int, int, int]], source: Region, corner: tuple[int, int], size: tuple[int, int]
) -> tuple[Int64Array, Int64Array]:
    """The positions, int64 [rows] and [columns] in 1024ths of a pixel of the region that is read (`Call.positions`), of
    a stage's bilinear resize.

    Args:
      op: the resize.
      shapes: [map] (height, width, channels) of the stage.
      source: the region of the input that the tile reads.
      corner: y, x of the first pixel that the tile computes.
      size: rows and columns that it computes.
    """
    begins, found = (source[0], source[2]), []
    for axis in range(2):
        extents = (shapes[op.inputs[0]][axis], shapes[op.output][axis])
        step, first = moves.resize_positions(*extents, op.depth_multiplier)
        pixels = np.arange(corner[axis], corner[axis] + size[axis])
        found.append(pixels * step + first - moves.ONE_PIXEL * begins[axis])
    return found[0], found[1]


def _depthwise_conv2d(call: Call) -> Int8Array:
    multiplier = call.depth_multiplier
    return arithmetic.depthwise_conv2d(
        call.inputs[0], call.filter, call.table, depth_multiplier=multiplier, **call.place
    )


def _fully_connected(call: Call) -> Int8Array:
    x = call.inputs[0].reshape(len(call.inputs[0]), -1)
    return arithmetic.fully_connected(x, call.filter, call.table, zero_in=call.zeros[0], output=call.output)


def _of_two(law: Callable[..., Int8Array]) -> Law:
    """The law of an op that reads two maps value by value."""
    return lambda call: law(*call.inputs, call.table, zero_in=(call.zeros[0], call.zeros[1]), output=call.output)


def _channel_lut(call: Call) -> Int8Array:
    table = call.table.reshape(call.inputs[0].shape[-1], -1)
    return arithmetic.lut(call.inputs[0], table, window=call.window, size=call.size, output=call.output)


def _lut(call: Call) -> Int8Array:
    return arithmetic.lut(call.inputs[0], call.table, window=call.window, size=call.size, output=call.output)


def _resize_bilinear(call: Call) -> Int8Array:
    return moves.resize_bilinear(
        call.inputs[0], call.table, positions=call.positions, zero_in=call.zeros[0], output=call.output
    )


def _gather_channels(call: Call) -> Int8Array:
    return moves.gather_channels(call.inputs, call.table, zeros_in=call.zeros, output=call.output)


# The law of each kernel of ours, by the kind of the op.
LAWS: Mapping[str, Law] = {
    "CONV_2D": lambda call: arithmetic.conv2d(call.inputs[0], call.filter, call.table, **call.place),
    "DEPTHWISE_CONV_2D": _depthwise_conv2d,
    "FULLY_CONNECTED": _fully_connected,
    "ADD": _of_two(arithmetic.add),
    "AVERAGE_POOL_2D": lambda call: arithmetic.average_pool2d(call.inputs[0], call.table, **call.place),
    "MAX_POOL_2D": lambda call: arithmetic.max_pool2d(call.inputs[0], call.table, **call.place),
    "REQUANTIZE": lambda call: arithmetic.requantize(call.inputs[0], call.table, **call.place),
    "LUT": _lut,
    "CHANNEL_LUT": _channel_lut,
    "GATHER_CHANNELS": _gather_channels,
    "DEPTH_TO_SPACE": lambda call: moves.depth_to_space(call.inputs[0], call.table, **call.place),
    "MUL": _of_two(two_maps.product),
    "RESIZE_BILINEAR": _resize_bilinear,
    "RESIZE_NEAREST": lambda call: moves.resize_nearest(call.inputs[0], call.table, **call.place),
    "SUB": _of_two(two_maps.difference),
}
