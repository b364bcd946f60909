"""MobileNetV1 as memory_rules sees it: sizes alone, for any width and resolution."""

from __future__ import annotations

from tflm_quantmcu.search.memory_rules import Extent, Layer

CLASSES = 1000
_BLOCKS = ((1, 64), (2, 128), (1, 128), (2, 256), (1, 256), (2, 512), *[(1, 512)] * 5, (2, 1024), (1, 1024))


def mobilenet_v1(alpha: float, resolution: int) -> list[Layer]:
    """28 layers: 0 the stem, odd ones depthwise, even ones pointwise, 27 fully connected; layer i writes map i + 1.

    The average pool before the last layer is no layer of its own: it keeps its input's bits.
    """
    layers: list[Layer] = []

    def append(source: Extent, written: Extent, num_weights: int) -> None:
        i = len(layers)
        layers.append(Layer(f"layer {i}", {i: source}, i + 1, written, num_weights, written.channels))

    side, channels = resolution // 2, int(32 * alpha)
    append(Extent(resolution**2, 3), Extent(side**2, channels), 27 * channels)
    for stride, outputs in _BLOCKS:
        source = Extent(side**2, channels)
        side = -(-side // stride)
        append(source, Extent(side**2, channels), 9 * channels)
        written = Extent(side**2, int(outputs * alpha))
        append(Extent(side**2, channels), written, channels * written.channels)
        channels = written.channels
    append(Extent(1, channels), Extent(1, CLASSES), channels * CLASSES)
    return layers
