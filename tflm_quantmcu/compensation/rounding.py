"""Rounds weights so that what a layer computes changes least, not each weight.

In: weights in groups of output channels that read the same inputs, [G, O, K], and moments of those inputs. Out: other
weights, or integers and scales.

Source: GPTQ (arXiv 2210.17323), after optimal brain quantisation (arXiv 2208.11580): inputs one after the other, those
of most energy first, the error of each rounding carried over to the weights still to come. Ours: scales of least
squared error below 8 bits (law A9), and the fit to inputs that are rounded themselves.
"""

from __future__ import annotations

import numpy as np

from tflm_quantmcu.law.fixed_point import round_half_away
from tflm_quantmcu.law.ranges import requantize_weights

_INPUTS_AT_ONCE = 64  # rounded before their errors reach the weights of all others: the same sums, in other order


def fit_weights(weights: np.ndarray, cross: np.ndarray, gram: np.ndarray) -> np.ndarray:
    """The weights that make of the inputs there are nearly what the given ones make of the inputs there should be.

    Args:
      weights: float64 [G, O, K].
      cross: E[x x'^T], float64 [G, K, K], of the inputs x that should be and those x' that are; a ridge added to both
        holds the weights to what they were.
      gram: E[x' x'^T], float64 [G, K, K], positive definite.

    Returns:
      float64 [G, O, K].
    """
    return np.linalg.solve(gram, (weights @ cross).swapaxes(1, 2)).swapaxes(1, 2)


def round_weights(
    weights: np.ndarray, gram: np.ndarray, bits: int, scales: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Integers and scales for the least of E[((w - s q) x)^2], found one input after the other.

    Args:
      weights: float64 [G, O, K].
      gram: E[x x^T], float64 [G, K, K], positive definite.
      bits: 8, 4 or 2.
      scales: float32 [G, O]; None is those of least squared error.

    Returns:
      int8 [G, O, K] of that many bits, of 8 bits without -128, and the scales.
    """
    groups, outputs, taps = weights.shape
    if scales is None:
        scales = requantize_weights(weights.reshape(-1, taps), 0, bits)[1].reshape(groups, outputs)
    order = np.argsort(-np.diagonal(gram, axis1=1, axis2=2), axis=1, kind="stable")
    sorted_gram = np.take_along_axis(np.take_along_axis(gram, order[:, :, None], 1), order[:, None, :], 2)
    # Row k of this factor: what an error at input k does to the best values of those after it.
    carried = np.linalg.cholesky(np.linalg.inv(sorted_gram)).swapaxes(1, 2)
    sorted_weights = np.take_along_axis(weights, order[:, None, :], 2)
    rounded = _round_in_order(sorted_weights, carried, scales.astype(np.float64), bits)
    q = np.empty(weights.shape, np.int8)
    np.put_along_axis(q, np.broadcast_to(order[:, None, :], q.shape), rounded, axis=2)
    return q, scales


def _round_in_order(weights: np.ndarray, carried: np.ndarray, scale: np.ndarray, bits: int) -> np.ndarray:
    low, high = max(-(1 << (bits - 1)), -127), (1 << (bits - 1)) - 1
    left = weights.copy()
    q = np.empty(weights.shape, np.int8)
    num_taps = weights.shape[2]
    for start in range(0, num_taps, _INPUTS_AT_ONCE):
        end = min(start + _INPUTS_AT_ONCE, num_taps)
        errors = np.empty((*weights.shape[:2], end - start))
        for k in range(start, end):
            q[:, :, k] = np.clip(round_half_away(left[:, :, k] / scale), low, high)
            error = (left[:, :, k] - scale * q[:, :, k]) / carried[:, None, k, k]
            left[:, :, k:end] -= error[..., None] * carried[:, None, k, k:end]
            errors[:, :, k - start] = error
        left[:, :, end:] -= errors @ carried[:, start:end, end:]
    return q
