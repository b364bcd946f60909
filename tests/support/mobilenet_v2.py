"""MobileNetV2 as published, as a list of layers: no weights, only what sizes and work follow from."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from tflm_quantmcu.graph.types import Window
from tflm_quantmcu.stage import tiles
from tflm_quantmcu.stage.geometry import StageGeometry, macs_per_pixel

_BLOCKS = ((1, 16, 1, 1), (6, 24, 2, 2), (6, 32, 3, 2), (6, 64, 4, 2), (6, 96, 3, 1), (6, 160, 3, 2), (6, 320, 1, 1))


@dataclasses.dataclass(frozen=True)
class Layer:
    """A convolution on square maps."""

    kind: str
    kernel: int
    stride: int
    inputs: int
    outputs: int
    extent: int

    @property
    def pad(self) -> int:
        return self.kernel // 2

    @property
    def output_extent(self) -> int:
        return (self.extent + 2 * self.pad - self.kernel) // self.stride + 1

    @property
    def window(self) -> Window:
        return Window(self.kernel, self.kernel, self.stride, self.stride, 1, 1, self.pad, self.pad)

    @property
    def input_bytes(self) -> int:
        return self.extent**2 * self.inputs

    @property
    def output_bytes(self) -> int:
        return self.output_extent**2 * self.outputs

    @property
    def pixel_macs(self) -> int:
        return macs_per_pixel(self.kind, self.window, self.inputs, self.outputs)

    @property
    def macs(self) -> int:
        return self.output_extent**2 * self.pixel_macs


def mobilenet_v2(width: float, extent: int, *, features: int, expands_first: bool = False) -> list[Layer]:
    """The convolutions in order.

    Args:
      width: channels are int(width x those of width 1).
      extent: of the input.
      features: channels of the last convolution.
      expands_first: the first block has a 1x1 convolution that widens nothing.
    """
    layers = [Layer("CONV_2D", 3, 2, 3, int(32 * width), extent)]

    def add(kind: str, kernel: int, stride: int, outputs: int) -> None:
        before = layers[-1]
        layers.append(Layer(kind, kernel, stride, before.outputs, outputs, before.output_extent))

    for expansion, channels, count, stride in _BLOCKS:
        for i in range(count):
            hidden = layers[-1].outputs * expansion
            if expansion > 1 or expands_first:
                add("CONV_2D", 1, 1, hidden)
            add("DEPTHWISE_CONV_2D", 3, stride if i == 0 else 1, hidden)
            add("CONV_2D", 1, 1, int(channels * width))
    add("CONV_2D", 1, 1, features)
    return layers


def geometry(layers: Sequence[Layer]) -> StageGeometry:
    """Geometry of the layers as one stage, without residuals."""
    shapes = [(layer.extent, layer.extent, layer.inputs) for layer in layers]
    shapes.append((layers[-1].output_extent, layers[-1].output_extent, layers[-1].outputs))
    return StageGeometry.of_steps(shapes, [(layer.window, (i,), i + 1, False) for i, layer in enumerate(layers)])


def tile_sides(layers: Sequence[Layer], tile: int) -> list[int]:
    """Side of what a tile needs of each map where no border clips it, the output's last."""
    ops = [dataclasses.replace(op, pad=0) for op in geometry(layers).ops_y]
    far = 1 << 20
    spans = tiles.axis_spans(
        ops, [4 * far] * (len(layers) + 1), [(far // 64, far // 64 + tile)], [False] * (len(ops) + 1)
    )
    return np.subtract(spans[0, :, tiles.END], spans[0, :, tiles.BEGIN]).tolist()
