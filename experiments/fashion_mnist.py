"""Trains MobileNetV2 0.35 at 96x96 on Fashion-MNIST and divides the images: a network of depthwise blocks to judge on.

    python -m experiments.fashion_mnist --train train.npz --test test.npz --output_dir build/fashion

In: two `.npz` of grey images x [N, 28, 28] and labels y. Out: model.keras, and the `.npz` files train (also to
fine-tune), search (labelled, no image of train: what searches judge by), calibration (256 of train) and test. Images
are enlarged to 96x96x1 and scaled to [-1, 1]. The figures that follow from it are for differences, not records.
"""

from __future__ import annotations

import pathlib

import numpy as np
from absl import app, flags
from scipy import ndimage

from experiments.npz import save_npz
from tflm_quantmcu.keras_bridge.to_tflite import keras

SIDE, ALPHA, NUM_CLASSES = 96, 0.35, 10
NUM_SEARCH, NUM_CALIBRATION = 1000, 256
BATCH, LEARNING_RATE = 64, 2e-3

_TRAIN = flags.DEFINE_string("train", None, ".npz with x [N, 28, 28] and y.", required=True)
_TEST = flags.DEFINE_string("test", None, ".npz with x [N, 28, 28] and y.", required=True)
_OUTPUT_DIR = flags.DEFINE_string("output_dir", "build/fashion", "Folder of the results.")
_EPOCHS = flags.DEFINE_integer("epochs", 6, "Of training; the learning rate falls along a cosine.")
_MAX_TRAIN = flags.DEFINE_integer("max_train", None, "Images trained on at most.")
_MAX_TEST = flags.DEFINE_integer("max_test", 2000, "Images tested on at most.")
_SEED = flags.DEFINE_integer("seed", 0, "Of everything random.")


def main(argv: list[str]) -> None:
    del argv
    keras.utils.set_random_seed(_SEED.value)
    x, y = read_images(_TRAIN.value, None if _MAX_TRAIN.value is None else _MAX_TRAIN.value + NUM_SEARCH)
    test_x, test_y = read_images(_TEST.value, _MAX_TEST.value)
    search, train = slice(0, NUM_SEARCH), slice(NUM_SEARCH, None)
    folder = pathlib.Path(_OUTPUT_DIR.value)
    folder.mkdir(parents=True, exist_ok=True)
    save_npz(folder / "search.npz", x=x[search], y=y[search])
    save_npz(folder / "train.npz", x=x[train], y=y[train])
    save_npz(folder / "calibration.npz", x=x[train][:NUM_CALIBRATION])
    save_npz(folder / "test.npz", x=test_x, y=test_y)
    model = network()
    steps = _EPOCHS.value * -(-len(x[train]) // BATCH)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, steps - steps // 10, warmup_target=LEARNING_RATE, warmup_steps=steps // 10
    )
    model.compile(keras.optimizers.Adam(rate), "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x[train], y[train], batch_size=BATCH, epochs=_EPOCHS.value, validation_data=(x[search], y[search]))
    model.save(folder / "model.keras")
    print(f"accuracy on {len(test_y)} images of test: {model.evaluate(test_x, test_y, verbose=0)[1]:.4f}")


def network() -> keras.Model:
    """MobileNetV2 as Keras has it, with one channel and batch statistics that settle within few steps."""
    model = keras.applications.MobileNetV2((SIDE, SIDE, 1), alpha=ALPHA, weights=None, classes=NUM_CLASSES)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.9
    return model


def read_images(path: str, count: int | None) -> tuple[np.ndarray, np.ndarray]:
    """The first images, float32 [N, SIDE, SIDE, 1] in [-1, 1], and their labels."""
    with np.load(path) as archive:
        x, y = archive["x"][:count], archive["y"][:count]
    factor = SIDE / x.shape[1]
    enlarged = [ndimage.zoom(image.astype(np.float32), factor, order=1, grid_mode=True, mode="nearest") for image in x]
    return np.stack(enlarged)[..., np.newaxis] / 127.5 - 1, y.astype(np.int64)


if __name__ == "__main__":
    app.run(main)
