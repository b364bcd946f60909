"""Detectors and keypoint networks of the kinds that people run on microcontrollers, for experiments.zoo.

    python -m experiments.zoo --models experiments/detectors.py

Each has the ops, widths and sizes of a public one, with random weights: function -> Keras model, samples float32
[N, H, W, C], and the type of the file's input where that is not int8.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tflm_quantmcu.keras_bridge.to_tflite import keras

Layers = keras.layers
Map = Any  # a KerasTensor
Built = tuple[Any, np.ndarray] | tuple[Any, np.ndarray, str]
_SAMPLES = 4
_BLAZE_FACE = ((24, 1), (28, 1), (32, 2), (36, 1), (42, 1), (48, 2), (56, 1), (64, 1), (72, 1), (80, 1), (88, 1))
_YOLO_FASTEST = ((8, 1), (8, 2), (16, 1), (16, 2), (24, 1), (24, 2), (48, 1), (48, 1))


def images(size: int, channels: int = 3) -> np.ndarray:
    """float32 [4, size, size, channels] in -1 to 1, neighbours alike."""
    x = np.random.default_rng(7).normal(size=(_SAMPLES, size, size, channels))
    smooth = (x + np.roll(x, 1, 1) + np.roll(x, 1, 2) + np.roll(x, (1, 1), (1, 2))) / 2
    return np.clip(smooth / 2, -1, 1).astype(np.float32)


def conv(x: Map, filters: int, kernel: int = 3, stride: int = 1, activation: str | None = "relu6") -> Map:
    """Convolution, batch normalisation and activation."""
    x = Layers.Conv2D(filters, kernel, strides=stride, padding="same", use_bias=False)(x)
    x = Layers.BatchNormalization()(x)
    return Layers.Activation(activation)(x) if activation else x


def depthwise(x: Map, kernel: int = 3, stride: int = 1, activation: str | None = "relu6") -> Map:
    x = Layers.DepthwiseConv2D(kernel, strides=stride, padding="same", use_bias=False)(x)
    x = Layers.BatchNormalization()(x)
    return Layers.Activation(activation)(x) if activation else x


def separable(x: Map, filters: int, stride: int = 1) -> Map:
    return conv(depthwise(x, stride=stride), filters, 1)


def inverted_residual(x: Map, filters: int, stride: int, expansion: int) -> Map:
    y = depthwise(conv(x, expansion * x.shape[-1], 1), stride=stride)
    y = conv(y, filters, 1, activation=None)
    return Layers.Add()([x, y]) if stride == 1 and x.shape[-1] == filters else y


def nearest(x: Map) -> Map:
    """Twice the height and width; Keras' UpSampling2D would become TILE, which TFLM does not have."""
    return keras.ops.image.resize(x, (2 * x.shape[1], 2 * x.shape[2]), interpolation="nearest")


def predictions(maps: Sequence[Map], count: int) -> Map:
    """[1, anchors, count] of 1x1 convolutions of maps of several sizes."""
    rows = [Layers.Reshape((-1, count))(Layers.Conv2D(2 * count, 1)(x)) for x in maps]
    return Layers.Concatenate(axis=1)(rows)


def yolo_fastest_face() -> Built:
    """YOLO-fastest of faces: grey, inverted residuals, two maps of boxes."""
    source = keras.Input((192, 192, 1))
    x = conv(source, 8, stride=2)
    for filters, stride in _YOLO_FASTEST:
        x = inverted_residual(x, filters, stride, 4)
    small = inverted_residual(x, 96, 2, 3)
    deep = conv(small, 96, 1)
    large = Layers.Concatenate()([nearest(deep), conv(x, 96, 1)])
    heads = [Layers.Conv2D(18, 1)(separable(y, 96)) for y in (large, deep)]
    return keras.Model(source, heads), images(192, 1)


def fomo_face() -> Built:
    """FOMO: the front of MobileNetV2 0.35 and a map of classes."""
    base = keras.applications.MobileNetV2((96, 96, 3), alpha=0.35, weights=None, include_top=False)
    x = Layers.Conv2D(32, 1, activation="relu")(base.get_layer("block_6_expand_relu").output)
    return keras.Model(base.input, Layers.Softmax()(Layers.Conv2D(2, 1)(x))), images(96)


def c2f(x: Map, filters: int, is_residual: bool = True) -> Map:
    """YOLOv8's block: halves of the channels, one of them through two convolutions, side by side."""
    first, second = keras.ops.split(conv(x, filters, 1, activation="silu"), 2, axis=-1)
    y = conv(conv(second, filters // 2, activation="silu"), filters // 2, activation="silu")
    y = Layers.Add()([second, y]) if is_residual else y
    return conv(Layers.Concatenate()([first, second, y]), filters, 1, activation="silu")


def sppf(x: Map, filters: int) -> Map:
    """Pools of pools side by side."""
    found = [conv(x, filters // 2, 1, activation="silu")]
    for _ in range(3):
        found.append(Layers.MaxPooling2D(5, 1, padding="same")(found[-1]))
    return conv(Layers.Concatenate()(found), filters, 1, activation="silu")


def yolov8n() -> Built:
    """YOLOv8n: C2f, SPPF, a neck that goes up and down, three maps of boxes and scores."""
    x = source = keras.Input((192, 192, 3))
    maps = []
    for filters in (16, 32, 64, 128, 256):
        x = conv(x, filters, stride=2, activation="silu")
        x = c2f(x, filters) if filters > 16 else x
        maps.append(x)
    x = sppf(x, 256)
    fourth = c2f(Layers.Concatenate()([nearest(x), maps[3]]), 128, False)
    third = c2f(Layers.Concatenate()([nearest(fourth), maps[2]]), 64, False)
    fourth = c2f(Layers.Concatenate()([conv(third, 64, stride=2, activation="silu"), fourth]), 128, False)
    fifth = c2f(Layers.Concatenate()([conv(fourth, 128, stride=2, activation="silu"), x]), 256, False)
    heads = [conv(conv(y, 64, activation="silu"), 64, activation="silu") for y in (third, fourth, fifth)]
    boxes, scores = (predictions(heads, count) for count in (4, 1))
    return keras.Model(source, [boxes, Layers.Activation("sigmoid")(scores)]), images(192)


def blaze_block(x: Map, filters: int, stride: int, activation: Callable[[Map], Map]) -> Map:
    """Depthwise 5x5 and 1x1; the way around gets channels of zeros."""
    y = Layers.Conv2D(filters, 1)(Layers.DepthwiseConv2D(5, strides=stride, padding="same")(x))
    x = Layers.MaxPooling2D(2)(x) if stride == 2 else x
    more = filters - x.shape[-1]
    x = keras.ops.pad(x, ((0, 0), (0, 0), (0, 0), (0, more))) if more else x
    return activation(Layers.Add()([x, y]))


def blaze_face() -> Built:
    """BlazeFace: two maps of boxes."""
    source = keras.Input((128, 128, 3))
    x = Layers.Conv2D(24, 5, strides=2, padding="same", activation="relu")(source)
    for filters, stride in _BLAZE_FACE:
        x = blaze_block(x, filters, stride, Layers.ReLU())
    small = x
    for stride in (2, 1, 1, 1, 1):
        small = blaze_block(small, 96, stride, Layers.ReLU())
    boxes, scores = (predictions([x, small], count) for count in (16, 1))
    return keras.Model(source, [boxes, scores]), images(128)


def prelu() -> Callable[[Map], Map]:
    return Layers.PReLU(shared_axes=[1, 2], alpha_initializer=keras.initializers.RandomUniform(0.1, 0.3))


def palm_detection() -> Built:
    """Palm detection: BlazeFace's blocks with PReLU, a neck of bilinear resizes."""
    source = keras.Input((192, 192, 3))
    x = prelu()(Layers.Conv2D(32, 5, strides=2, padding="same")(source))
    maps = []
    for filters in (32, 64, 128, 256):
        x = blaze_block(x, filters, 1 if filters == 32 else 2, prelu())
        x = blaze_block(x, filters, 1, prelu())
        maps.append(x)
    for skip in maps[2:1:-1]:
        up = Layers.UpSampling2D(interpolation="bilinear")(x)
        x = blaze_block(Layers.Add()([prelu()(Layers.Conv2D(skip.shape[-1], 1)(up)), skip]), 128, 1, prelu())
    boxes, scores = (predictions([x, maps[-1]], count) for count in (18, 1))
    return keras.Model(source, [boxes, scores]), images(192)


def hand_landmarks() -> Built:
    """Hand landmarks: inverted residuals behind a QUANTIZE, four heads."""
    source = keras.Input((224, 224, 3))
    x = conv(source, 16, stride=2)
    for filters, stride in ((16, 1), (24, 2), (24, 1), (40, 2), (40, 1), (80, 2), (80, 1), (112, 1), (192, 2)):
        x = inverted_residual(x, filters, stride, 4)
    x = Layers.GlobalAveragePooling2D()(x)
    heads = [Layers.Dense(count)(x) for count in (63, 1, 1, 63)]
    return keras.Model(source, heads), images(224), "uint8"


def face_landmarks() -> Built:
    """Face landmarks: PReLU written out as maximum, product and sum, behind a QUANTIZE."""

    def written_out(x: Map) -> Map:
        slope = np.linspace(0.1, 0.3, x.shape[-1], dtype=np.float32)
        return keras.ops.maximum(x, 0.0) + keras.ops.minimum(x, 0.0) * slope

    source = keras.Input((192, 192, 3))
    x = written_out(Layers.Conv2D(16, 3, strides=2, padding="same")(source))
    for filters in (16, 32, 64, 128, 128, 128):
        x = blaze_block(x, filters, 1 if filters == 16 else 2, written_out)
        x = blaze_block(x, filters, 1, written_out)
    x = Layers.Conv2D(1404, x.shape[1])(x)
    return keras.Model(source, Layers.Flatten()(x)), images(192), "float32"


def yolo_lc() -> Built:
    """YOLO-LC: convolutions and pools with leaky ReLU behind a QUANTIZE, a map of boxes."""
    x = source = keras.Input((192, 192, 3))
    for filters in (8, 16, 24, 32, 48):
        x = Layers.LeakyReLU(0.1)(conv(x, filters, activation=None))
        x = Layers.MaxPooling2D(2)(x)
    for filters in (64, 64):
        x = Layers.LeakyReLU(0.1)(conv(x, filters, activation=None))
    return keras.Model(source, Layers.Conv2D(30, 1)(x)), images(192), "uint8"


def ssd_mobilenet() -> Built:
    """SSD on MobileNetV1 0.25: maps of several sizes, prior boxes that a TILE of constants makes."""
    source = keras.Input((192, 192, 3), batch_size=1)
    x, maps = conv(source, 8, stride=2), []
    for filters, stride in (
        (16, 1),
        (32, 2),
        (32, 1),
        (64, 2),
        (64, 1),
        (128, 2),
        *((128, 1),) * 5,
        (256, 2),
        (256, 1),
    ):
        if filters == 256 and stride == 2:
            maps.append(x)
        x = separable(x, filters, stride)
    maps.append(x)
    for filters in (64, 32):
        x = conv(conv(x, filters, 1), 2 * filters, stride=2)
        maps.append(x)
    boxes, scores = (predictions(maps, count) for count in (4, 2))
    priors = np.random.default_rng(3).uniform(-1, 1, (1, boxes.shape[1], 8)).astype(np.float32)

    def with_priors(values: Sequence[Map]) -> Map:
        batch = keras.ops.shape(values[0])[0]
        return keras.ops.concatenate([*values, keras.ops.tile(priors, (batch, 1, 1))], axis=-1)

    outputs = Layers.Lambda(with_priors)([Layers.Softmax()(scores), boxes])
    return keras.Model(source, outputs), images(192)[:1]


ZOO: dict[str, Callable[[], Built]] = {
    build.__name__: build
    for build in (
        yolo_fastest_face,
        fomo_face,
        yolov8n,
        blaze_face,
        palm_detection,
        hand_landmarks,
        face_landmarks,
        yolo_lc,
        ssd_mobilenet,
    )
}
