"""Coefficients >= 0 of the least relative squares: how measured counts become a formula."""

from __future__ import annotations

import numpy as np

_TOLERANCE = 1e-10


def fit_relative(features: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Coefficients >= 0 with the least sum of (features @ coefficients / counts - 1)^2.

    Args:
      features: float [rows, columns], >= 0; a column of zeros gets 0.
      counts: float [rows], > 0.

    Returns:
      float [columns].
    """
    scaled = features / counts[:, None]
    largest = scaled.max(axis=0)
    largest[largest == 0] = 1
    return _nonnegative(scaled / largest, np.ones(len(counts))) / largest


def _nonnegative(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """The x >= 0 with the least |a @ x - b|: Lawson and Hanson, Solving Least Squares Problems (1974), chapter 23."""
    x = np.zeros(a.shape[1])
    used = np.zeros(len(x), bool)
    barred = np.zeros(len(x), bool)  # columns that rounding makes look better than they are
    while True:
        gain = np.where(used | barred, 0, a.T @ (b - a @ x))
        if gain.max(initial=0) <= _TOLERANCE:
            return x
        entering = int(gain.argmax())
        used[entering] = True
        x, used = _settled(a, b, x, used)
        barred = np.zeros(len(x), bool) if used[entering] else barred | (np.arange(len(x)) == entering)


def _settled(a: np.ndarray, b: np.ndarray, x: np.ndarray, used: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The best x of the columns in use, less those that would be negative; (x, columns in use)."""
    while True:
        trial = np.zeros_like(x)
        trial[used] = np.linalg.lstsq(a[:, used], b, rcond=None)[0]
        leaving = used & (trial <= _TOLERANCE)
        if not leaving.any():
            return trial, used
        # As far towards the trial as all stay >= 0.
        step = np.min(x[leaving] / np.maximum(x[leaving] - trial[leaving], np.finfo(float).tiny))
        x = np.maximum(x + min(step, 1.0) * (trial - x), 0)
        used = used & ~(leaving & (x <= _TOLERANCE))
        x = np.where(used, x, 0)
