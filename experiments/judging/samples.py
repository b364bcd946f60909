"""The samples of the judging networks: trained on, for calibration, for the guard, and kept back to judge.

Fashion-MNIST: trained on 10,000 of the 20,000 training images, judged on the 10,000 of its test. CIFAR-10: trained on
10,000 of 15,000 training images, judged on 5,000 of the other 5,000 and the 2,000 of its test. Digits of scikit-learn:
1,797, of which 600 judge, and which can therefore only choose. Calibration takes of those trained on, as users do;
`evaluation`, what a guard with labels sees, are 2,000 (digits 300) that are neither trained on nor judged on.
"""

from __future__ import annotations

import dataclasses
import pathlib
from collections.abc import Callable

import numpy as np
from scipy import ndimage

NUM_TRAIN, NUM_EVALUATION, NUM_JUDGE_CIFAR = 10_000, 2_000, 5_000
SEED = 16  # of the division
STEP = 127.5  # x = pixel / STEP - 1


@dataclasses.dataclass(frozen=True)
class Samples:
    """Images uint8 [N, H, W, C] and labels int64 [N] of each part."""

    train: tuple[np.ndarray, np.ndarray]
    evaluation: tuple[np.ndarray, np.ndarray]
    judge: tuple[np.ndarray, np.ndarray]


def fashion_mnist(folder: pathlib.Path) -> Samples:
    x, y = _read(folder / "fashion_mnist_train_20000.npz")
    train, evaluation = _divide(len(x), NUM_TRAIN, NUM_EVALUATION)
    return Samples((x[train], y[train]), (x[evaluation], y[evaluation]), _read(folder / "fashion_mnist_test_10000.npz"))


def cifar10(folder: pathlib.Path) -> Samples:
    x, y = _read(folder / "cifar10_train_15000.npz")
    train, rest = _divide(len(x), NUM_TRAIN, len(x) - NUM_TRAIN)
    others, labels = _read(folder / "cifar10_test_2000.npz")
    x, y = np.concatenate([x, others]), np.concatenate([y, labels])
    kept = np.concatenate([rest, np.arange(len(x) - len(others), len(x))])
    judge, evaluation = kept[-NUM_JUDGE_CIFAR:], kept[:-NUM_JUDGE_CIFAR]
    return Samples((x[train], y[train]), (x[evaluation], y[evaluation]), (x[judge], y[judge]))


def digits(folder: pathlib.Path) -> Samples:
    del folder
    from sklearn import datasets  # needed by this set alone

    found = datasets.load_digits()
    x, y = np.round(found.images * (255 / 16)).astype(np.uint8)[..., np.newaxis], found.target.astype(np.int64)
    train, evaluation, judge = np.split(np.random.default_rng(SEED).permutation(len(x)), [897, 1197])
    return Samples(*((x[part], y[part]) for part in (train, evaluation, judge)))


DATA: dict[str, Callable[[pathlib.Path], Samples]] = {
    "fashion_mnist": fashion_mnist,
    "cifar10": cifar10,
    "digits": digits,
}


def enlarged(x: np.ndarray, side: int) -> np.ndarray:
    """Images uint8 [N, H, H, C] at [N, side, side, C], by linear interpolation."""
    factor = side / x.shape[1]
    if factor == 1:
        return x
    zoom = (1, factor, factor, 1)
    parts = np.array_split(x, max(1, len(x) // 256))
    return np.concatenate([ndimage.zoom(part, zoom, order=1, grid_mode=True, mode="nearest") for part in parts])


def scaled(x: np.ndarray) -> np.ndarray:
    """Samples as networks are trained on them: float32 in [-1, 1]."""
    return x.astype(np.float32) / np.float32(STEP) - 1


def _read(path: pathlib.Path) -> tuple[np.ndarray, np.ndarray]:
    with np.load(path) as archive:
        x, y = archive["x"], archive["y"]
    return (x if x.ndim == 4 else x[..., np.newaxis]), y.astype(np.int64)


def _divide(total: int, first: int, second: int) -> tuple[np.ndarray, np.ndarray]:
    order = np.random.default_rng(SEED).permutation(total)
    return order[:first], order[first : first + second]
