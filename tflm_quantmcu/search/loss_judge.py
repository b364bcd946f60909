"""How much accuracy a plan loses: measured on labelled samples, or estimated from the scores of others.

In: a search's problem. Out: the AccuracyLoss of its plans, by the exact simulation.

Without labels the unchanged model's scores stand for what is not known: their softmax is taken for the chance that a
class is right. Where a plan's first class is another, that sample loses the chance of the former one and wins that of
the new one. So few samples change that their count alone tells little; therefore the change of the margin between the
two largest scores, which every sample shows, is spread over samples of like margins: a sample loses what it would with
the changes of its neighbours. The larger of both estimates counts. What few samples may have missed altogether its
limit bounds as that of a rate of which nothing was seen.

Scores are taken for sharper than they are, by SHARPNESS: networks that were trained for a short time are right more
often than their softmax says, so that each change costs more, and a loss that was not said is worse than a refusal.
"""

from __future__ import annotations

import functools

import numpy as np

from tflm_quantmcu.compensation.compensate import compensated_with
from tflm_quantmcu.graph.accuracy_loss import AccuracyLoss, samples_needed
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.graph.types import ModelGraph
from tflm_quantmcu.lowering.network import LoweredNetwork
from tflm_quantmcu.search.evaluator import Evaluator, score_tensors
from tflm_quantmcu.search.problem import SearchProblem

MAX_MACS = 40 << 30  # of the samples of an estimate, as long as they are enough for its bound
SHARE_ERROR, LEAST_SHARE = 0.1, 1 / 512  # of int8 shares: what their sum may be off 1, and half a step
MIN_NEIGHBOURS = 32  # samples of like margins, or a quarter of all
SHARPNESS = 1.25  # of the scores behind a chance; decision 0019


class LossJudge:
    """Judges plans of one problem; the unchanged model runs once."""

    def __init__(self, problem: SearchProblem, bound: float) -> None:
        """Chooses the samples: all labelled ones, or else those of the calibration, others than compensation fits to
        as far as there are enough."""
        graph = problem.graph
        self._labels: np.ndarray | None = None
        x = np.zeros((0, *graph.tensors[graph.inputs[0]].shape[1:]), np.int8)
        if problem.labelled is not None:
            x, self._labels = problem.labelled
        elif problem.calibration is not None:
            macs = LoweredNetwork.of(graph).total_macs
            x = _unfitted(problem.calibration.samples, macs, samples_needed(bound))
        self.num_samples = len(x)
        self._has_classes = self._labels is not None or has_classes(graph)
        tensors = graph.outputs if self._labels is not None or not self._has_classes else score_tensors(graph)
        self._evaluator = Evaluator(graph, problem.cost, x, tensors=tensors)

    def of(self, plan: PrecisionPlan) -> AccuracyLoss:
        """The plan's loss against the unchanged model."""
        if not self.num_samples:
            return AccuracyLoss("none", 0)
        planned = self._evaluator.outputs(plan)
        if self._labels is not None:
            right, still = (scores.argmax(axis=1) == self._labels for scores in (self._reference[0], planned[0]))
            changed = np.count_nonzero(self._reference[0].argmax(axis=1) != planned[0].argmax(axis=1))
            return AccuracyLoss.of_samples("labels", right.astype(float) - still, int(changed))
        if not self._has_classes:
            pairs = zip(self._reference, planned, strict=True)
            return AccuracyLoss.of_outputs(self.num_samples, [sqnr_db(wanted, found) for wanted, found in pairs])
        return estimated_loss(_as_scores(self._reference[0]), _as_scores(planned[0]))

    @functools.cached_property
    def _reference(self) -> list[np.ndarray]:
        return self._evaluator.outputs(PrecisionPlan(self._evaluator.graph.sha256, {}))


def has_classes(graph: ModelGraph) -> bool:
    """Whether the model scores classes: one output [1, K], K from 2 up, not of the input's shape, that a SOFTMAX or a
    layer without activation writes."""
    if len(graph.outputs) != 1:
        return False
    output, source = graph.tensors[graph.outputs[0]], graph.tensors[graph.inputs[0]]
    scores = score_tensors(graph)[0]
    if scores != output.index:
        return output.num_elements > 1
    return 1 < output.num_elements < source.num_elements and output.num_elements == output.shape[-1]


def estimated_loss(reference: np.ndarray, planned: np.ndarray) -> AccuracyLoss:
    """The estimate without labels, see above.

    Args:
      reference, planned: real scores before a softmax, float [N, K], of the unchanged model and of the plan.
    """
    rows = np.arange(len(reference))
    first, now = reference.argmax(axis=1), planned.argmax(axis=1)
    chances = np.exp(SHARPNESS * (reference - reference.max(axis=1, keepdims=True)), dtype=np.float64)
    chances /= chances.sum(axis=1, keepdims=True)
    seen = chances[rows, first] - chances[rows, now]

    others = reference.copy()
    others[rows, first] = -np.inf
    second = others.argmax(axis=1)
    margins = reference[rows, first] - reference[rows, second]
    changes = planned[rows, first] - planned[rows, second] - margins
    by_sample, by_change = _spread(margins, changes, chances[rows, first] - chances[rows, second])
    error = max(seen.var(), by_sample.var() + by_change.var())
    points = 100 * max(seen.mean(), by_sample.mean())
    return AccuracyLoss.of_estimate(
        float(points), 100 * float(np.sqrt(error / len(rows))), len(rows), int((first != now).sum())
    )


def _spread(margins: np.ndarray, changes: np.ndarray, at_stake: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """What samples lose where the changes at samples of like margins turn a margin below 0: float64 [N], the sum of
    each sample, and [N], that of each change; they have one mean."""
    order = np.argsort(margins, kind="stable")
    count = len(order)
    width = min(count, max(MIN_NEIGHBOURS, count // 4))
    by_sample, by_change = np.zeros(count), np.zeros(count)
    for rank, sample in enumerate(order):
        start = min(max(0, rank - width // 2), count - width)
        near = order[start : start + width]
        lost = (changes[near] < -margins[sample]) * (at_stake[sample] / width)
        by_sample[sample] = lost.sum()
        by_change[near] += lost
    return by_sample, by_change


def _as_scores(values: np.ndarray) -> np.ndarray:
    """Shares that add up to 1, of a model whose scores the simulation does not know, as the scores that make them."""
    if values.min() < 0 or np.abs(values.sum(axis=1) - 1).max() > SHARE_ERROR:
        return values
    return np.log(np.maximum(values, LEAST_SHARE))


def sqnr_db(wanted: np.ndarray, found: np.ndarray) -> float:
    """Variance over mean squared error of an output, real values [N, elements] of any dtype, in dB; infinite where both
    are equal."""
    error = float(np.mean((wanted.astype(np.float64) - found) ** 2))
    variance = float(np.var(wanted.astype(np.float64)))
    return float("inf") if error == 0 else 10 * float(np.log10(max(variance, 1e-30) / error))


def _unfitted(samples: np.ndarray, macs: int, least: int) -> np.ndarray:
    """Chooses samples that compensation does not fit to, and others only where these are fewer than `least`; no more
    than MAX_MACS bear, but for `least`."""
    fitted = np.isin(np.arange(len(samples)), compensated_with(len(samples), macs))
    order = np.concatenate([np.flatnonzero(~fitted), np.flatnonzero(fitted)])
    count = min(max(np.count_nonzero(~fitted), least), max(least, MAX_MACS // max(macs, 1)))
    return samples[np.sort(order[:count])]
