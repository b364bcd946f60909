"""Trains the demo network, or takes the one of an earlier run when nothing it depends on has changed."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import sys
import time
from pathlib import Path

import keras
import numpy as np

from tools.demo import dataset, network

_NUM_TRAIN = 6000
_NUM_HELD_OUT = 1000
_BATCH = 32
_SEED = 7


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


@dataclasses.dataclass(frozen=True, eq=False)
class Trained:
    """A trained model and what it reached.

    Attributes:
      model: float network for [N, 96, 96, 1] in [0, 1].
      held_out_accuracy: of `held_out_samples()`, 0 to 1.
      seconds: wall time of the training, drawing the canvases included.
      is_reused: whether it is an earlier run's.
    """

    model: keras.Model
    held_out_accuracy: float
    seconds: float
    is_reused: bool


def training_samples(count: int = _NUM_TRAIN) -> dataset.Samples:
    return dataset.compose(dataset.Split.TRAIN, count, seed=_SEED)


def held_out_samples() -> dataset.Samples:
    return dataset.compose(dataset.Split.HELD_OUT, _NUM_HELD_OUT, seed=_SEED)


def load_or_train(folder: Path, *, fresh: bool) -> Trained:
    """Trains with fixed seeds and keeps the result in `folder`; `fresh` trains even if it is there already."""
    path, facts_path = folder / "model.keras", folder / "model.json"
    sources = _digest_of_sources()
    if not fresh and path.exists() and facts_path.exists():
        facts = json.loads(facts_path.read_text())
        if facts.pop("sources") == sources:
            return Trained(keras.models.load_model(path), is_reused=True, **facts)
    start = time.monotonic()
    model = _train()
    seconds = time.monotonic() - start
    held_out = held_out_samples()
    facts = {
        "held_out_accuracy": accuracy(model.predict(held_out.x, verbose=0), held_out.y),
        "seconds": seconds,
    }
    folder.mkdir(parents=True, exist_ok=True)
    model.save(path)
    facts_path.write_text(json.dumps({"sources": sources, **facts}))
    return Trained(model, is_reused=False, **facts)


def accuracy(scores: np.ndarray, labels: np.ndarray) -> float:
    """Share of rows of `scores` [N, classes] whose largest entry is the label."""
    return float(np.mean(scores.argmax(axis=-1) == labels))


def _train() -> keras.Model:
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


def _digest_of_sources() -> str:
    """What the trained weights depend on: the sources of the data, the network and the training."""
    sources = (Path(dataset.__file__), Path(network.__file__), Path(__file__))
    return hashlib.sha256(b"".join(path.read_bytes() for path in sources)).hexdigest()
