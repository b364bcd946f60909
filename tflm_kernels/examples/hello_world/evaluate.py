"""Runs every model in models/ on the real TFLM, over drawings that training has not seen.

Run, in a checkout:
`.venv/bin/python -m tflm_kernels.examples.hello_world.evaluate`
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from absl import app, flags

import tflm_quantmcu as qm
from tflm_kernels.examples.hello_world import drawings

_SEED = 2  # training has 1
_SAMPLES = flags.DEFINE_integer("samples", 500, "how many drawings.")
_MODELS = flags.DEFINE_string("models", str(Path(__file__).parent / "models"), "the directory with the .tflite files.")


def accuracies(models: Path, count: int) -> Mapping[str, float]:
    """Share of drawings whose direction each model gives, 0 to 1."""
    x, y = drawings.draw(count, seed=_SEED)
    files = sorted(models.glob("*.tflite"))
    return {
        file.stem: float((qm.Interpreter(file.read_bytes()).predict(x).argmax(axis=-1) == y).mean()) for file in files
    }


def main(_: Sequence[str]) -> None:
    for name, accuracy in accuracies(Path(_MODELS.value), _SAMPLES.value).items():
        print(f"{name}: {accuracy:.1%} of {_SAMPLES.value} drawings")


if __name__ == "__main__":
    app.run(main)
