"""Canvases with digits to detect: scikit-learn's, of several sizes and contrasts, on cluttered grounds.

Digits that train, calibrate and test are others: scikit-learn's 1,797 are divided first. Where a digit stands, its
class and its box are known. Clutter is a slanted ground, noise, and bars and rectangles of any brightness, which may
cross digits; now and then a canvas has a lamp: a few pixels far brighter than all else, as cameras see them.
"""

from __future__ import annotations

import dataclasses

import numpy as np
from scipy import ndimage

SIDE, NUM_CLASSES = 96, 10
SIZES = (18, 44)  # of a digit, pixels
MOST = 3  # digits a canvas
NUM_TRAIN_DIGITS = 1_197
SEED = 4  # of the division
LAMP_CHANCE = 0.15


@dataclasses.dataclass(frozen=True)
class Scenes:
    """Canvases and what they show.

    Attributes:
      x: float32 [N, SIDE, SIDE, 1], 0 to 4; all but lamps are at most 1.
      boxes: of each canvas float32 [digits, 4]: left, top, right, bottom, in pixels.
      classes: of each canvas int64 [digits].
    """

    x: np.ndarray
    boxes: tuple[np.ndarray, ...]
    classes: tuple[np.ndarray, ...]


def scenes(count: int, *, seed: int, is_test: bool) -> Scenes:
    """So many canvases, the same ones for a seed."""
    from sklearn import datasets  # needed here alone

    found = datasets.load_digits()
    order = np.random.default_rng(SEED).permutation(len(found.images))
    part = order[NUM_TRAIN_DIGITS:] if is_test else order[:NUM_TRAIN_DIGITS]
    rng = np.random.default_rng([seed, is_test])
    made = [_scene(rng, found.images[part] / 16, found.target[part]) for _ in range(count)]
    x, boxes, classes = zip(*made, strict=True)
    return Scenes(np.stack(x)[..., np.newaxis].astype(np.float32), boxes, classes)


def _scene(rng: np.random.Generator, digits: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, ...]:
    canvas = _ground(rng)
    boxes: list[tuple[int, ...]] = []
    classes = []
    for _ in range(rng.integers(1, MOST + 1)):
        size = int(rng.integers(SIZES[0], SIZES[1] + 1))
        left, top = (int(v) for v in rng.integers(0, SIDE - size + 1, 2))
        box = (left, top, left + size, top + size)
        if any(_touch(box, other) for other in boxes):
            continue
        number = int(rng.integers(len(labels)))
        ink = np.clip(ndimage.zoom(digits[number], size / 8, order=1, grid_mode=True, mode="nearest"), 0, 1)
        place = canvas[top : top + size, left : left + size]
        bright = np.clip(place.mean() + rng.choice([-1, 1]) * rng.uniform(0.4, 0.8), 0, 1)
        place += ink * (bright - place)
        boxes.append(box)
        classes.append(labels[number])
    for _ in range(rng.integers(0, 3)):
        _bar(rng, canvas)
    canvas = np.clip(canvas + rng.normal(0, 0.05, canvas.shape), 0, 1)
    if rng.random() < LAMP_CHANCE:
        top, left = rng.integers(0, SIDE - 2, 2)
        canvas[top : top + 2, left : left + 2] = rng.uniform(2, 4)
    return canvas, np.array(boxes, np.float32).reshape(-1, 4), np.array(classes, np.int64)


def _ground(rng: np.random.Generator) -> np.ndarray:
    y, x = np.mgrid[:SIDE, :SIDE] / SIDE - 0.5
    canvas = np.clip(rng.uniform(0.2, 0.8) + rng.uniform(-0.4, 0.4) * x + rng.uniform(-0.4, 0.4) * y, 0, 1)
    for _ in range(rng.integers(2, 6)):
        width, height = rng.integers(4, SIDE // 2, 2)
        left, top = rng.integers(0, SIDE - 4, 2)
        canvas[top : top + height, left : left + width] += rng.uniform(-0.3, 0.3)
    return np.asarray(np.clip(canvas, 0, 1))


def _bar(rng: np.random.Generator, canvas: np.ndarray) -> None:
    """Draws a thin line in any direction."""
    start, end = rng.uniform(0, SIDE - 1, (2, 2))
    at = np.linspace(start, end, 2 * SIDE).round().astype(int)
    canvas[at[:, 0], at[:, 1]] = rng.uniform(0, 1)


def _touch(a: tuple[int, ...], b: tuple[int, ...]) -> bool:
    return a[0] < b[2] and b[0] < a[2] and a[1] < b[3] and b[1] < a[3]
