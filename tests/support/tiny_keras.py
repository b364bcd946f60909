"""Small real Keras models and their data."""

from __future__ import annotations

import numpy as np

from tflm_quantmcu.keras_bridge.to_tflite import keras

SHAPE = (8, 6, 2)


class SubclassedCnn(keras.Model):
    """A convolution and a classifier, built by its first call."""

    def __init__(self) -> None:
        super().__init__()
        self.convolution = keras.layers.Conv2D(4, 3, activation="relu")
        self.classifier = keras.layers.Dense(3)

    def call(self, x):
        return self.classifier(keras.ops.mean(self.convolution(x), axis=(1, 2)))


def functional_cnn(shape: tuple[int | None, ...] = SHAPE) -> keras.Model:
    """Depthwise and plain convolutions, a residual add, Flatten and a classifier where the size is known."""
    keras.utils.set_random_seed(5)
    x = keras.Input(shape, name="image")
    y = keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="stem")(x)
    z = keras.layers.DepthwiseConv2D(3, padding="same", name="depthwise")(y)
    z = keras.layers.ReLU()(keras.layers.BatchNormalization()(keras.layers.add([y, z])))
    pool = keras.layers.GlobalAveragePooling2D() if None in shape else keras.layers.Flatten()
    return keras.Model(x, keras.layers.Dense(3, name="logits")(pool(z)))


def samples(count: int = 24) -> tuple[np.ndarray, np.ndarray]:
    """Inputs float32 [count, 8, 6, 2] and labels [count]."""
    rng = np.random.default_rng(9)
    return rng.normal(size=(count, *SHAPE)).astype(np.float32), rng.integers(0, 3, count)


class TrainsUnlessTold(keras.layers.Layer):
    """Adds 3 in training, which is its default."""

    def call(self, x, training=True):
        return x + 3.0 if training else x


class SubclassedTrainer(SubclassedCnn):
    """Adds 3 to the input and to the outputs in training, which is its default."""

    def __init__(self) -> None:
        super().__init__()
        self.trainer = TrainsUnlessTold()

    def call(self, x, training=True):
        y = super().call(self.trainer(x))
        return y + 3.0 if training else y
