"""A CNN on scikit-learn's digits as a new user would train it, converted within a bound that 8 bits meet.

Nothing may be lowered then (docs/decisions/0014-no-width-without-a-reason.md), so that outputs are the int8 model's:
exit code 1 if a width is below 8 bits. Printed: the report, accuracy, and how many widths were lowered.

    python -m experiments.digits --sram_bytes 16KB
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

import numpy as np

import tflm_quantmcu as qm
from tflm_quantmcu.graph.precision_plan import PrecisionPlan


def train(epochs: int) -> tuple[object, np.ndarray, np.ndarray, np.ndarray]:
    """(Keras model, training images, test images, test labels); images are float32 [N, 8, 8, 1] from 0 to 1."""
    import keras  # TensorFlow takes seconds to import
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    keras.utils.set_random_seed(0)
    images, labels = load_digits(return_X_y=True)
    x = (images.reshape(-1, 8, 8, 1) / 16).astype(np.float32)
    x_train, x_test, y_train, y_test = train_test_split(x, labels, test_size=0.25, random_state=0)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((8, 8, 1)),
            layers.Conv2D(16, 3, padding="same", activation="relu"),
            layers.MaxPooling2D(),
            layers.Conv2D(32, 3, padding="same", activation="relu"),
            layers.Flatten(),
            layers.Dense(10, activation="softmax"),
        ]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x_train, y_train, epochs=epochs, verbose=0)
    return model, x_train, x_test, y_test


def num_lowered(plan: PrecisionPlan) -> int:
    """Maps and weights below 8 bits."""
    inside = sum(len(patch_class.formats) for stage in plan.stages for patch_class in stage.classes)
    return len(plan.formats) + len(plan.weight_bits) + inside


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="digits", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--sram_bytes", default="16KB")
    parser.add_argument("--epochs", type=int, default=10)
    flags = parser.parse_args(arguments)
    model, x_train, x_test, y_test = train(flags.epochs)
    result = qm.convert(model, calibration_data=x_train[:256], sram_bytes=flags.sram_bytes, progress=False)
    scores = qm.Interpreter(result.model).predict(x_test)
    accuracy = float((scores.argmax(axis=1) == y_test).mean())
    lowered = num_lowered(result.plan)
    print(result.report)
    print(f"accuracy on {len(x_test)} digits {accuracy:.1%}; {lowered} maps and weights below 8 bits")
    return 1 if lowered else 0


if __name__ == "__main__":
    sys.exit(main())
