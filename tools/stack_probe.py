"""What one environment makes of a kept int8 `.tflite` and of a Keras model; `tools.stacks` runs it in each.

    PYTHON -I tools/stack_probe.py          # -I: tflm_quantmcu of the environment, not of this checkout

Out, in the folder that it runs in: keras_int8.tflite as TensorFlow's converter of this environment made it, project/
that the wheel emitted, and as the last line of what it prints JSON: `versions`, and SHA-256 digests of the bytes that
came `of one int8 .tflite` and `of a Keras model`.
"""

from __future__ import annotations

import hashlib
import json
import platform
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

import tflm_quantmcu as qm
from tflm_quantmcu.app.demo import FOLDER, MODEL, SAMPLES

PACKAGES = ("tensorflow", "keras", "numpy", "protobuf", "flatbuffers", "tflite-micro", "tflite-support")
KERAS_INT8 = "keras_int8.tflite"


def converted(model: bytes, calibration: Any, x: np.ndarray) -> Iterator[tuple[str, bytes]]:
    """What `convert` makes of an int8 model at 8 and at 4 bits, and what TFLM computes with it for `x`."""
    for bits in (8, 4):
        options = {"search": "uniform", "activation_bits": bits, "weight_bits": bits, "strip_metadata": True}
        made = qm.convert(model, calibration=calibration, **options).model
        yield f"converted, {bits} bits", made
        yield f"outputs, {bits} bits", qm.Interpreter(made).predict(x).tobytes()


def of_kept_file() -> dict[str, bytes]:
    """Probes the int8 model that the wheel holds: no TensorFlow has a part in it."""
    model = (FOLDER / MODEL).read_bytes()
    with np.load(FOLDER / SAMPLES) as samples:
        x, calibration = samples["x"][:16], qm.calibrate_model(model, samples["calibration"])
    return {"int8 .tflite": model, **dict(converted(model, calibration, x))}


def of_keras() -> dict[str, bytes]:
    """Probes a Keras model with given weights."""
    import keras

    rng = np.random.default_rng(0)
    layers = keras.layers
    model = keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            layers.Conv2D(8, 3, padding="same", activation="relu"),
            layers.DepthwiseConv2D(3, strides=2, padding="same", activation="relu"),
            layers.Conv2D(16, 1, activation="relu"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(4, activation="softmax"),
        ]
    )
    model.set_weights([rng.normal(0, 0.3, w.shape).astype(np.float32) for w in model.get_weights()])
    x = rng.uniform(-1, 1, (64, 32, 32, 3)).astype(np.float32)
    calibration = qm.calibrate_model(model, x)
    int8 = calibration.model
    assert int8 is not None
    Path(KERAS_INT8).write_bytes(int8)
    return {"int8 .tflite": int8, **dict(converted(int8, qm.calibrate_model(int8, x), x[:16]))}


def main() -> None:
    found = {"of one int8 .tflite": of_kept_file(), "of a Keras model": of_keras()}
    qm.emit((FOLDER / MODEL).read_bytes(), output_dir="project")
    versions = {d.metadata["Name"].lower().replace("_", "-"): d.version for d in metadata.distributions()}
    digests = {
        part: {name: hashlib.sha256(data).hexdigest()[:16] for name, data in made.items()}
        for part, made in found.items()
    }
    shown = {"python": platform.python_version(), **{name: versions.get(name, "none") for name in PACKAGES}}
    print(json.dumps({"versions": shown, **digests}))


if __name__ == "__main__":
    main()
