"""Trains the demo network, quantises it and picks samples: what the package's demo data are made of.

    python -m tools.demo.train                                   # writes tflm_quantmcu/app/demo_data anew
    python -m tools.demo.train --output_dir build/demo/trained   # a training of one's own, as `make demo FRESH=1` does

Seeds are fixed, but sums of floats are not taken in the same order on every machine: another training may differ by a
point. Out: the files that `tflm_quantmcu.app.demo` names.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
import time
from pathlib import Path

import keras
import numpy as np

import tflm_quantmcu as qm
from tflm_quantmcu.app.demo import FOLDER, MODEL, SAMPLES, WEIGHTS
from tflm_quantmcu.runtime.samples import to_model_input
from tflm_quantmcu.tflite.model_file import ModelFile
from tools.demo import dataset, network

NUM_CALIBRATION = 256
_NUM_TRAIN = 6000
_NUM_HELD_OUT = 1000
_BATCH = 32
_SEED = 7
# Of the package: as few as a conversion and a look at accuracy need.
_PACKED_CALIBRATION, _PACKED_LABELLED = 24, 64


@dataclasses.dataclass(frozen=True)
class Phase:
    """One training run.

    Attributes:
      shrink: canvases are averaged down by this factor.
      epochs: passes over the training canvases.
      learning_rate: highest rate; warmed up to over the first fifth, then lowered along a cosine.
    """

    shrink: int
    epochs: int
    learning_rate: float


# Half-size canvases cost a quarter: most is learnt there, then carried over to the full size.
PHASES = (
    Phase(shrink=2, epochs=6, learning_rate=1e-2),
    Phase(shrink=1, epochs=2, learning_rate=5e-3),
)


def training_samples(count: int = _NUM_TRAIN) -> dataset.Samples:
    return dataset.compose(dataset.Split.TRAIN, count, seed=_SEED)


def held_out_samples(count: int = _NUM_HELD_OUT) -> dataset.Samples:
    return dataset.compose(dataset.Split.HELD_OUT, count, seed=_SEED)


def load(folder: Path = FOLDER) -> tuple[keras.Model, bytes]:
    """The float network for [N, 96, 96, 1] in [0, 1] and its int8 `.tflite`, as `write` left them in `folder`."""
    model = network.build(pixels=dataset.CANVAS, num_classes=dataset.NUM_CLASSES)
    with np.load(folder / WEIGHTS) as weights:
        for variable in model.weights:
            variable.assign(weights[variable.path])
    return model, (folder / MODEL).read_bytes()


def write(folder: Path, model: keras.Model) -> None:
    """Writes a trained network's weights, its int8 `.tflite` and the samples of `packed_samples` into `folder`."""
    folder.mkdir(parents=True, exist_ok=True)
    int8 = qm.calibrate_model(model, training_samples(NUM_CALIBRATION).x).model
    assert int8 is not None
    np.savez_compressed(folder / WEIGHTS, **{v.path: v.numpy() for v in model.weights})
    (folder / MODEL).write_bytes(int8)
    np.savez_compressed(folder / SAMPLES, **packed_samples(int8))


def packed_samples(int8: bytes) -> dict[str, np.ndarray]:
    """Canvases as the int8 model takes them: `calibration` of the training, `x` and labels `y` that were held out."""
    graph = ModelFile(int8).graph
    calibration, held_out = training_samples(_PACKED_CALIBRATION), held_out_samples(_PACKED_LABELLED)
    taken = {"calibration": calibration.x, "x": held_out.x}
    (tensor,) = graph.input_tensors
    return {**{name: to_model_input(x, tensor) for name, x in taken.items()}, "y": held_out.y}


def accuracy(scores: np.ndarray, labels: np.ndarray) -> float:
    """Share of rows of `scores` [N, classes] whose largest entry is the label."""
    return float(np.mean(scores.argmax(axis=-1) == labels))


def train() -> keras.Model:
    """Trains with fixed seeds, for some minutes."""
    keras.utils.set_random_seed(_SEED)
    samples = training_samples()
    weights = None
    for phase in PHASES:
        pixels = dataset.CANVAS // phase.shrink
        model = network.build(pixels=pixels, num_classes=dataset.NUM_CLASSES)
        if weights is not None:
            model.set_weights(weights)
        print(f"training on {pixels}x{pixels} canvases, {phase.epochs} epochs")
        _fit(model, _shrink(samples.x, phase.shrink), samples.y, phase)
        weights = model.get_weights()
    return model


def _fit(model: keras.Model, x: np.ndarray, y: np.ndarray, phase: Phase) -> None:
    steps = -(-len(x) // _BATCH) * phase.epochs
    warm_up = steps // 5
    rate = keras.optimizers.schedules.CosineDecay(
        phase.learning_rate / 100,
        steps - warm_up,
        warmup_target=phase.learning_rate,
        warmup_steps=warm_up,
    )
    model.compile(
        optimizer=keras.optimizers.Adam(rate),
        loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        metrics=["accuracy"],
    )
    is_terminal = sys.stdout.isatty()
    model.fit(x, y, batch_size=_BATCH, epochs=phase.epochs, verbose="auto" if is_terminal else 2)


def _shrink(x: np.ndarray, factor: int) -> np.ndarray:
    """[N, H, W, 1] averaged over factor x factor squares."""
    count, height, width, channels = x.shape
    squares = (count, height // factor, factor, width // factor, factor, channels)
    return x.reshape(squares).mean(axis=(2, 4))


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--output_dir", type=Path, default=FOLDER)
    folder = parser.parse_args().output_dir
    start = time.monotonic()
    model = train()
    seconds = time.monotonic() - start
    write(folder, model)
    held_out = held_out_samples()
    reached = accuracy(model.predict(held_out.x, verbose=0), held_out.y)
    print(f"{folder}: trained in {seconds:.0f} s; {reached:.1%} of {len(held_out.y)} held-out canvases")


if __name__ == "__main__":
    main()
