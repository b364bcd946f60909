"""A MobileNetV2-style classifier whose arena is ruled by its first, high-resolution feature maps.

Inverted residual blocks as in MobileNetV2 (arXiv 1801.04381), thin enough for a microcontroller. With a 96x96 input the
first block works on 48x48x48 maps (110,592 bytes each at int8), with a residual add around it; from the fourth block on
no map exceeds 14 KB. This is the shape that patch splitting is for.
"""

from __future__ import annotations

import dataclasses

import keras
from keras import layers


@dataclasses.dataclass(frozen=True)
class Block:
    """An inverted residual block; where the stride is 1 and the width unchanged, its input is added to its output.

    Attributes:
      channels: of the output.
      stride: of the depthwise convolution.
      expansion: channels inside the block, as a multiple of its input's.
    """

    channels: int
    stride: int
    expansion: int


STEM_CHANNELS = 8
BLOCKS = (
    Block(8, stride=1, expansion=6),  # 48x48, residual
    Block(16, stride=2, expansion=6),  # 24x24
    Block(24, stride=2, expansion=6),  # 12x12
    Block(24, stride=1, expansion=4),  # 12x12, residual
    Block(32, stride=2, expansion=4),  # 6x6
    Block(32, stride=1, expansion=4),  # 6x6, residual
)
HEAD_CHANNELS = 64
# Follows the weights closely: the training runs are a few hundred steps long.
_BATCH_NORM_MOMENTUM = 0.9


def build(*, pixels: int, num_classes: int) -> keras.Model:
    """The network for inputs [N, pixels, pixels, 1]; its weights fit every input size alike. Returns logits."""
    image = keras.Input((pixels, pixels, 1), name="image")
    stem = layers.Conv2D(STEM_CHANNELS, 3, 2, "same", use_bias=False, name="stem")
    x = _normalise(stem(image), name="stem")
    for number, block in enumerate(BLOCKS, start=1):
        x = _inverted_residual(x, block, name=f"block{number}")
    head = layers.Conv2D(HEAD_CHANNELS, 1, use_bias=False, name="head")
    x = _normalise(head(x), name="head")
    x = layers.GlobalAveragePooling2D(name="pool")(x)
    return keras.Model(image, layers.Dense(num_classes, name="logits")(x), name="demo")


def _inverted_residual(x: keras.KerasTensor, block: Block, *, name: str) -> keras.KerasTensor:
    width = x.shape[-1]
    expand = layers.Conv2D(width * block.expansion, 1, use_bias=False, name=f"{name}_expand")
    y = _normalise(expand(x), name=f"{name}_expand")
    depthwise = layers.DepthwiseConv2D(3, block.stride, "same", use_bias=False, name=f"{name}_depthwise")
    y = _normalise(depthwise(y), name=f"{name}_depthwise")
    project = layers.Conv2D(block.channels, 1, use_bias=False, name=f"{name}_project")
    y = _normalise(project(y), name=f"{name}_project", relu=False)
    if block.stride == 1 and block.channels == width:
        y = layers.Add(name=f"{name}_add")([x, y])
    return y


def _normalise(x: keras.KerasTensor, *, name: str, relu: bool = True) -> keras.KerasTensor:
    x = layers.BatchNormalization(momentum=_BATCH_NORM_MOMENTUM, name=f"{name}_norm")(x)
    return layers.ReLU(6.0, name=f"{name}_relu")(x) if relu else x
