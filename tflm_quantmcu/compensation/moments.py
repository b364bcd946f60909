"""What a layer's inputs are like: means and covariances of all that its output positions read.

In: a lowered convolution or fully connected op and real values of its input, as they should be and as they are. Out:
Moments, and the op's weights in the same groups. A group is what the same output channels read: a channel of a
depthwise op, all of any other.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from tflm_quantmcu.graph.types import Format
from tflm_quantmcu.law.taps import tap_values
from tflm_quantmcu.lowering.ops import Filter, LoweredOp

_VALUES_AT_ONCE = 1 << 22
# Positions of all samples that count at most, and a tap: of more every few rows, which tell as much.
MAX_POSITIONS, MAX_POSITIONS_A_TAP = 1 << 14, 256
_EXACT = 1 << 24  # float32 holds every integer up to here


@dataclasses.dataclass(frozen=True, eq=False)
class Moments:
    """The moments of inputs in groups: x that should be, x' that are.

    Attributes:
      mean, planned_mean: float64 [G, K].
      cross, gram: covariances E[x x'^T] and E[x' x'^T], float64 [G, K, K]; None where they were not asked for.
      count: of values a tap.
    """

    mean: np.ndarray
    planned_mean: np.ndarray
    cross: np.ndarray | None
    gram: np.ndarray | None
    count: int


@dataclasses.dataclass(frozen=True, eq=False)
class StoredMap:
    """Values int8 [N, ...] of a feature map and their format."""

    values: np.ndarray
    format: Format

    def steps(self, part: slice) -> np.ndarray:
        """Some samples' values, float32 [n, ...] that are whole numbers: real values in units of the scale."""
        return self.values[part].astype(np.float32) - np.float32(self.format.zero_point)


def moments_of(
    op: LoweredOp, wanted: StoredMap, planned: StoredMap, size: tuple[int, ...], *, with_products: bool
) -> Moments:
    """Moments of an op's input: sums of integers, exact and so the same on every machine, made real at the end.

    Args:
      op: convolution or fully connected.
      wanted, planned: the input as it should be and as it is, of the same samples.
      size: output height and width; of a convolution alone it counts.
      with_products: covariances too.
    """
    step = 1 if op.traits.is_vector else _rows_apart(op, len(wanted.values) * size[0] * size[1])
    values = op.window.kernel_height * op.window.kernel_width * wanted.values[0].size
    at_once = max(1, _VALUES_AT_ONCE // values)
    scales = wanted.format.scale, planned.format.scale
    shifts: list[np.ndarray] = []
    totals: list[np.ndarray] = []
    count = 0
    for start in range(0, len(wanted.values), at_once):
        parts = slice(start, start + at_once)
        both = [_columns(op, stored.steps(parts), size, step) for stored in (wanted, planned)]
        # Near the means, so that more products fit in an exact sum.
        shifts = shifts or [np.rint(_sums(c) / c.shape[1]).astype(np.float32) for c in both]
        x, y = (columns - shift[:, None, :] for columns, shift in zip(both, shifts, strict=True))
        sums = [_sums(x), _sums(y)]
        if with_products:
            sums += [_products(columns, y) for columns in (x, y)]
        totals = [total + part for total, part in zip(totals, sums, strict=True)] if totals else sums
        count += x.shape[1]
    offset, planned_offset = (total / count for total in totals[:2])
    mean, planned_mean = ((offset + shifts[0]) * scales[0], (planned_offset + shifts[1]) * scales[1])
    if not with_products:
        return Moments(mean, planned_mean, None, None, count)
    cross, gram = (
        (product / count - first[:, :, None] * planned_offset[:, None, :]) * (scale * scales[1])
        for product, first, scale in zip(totals[2:], (offset, planned_offset), scales, strict=True)
    )
    return Moments(mean, planned_mean, cross, gram, count)


def _rows_apart(op: LoweredOp, positions: int) -> int:
    """Every how many rows of an op's output count where all have so many positions."""
    taps = op.window.kernel_height * op.window.kernel_width
    inputs = taps if op.traits.is_depthwise else filter_of(op).values[0].size
    return -(-positions // max(MAX_POSITIONS, MAX_POSITIONS_A_TAP * inputs))


def _sums(x: np.ndarray) -> np.ndarray:
    """Sums over positions, float64 [G, K], of integers float32 [G, positions, K]."""
    return _products(np.ones((1, x.shape[1], 1), np.float32), x)[:, 0]


def _products(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Sums over positions, float64 [G, J, K], of integers float32 [G or 1, positions, J] times [G, positions, K].

    A float32 sum takes so few positions that it is exact: in whatever order a machine's BLAS adds, it is the same.
    """
    largest = max(float(np.abs(x).max() * np.abs(y).max()), 1.0)
    at_once = max(1, int(_EXACT / largest))
    parts = (slice(start, start + at_once) for start in range(0, x.shape[1], at_once))
    total = np.zeros((y.shape[0], x.shape[2], y.shape[2]))
    for part in parts:
        total += x[:, part].swapaxes(1, 2) @ y[:, part]
    return total


def _columns(op: LoweredOp, x: np.ndarray, size: tuple[int, ...], step: int) -> np.ndarray:
    """What each position of every `step`th row of the output reads, float32 [G, positions, K]; outside the map 0, as
    padding is."""
    if op.traits.is_vector:
        return x.reshape(1, len(x), -1)
    values = tap_values(x, op.window, (size[0], size[1]), 0)
    taps = [tap[:, min(step, size[0]) // 2 :: step].reshape(-1, tap.shape[-1]) for _, _, tap in values]
    stacked = np.stack(taps, axis=1)
    if op.traits.is_depthwise:
        return np.ascontiguousarray(stacked.transpose(2, 0, 1))
    return stacked.reshape(1, len(stacked), -1)


def grouped_weights(op: LoweredOp) -> np.ndarray:
    """The op's real weights, float64 [G, O, K]."""
    filter = filter_of(op)
    shape = [1] * filter.values.ndim
    shape[op.traits.weight_axis] = -1
    weights = filter.values * filter.scales.astype(np.float64).reshape(shape)
    if not op.traits.is_depthwise:
        return weights.reshape(1, len(weights), -1)
    return weights.reshape(weights.shape[0] * weights.shape[1], -1, op.depth_multiplier).transpose(1, 2, 0)


def ungrouped(op: LoweredOp, weights: np.ndarray) -> np.ndarray:
    """Weights of any type, [G, O, K] as of `grouped_weights`, in the shape of the op's filter."""
    in_order = weights.transpose(2, 0, 1) if op.traits.is_depthwise else weights
    return np.ascontiguousarray(in_order).reshape(filter_of(op).values.shape)


def mean_sums(weights: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Mean sums, without bias, of all output channels in order: float64 [O] of weights [G, O, K], inputs [G, K]."""
    return (weights @ mean[:, :, None]).ravel()


def filter_of(op: LoweredOp) -> Filter:
    """The filter of a convolution or fully connected op."""
    assert op.filter is not None
    return op.filter
