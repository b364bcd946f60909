"""Small grey drawings of one line among specks: does it run across, down, or aslant?"""

from __future__ import annotations

import numpy as np

PIXELS = 32
DIRECTIONS = ("across", "down", "aslant")


def draw(count: int, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Drawings and which direction their line has.

    Returns:
      x: float32 [count, PIXELS, PIXELS, 1] in [0, 1].
      y: int32 [count], an index of DIRECTIONS.
    """
    rng = np.random.default_rng(seed)
    x = rng.uniform(0, 0.3, (count, PIXELS, PIXELS)).astype(np.float32)
    y = rng.integers(len(DIRECTIONS), size=count).astype(np.int32)
    for drawing, direction in zip(x, y, strict=True):
        specks = rng.integers(PIXELS, size=(2, 12))
        drawing[tuple(specks)] = 1
        rows, columns = _line(direction, rng)
        drawing[rows, columns] = rng.uniform(0.7, 1)
    return x[..., np.newaxis], y


def _line(direction: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """Rows and columns of its pixels: 16 to 24 of them, one pixel wide."""
    length = int(rng.integers(16, 25))
    steps = np.arange(length)
    top, left = rng.integers(PIXELS - length + 1, size=2)
    place = rng.integers(PIXELS)
    if direction == 0:
        return np.full(length, place), left + steps
    if direction == 1:
        return top + steps, np.full(length, place)
    return top + steps, left + steps[:: rng.choice((-1, 1))]
