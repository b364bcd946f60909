"""Real handwriting on cluttered canvases: which digit is the whole one?

In: scikit-learn's 1797 handwritten digits (8x8). Out: canvases with one whole digit at a random place and size among
pieces of other digits, strokes, shading and noise, and the whole digit's label. The digits are divided by `Split`
before any canvas is drawn, so that no held-out handwriting, whole or in pieces, is ever seen in training.
"""

from __future__ import annotations

import dataclasses
import enum
import functools

import joblib
import numpy as np
from scipy import ndimage
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

CANVAS = 96
NUM_CLASSES = 10
_HELD_OUT_DIGITS = 450
_SPLIT_SEED = 2401
# Ranges: at least, below.
_WHOLE_PIXELS = (40, 64)
_PIECE_PIXELS = (28, 44)
_NUM_PIECES = (3, 7)
_NUM_STROKES = (1, 4)


class Split(enum.IntEnum):
    """Which handwriting a canvas is drawn from."""

    TRAIN = 0
    HELD_OUT = 1


@dataclasses.dataclass(frozen=True, eq=False)
class Samples:
    """Canvases and labels.

    Attributes:
      x: float32 [N, CANVAS, CANVAS, 1], ink in [0, 1].
      y: int32 [N], the whole digit, 0 to 9.
    """

    x: np.ndarray
    y: np.ndarray


def compose(split: Split, count: int, *, seed: int) -> Samples:
    """Draws `count` canvases, each from its own seed: a larger count begins with the same ones."""
    tasks = (joblib.delayed(_sample)(split, number, seed) for number in range(count))
    canvases, digits = zip(*joblib.Parallel(n_jobs=-1)(tasks), strict=True)
    return Samples(np.stack(canvases)[..., np.newaxis], np.array(digits, np.int32))


@functools.cache
def handwriting(split: Split) -> tuple[np.ndarray, np.ndarray]:
    """Images float32 [N, 8, 8] in [0, 1] and labels int32 [N] of one side of the split."""
    digits = load_digits()
    parts = train_test_split(
        np.arange(len(digits.target)),
        test_size=_HELD_OUT_DIGITS,
        random_state=_SPLIT_SEED,
        stratify=digits.target,
    )
    rows = parts[split]
    return (digits.images[rows] / 16).astype(np.float32), digits.target[rows].astype(np.int32)


def _sample(split: Split, number: int, seed: int) -> tuple[np.ndarray, int]:
    """One canvas [CANVAS, CANVAS] and the digit that is whole on it."""
    images, labels = handwriting(split)
    rng = np.random.default_rng((seed, split, number))
    whole = int(rng.integers(len(images)))
    canvas = _shading(rng)
    for _ in range(rng.integers(*_NUM_STROKES)):
        _draw(canvas, _stroke(rng), 0.7, rng)
    for _ in range(rng.integers(*_NUM_PIECES)):
        _draw(canvas, _piece(images[rng.integers(len(images))], rng), 0.8, rng)
    _draw(canvas, _enlarge(images[whole], _WHOLE_PIXELS, rng), 1.0, rng)
    canvas += rng.normal(0, 0.04, canvas.shape).astype(np.float32)
    return np.clip(canvas, 0, 1), int(labels[whole])


def _draw(canvas: np.ndarray, ink: np.ndarray, darkness: float, rng: np.random.Generator) -> None:
    """Lays ink over the canvas at a random place where all of it fits."""
    height, width = ink.shape
    top = rng.integers(CANVAS - height + 1)
    left = rng.integers(CANVAS - width + 1)
    below = canvas[top : top + height, left : left + width]
    np.maximum(below, ink * darkness * rng.uniform(0.75, 1), out=below)


def _enlarge(image: np.ndarray, pixels: tuple[int, int], rng: np.random.Generator) -> np.ndarray:
    """An 8x8 digit as smooth ink of a random size, turned by up to 12 degrees."""
    turned = ndimage.rotate(image, rng.uniform(-12, 12), reshape=False, order=1)
    zoomed = ndimage.zoom(turned, rng.integers(*pixels) / len(image), order=2)
    return np.clip((zoomed - 0.2) * 1.6, 0, 1)


def _piece(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A quarter of an enlarged digit: real ink that is no digit."""
    enlarged = _enlarge(image, _PIECE_PIXELS, rng)
    half = len(enlarged) // 2
    top, left = rng.integers(0, 2, size=2) * half
    return enlarged[top : top + half, left : left + half]


def _stroke(rng: np.random.Generator) -> np.ndarray:
    """A straight pen stroke of random length and direction."""
    length = int(rng.integers(16, 40))
    steps = np.linspace(0, length - 1, 2 * length)
    height = max(4, int(length * rng.uniform(0, 1)))
    ink = np.zeros((height, length), np.float32)
    rows = steps * (height - 1) / (length - 1)
    ink[np.rint(rows).astype(int), np.rint(steps).astype(int)] = 1
    if rng.integers(2):
        ink = ink[::-1]
    return np.clip(2 * ndimage.gaussian_filter(ink, 1.2), 0, 1)


def _shading(rng: np.random.Generator) -> np.ndarray:
    """Uneven paper: smooth bright and dark areas."""
    coarse = rng.uniform(0, 0.25, (5, 5)).astype(np.float32)
    return ndimage.zoom(coarse, CANVAS / len(coarse), order=1)
