"""The networks on which methods are chosen, and those kept apart on which they are judged.

Small networks of the kinds that people put on microcontrollers. A method, an order or a constant of post-training
quantisation is chosen by the networks of `Role.CHOOSE` alone; those of `Role.JUDGE` are looked at when it stands, and
each look is told of where its figures are. Training is in `train.py`, the samples in `samples.py`.
"""

from __future__ import annotations

import dataclasses
import enum
import pathlib
from collections.abc import Callable

from tflm_quantmcu.keras_bridge.to_tflite import keras

NUM_CLASSES = 10
WEIGHTS = pathlib.Path(__file__).with_name("weights")  # int8 files of those whose figures are told


class Role(enum.Enum):
    CHOOSE = "choose"
    JUDGE = "judge"


@dataclasses.dataclass(frozen=True)
class JudgingNetwork:
    """A network and how it is trained.

    Attributes:
      role: what its figures may decide.
      build: input [side, side, channels] -> logits [NUM_CLASSES].
      data: whose images it is trained on, see `samples.DATA`.
      side: of its input, pixels; images are enlarged.
      epochs: of training.
      learning_rate: the largest, of Adam.
      seed: of everything random in training.
    """

    role: Role
    build: Callable[[keras.KerasTensor], keras.KerasTensor]
    data: str
    side: int
    epochs: int
    learning_rate: float = 2e-3
    seed: int = 0


def _conv(x: keras.KerasTensor, filters: int, kernel: int | tuple[int, int] = 3, *, stride: int = 1, act: str = "relu"):
    """Convolution, batch normalisation, activation; `act` "" is none."""
    x = keras.layers.Conv2D(filters, kernel, strides=stride, padding="same", use_bias=False)(x)
    return _activated(x, act)


def _depthwise(x: keras.KerasTensor, kernel: int = 3, *, stride: int = 1, act: str = "relu") -> keras.KerasTensor:
    x = keras.layers.DepthwiseConv2D(kernel, strides=stride, padding="same", use_bias=False)(x)
    return _activated(x, act)


def _activated(x: keras.KerasTensor, act: str) -> keras.KerasTensor:
    x = keras.layers.BatchNormalization(momentum=0.9)(x)
    if act == "relu6":
        return keras.layers.ReLU(6.0)(x)
    return keras.layers.Activation(act)(x) if act else x


def _head(x: keras.KerasTensor) -> keras.KerasTensor:
    return keras.layers.Dense(NUM_CLASSES)(keras.layers.GlobalAveragePooling2D()(x))


def _inverted_residual(x: keras.KerasTensor, expand: int, filters: int, kernel: int = 3, *, stride: int = 1, act: str):
    """The block of MobileNetV2 and V3: expansion, depthwise, projection without activation."""
    y = _conv(x, expand * x.shape[-1], 1, act=act)
    y = _depthwise(y, kernel, stride=stride, act=act)
    y = _conv(y, filters, 1, act="")
    return keras.layers.Add()([x, y]) if stride == 1 and filters == x.shape[-1] else y


def mobilenet_v1(x: keras.KerasTensor) -> keras.KerasTensor:
    """MobileNetV1 at a quarter of its channels, half as deep."""
    x = _conv(x, 8, stride=2)
    for filters, stride in ((16, 1), (32, 2), (32, 1), (64, 2), (64, 1), (128, 2)):
        x = _conv(_depthwise(x, stride=stride), filters, 1)
    return _head(x)


def mobilenet_v2(x: keras.KerasTensor) -> keras.KerasTensor:
    """MobileNetV2 with few channels: ReLU6, linear bottlenecks, residual adds."""
    x = _conv(x, 8, stride=2, act="relu6")
    blocks = ((1, 8, 1), (4, 12, 2), (4, 12, 1), (4, 16, 2), (4, 16, 1), (4, 24, 2), (4, 24, 1), (4, 40, 2))
    for expand, filters, stride in blocks:
        x = _inverted_residual(x, expand, filters, stride=stride, act="relu6")
    return _head(_conv(x, 128, 1, act="relu6"))


def mobilenet_v3(x: keras.KerasTensor) -> keras.KerasTensor:
    """MobileNetV3's blocks without gates: hard swish, kernels of 3 and 5."""
    x = _conv(x, 12, stride=2, act="hard_swish")
    blocks = ((2, 12, 3, 1, "relu"), (3, 20, 3, 2, "relu"), (3, 20, 5, 1, "hard_swish"), (4, 32, 5, 2, "hard_swish"))
    for expand, filters, kernel, stride, act in (*blocks, (3, 32, 5, 1, "hard_swish")):
        x = _inverted_residual(x, expand, filters, kernel, stride=stride, act=act)
    return _head(_conv(x, 128, 1, act="hard_swish"))


def resnet(x: keras.KerasTensor) -> keras.KerasTensor:
    """A ResNet of three levels with one block each, as MLPerf Tiny's."""
    x = _conv(x, 12)
    for filters, stride in ((12, 1), (24, 2), (48, 2)):
        y = _conv(_conv(x, filters, stride=stride), filters, act="")
        if stride > 1:
            x = _conv(x, filters, 1, stride=stride, act="")
        x = keras.layers.Activation("relu")(keras.layers.Add()([x, y]))
    return _head(x)


def ds_cnn(x: keras.KerasTensor) -> keras.KerasTensor:
    """The keyword network's shape: an oblong first kernel, then depthwise and pointwise ones of equal width."""
    x = _conv(x, 48, (8, 4), stride=2)
    for _ in range(4):
        x = _conv(_depthwise(x), 48, 1)
    return _head(x)


def inception(x: keras.KerasTensor) -> keras.KerasTensor:
    """Branches of several kernels, concatenated."""
    x = _conv(_conv(x, 12, stride=2), 16, stride=2)
    for filters in (12, 20, 28):
        pooled = keras.layers.MaxPooling2D(3, strides=1, padding="same")(x)
        branches = [_conv(x, filters, 1), _conv(_conv(x, filters // 2, 1), filters), _conv(pooled, filters // 2, 1)]
        branches.append(_conv(_conv(_conv(x, filters // 4, 1), filters // 2), filters // 2))
        x = keras.layers.MaxPooling2D(2)(keras.layers.Concatenate()(branches))
    return _head(x)


NETWORKS = {
    "mobilenet_v1_48": JudgingNetwork(Role.CHOOSE, mobilenet_v1, "fashion_mnist", side=48, epochs=2),
    "mobilenet_v3_48": JudgingNetwork(Role.CHOOSE, mobilenet_v3, "cifar10", side=48, epochs=4),
    "resnet_digits": JudgingNetwork(Role.CHOOSE, resnet, "digits", side=32, epochs=6),
    "ds_cnn_28": JudgingNetwork(Role.JUDGE, ds_cnn, "fashion_mnist", side=28, epochs=3),
    "mobilenet_v2_96": JudgingNetwork(Role.JUDGE, mobilenet_v2, "fashion_mnist", side=96, epochs=2),
    "inception_96": JudgingNetwork(Role.JUDGE, inception, "cifar10", side=96, epochs=3),
    "resnet_32": JudgingNetwork(Role.JUDGE, resnet, "cifar10", side=32, epochs=4),
}
