"""Estimates of lost accuracy without labels, against labels that are drawn from what the scores say."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.support.networks import inverted_residual
from tflm_quantmcu.compensation.compensate import compensated_with
from tflm_quantmcu.graph.accuracy_loss import CONFIDENCE_Z, AccuracyLoss, samples_needed
from tflm_quantmcu.search.loss_judge import _as_scores, _spread, _unfitted, estimated_loss, has_classes, sqnr_db
from tflm_quantmcu.tflite.reader import read_model

CLASSES = 10


def _scores(count: int, seed: int) -> np.ndarray:
    """Scores of a classifier that is right in about nine of ten: float [N, CLASSES]."""
    random = np.random.default_rng(seed)
    scores = random.normal(0, 1, (count, CLASSES))
    scores[np.arange(count), random.integers(0, CLASSES, count)] += random.gamma(2, 2.5, count)
    return scores


def _narrowed(scores: np.ndarray, noise: float, seed: int) -> np.ndarray:
    return scores + np.random.default_rng(seed).normal(0, noise, scores.shape)


def _true_points(scores: np.ndarray, planned: np.ndarray, seed: int) -> float:
    """Points by labels drawn by the scores' own chances."""
    random = np.random.default_rng(seed)
    labels = (scores + random.gumbel(size=scores.shape)).argmax(axis=1)
    return 100 * float(np.mean((scores.argmax(axis=1) == labels) * 1.0 - (planned.argmax(axis=1) == labels)))


@pytest.mark.parametrize("noise", (0.05, 0.2, 0.6, 1.2))
def test_the_estimate_is_near_the_loss_on_other_samples(noise) -> None:
    many = _scores(60_000, 0)
    true = _true_points(many, _narrowed(many, noise, 1), 2)
    found = []
    for seed in range(30):
        few = _scores(256, 100 + seed)
        found.append(estimated_loss(few, _narrowed(few, noise, 200 + seed)))
    assert np.mean([loss.points for loss in found]) == pytest.approx(true, abs=0.1 + 0.25 * true)
    assert np.mean([loss.upper_points >= true for loss in found]) >= 0.9


def test_equal_scores_lose_nothing() -> None:
    loss = estimated_loss(_scores(300, 0), _scores(300, 0))
    assert loss.points == 0 and loss.num_changed == 0 and loss.keeps(0.5)


def test_a_class_that_vanishes_is_seen() -> None:
    scores = _scores(300, 0)
    planned = scores.copy()
    planned[:, 3] = -100
    assert estimated_loss(scores, planned).points > 5


def test_shares_become_the_scores_that_make_them() -> None:
    scores = _scores(50, 0)
    shares = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    again = _as_scores(np.round(shares * 256) / 256)
    assert (again.argmax(axis=1) == scores.argmax(axis=1)).mean() > 0.95
    assert again.min() < 0, "no shares"
    assert _as_scores(scores) is scores


def test_sqnr_is_of_the_variance() -> None:
    wanted = np.random.default_rng(0).normal(5, 2, (100, 40))
    assert sqnr_db(wanted, wanted + 0.2) == pytest.approx(20, abs=0.2)
    assert sqnr_db(wanted, wanted) == float("inf")


def test_a_vector_of_scores_has_classes_and_a_map_has_none() -> None:
    graph = read_model(inverted_residual())
    assert has_classes(graph)
    a_map = next(op.outputs[0] for op in graph.ops if graph.tensors[op.outputs[0]].num_elements > 100)
    assert not has_classes(dataclasses.replace(graph, outputs=(a_map,)))


def test_samples_that_compensation_fits_to_judge_only_where_others_are_too_few() -> None:
    least = samples_needed(0.5)
    for count, expected in ((256, 192), (200, least), (100, 100)):
        chosen = set(_unfitted(np.arange(count), 1000, least).tolist())
        others = set(range(count)) - set(compensated_with(count, 1000).tolist())
        assert len(chosen) == expected and (others <= chosen or chosen <= others)
    assert len(_unfitted(np.arange(1000), 1 << 40, least)) == least


def test_the_limit_of_nothing_lost_is_that_of_nothing_seen() -> None:
    scores = _scores(192, 0)
    unseen = AccuracyLoss.of_samples("labels", np.zeros(192), 0).upper_points
    assert estimated_loss(scores, scores).upper_points == pytest.approx(unseen)
    assert estimated_loss(scores, _narrowed(scores, 1.2, 1)).upper_points > unseen


@pytest.mark.parametrize("noise", (0.6, 1.2))
def test_the_limit_knows_how_far_estimates_of_other_samples_differ(noise) -> None:
    drawn = [_scores(2000, 60 + seed) for seed in range(60)]
    found = [estimated_loss(scores, _narrowed(scores, noise, seed)) for seed, scores in enumerate(drawn)]
    error = np.mean([(loss.upper_points - loss.points) / CONFIDENCE_Z for loss in found])
    assert np.std([loss.points for loss in found]) == pytest.approx(error, rel=0.35)


def test_what_is_spread_is_lost_once_by_samples_and_once_by_changes() -> None:
    random = np.random.default_rng(0)
    margins, changes, at_stake = random.gamma(2, 1, 300), random.normal(0, 1, 300), random.random(300)
    by_sample, by_change = _spread(margins, changes, at_stake)
    assert by_sample.sum() == pytest.approx(by_change.sum()) and by_sample.sum() > 0
    assert (by_sample <= at_stake + 1e-12).all()
