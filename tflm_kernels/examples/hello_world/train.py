"""Trains the hello world network and writes it as it is, split into patches, and split with 4-bit maps and weights.

Run, in a checkout:
`.venv/bin/python -m tflm_kernels.examples.hello_world.train --save_dir /tmp/hello_world_models`
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from absl import app, flags

import tflm_quantmcu as qm
from tflm_kernels.examples.hello_world import drawings

# Model file -> options of qm.convert.
CONVERSIONS = {
    "hello_world_split": {"search": "uniform", "activation_bits": 8, "weight_bits": 8},
    "hello_world_narrow": {"search": "uniform", "activation_bits": 4, "weight_bits": 4},
}
_SEED = 1

FLAGS = flags.FLAGS
flags.DEFINE_integer("epochs", 6, "number of epochs to train the model.")
flags.DEFINE_string("save_dir", str(Path(__file__).parent / "models"), "the directory to save the models in.")


def create_model():
    """A small CNN whose arena is ruled by its first feature maps; returns a compiled keras.Model."""
    import keras
    from keras import layers

    model = keras.Sequential(
        [
            keras.Input((drawings.PIXELS, drawings.PIXELS, 1)),
            layers.Conv2D(8, 3, padding="same", activation="relu"),
            layers.DepthwiseConv2D(3, strides=2, padding="same", activation="relu"),
            layers.Conv2D(12, 1, activation="relu"),
            layers.DepthwiseConv2D(3, strides=2, padding="same", activation="relu"),
            layers.Conv2D(16, 1, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(len(drawings.DIRECTIONS)),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(4e-3), loss=loss, metrics=["accuracy"])
    return model


def train_model(epochs: int):
    """The trained keras.Model; the same on every machine up to the rounding of its floats."""
    import keras

    keras.utils.set_random_seed(_SEED)
    model = create_model()
    model.fit(*drawings.draw(4000, seed=_SEED), epochs=epochs, batch_size=32, verbose=2)
    return model


def write_models(model, save_dir: Path) -> None:
    """The int8 model and its conversions."""
    calibrator = qm.ActivationCalibrator(drawings.draw(128, seed=_SEED)[0])
    model.predict(drawings.draw(1, seed=_SEED)[0], verbose=0, callbacks=[calibrator])
    save_dir.mkdir(parents=True, exist_ok=True)
    (save_dir / "hello_world_int8.tflite").write_bytes(calibrator.result.model)
    for name, options in CONVERSIONS.items():
        result = qm.convert(model, calibration=calibrator.result, strip_metadata=True, **options)
        result.save(save_dir / f"{name}.tflite")


def main(_: Sequence[str]) -> None:
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    write_models(train_model(FLAGS.epochs), Path(FLAGS.save_dir))


if __name__ == "__main__":
    app.run(main)
