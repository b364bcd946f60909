"""Losses of accuracy: limits that agree with exact ones, and bounds that they keep."""

from __future__ import annotations

import numpy as np
import pytest

from tflm_quantmcu.graph.accuracy_loss import LIMIT_SLACK, MIN_SQNR_DB, AccuracyLoss, samples_needed


def _of(lost: int, won: int, total: int) -> AccuracyLoss:
    losses = np.array([1.0] * lost + [-1.0] * won + [0.0] * (total - lost - won))
    return AccuracyLoss.of_samples("labels", losses, lost + won)


@pytest.mark.parametrize("count", (150, 256, 2000))
def test_without_any_change_the_limit_is_that_of_a_rate_never_seen(count) -> None:
    loss = _of(0, 0, count)
    assert loss.points == 0
    assert loss.upper_points == pytest.approx(100 * (1 - 0.1 ** (1 / count)), rel=0.02)


@pytest.mark.parametrize("rate", (0.01, 0.05))
def test_nine_of_ten_limits_are_above_the_true_loss(rate) -> None:
    random = np.random.default_rng(0)
    covered = []
    for _ in range(1000):
        lost, won, _same = random.multinomial(400, [rate, rate / 2, 1 - 1.5 * rate])
        covered.append(_of(lost, won, 400).upper_points >= 100 * rate / 2)
    assert np.mean(covered) >= 0.89


@pytest.mark.parametrize("bound", (0.0, 0.5, 2.0))
def test_the_samples_needed_are_the_fewest_that_can_show_a_bound(bound) -> None:
    needed = samples_needed(bound)
    assert _of(0, 0, needed).keeps(bound) and not _of(0, 0, needed).lacks_samples(bound)
    assert not _of(0, 0, needed - 2).keeps(bound) and _of(0, 0, needed - 2).lacks_samples(bound)


def test_a_bound_is_kept_by_the_loss_and_by_its_limit() -> None:
    assert _of(10, 5, 2000).keeps(0.5)
    assert not _of(12, 0, 2000).keeps(0.5), "0.6 points"
    unsure = _of(20, 18, 400)
    assert unsure.points == 0.5 and unsure.upper_points > 0.5 + LIMIT_SLACK and not unsure.keeps(0.5)


def test_outputs_that_are_no_classes_are_judged_one_by_one() -> None:
    assert AccuracyLoss.of_outputs(64, [MIN_SQNR_DB, 40]).keeps(0.5)
    assert not AccuracyLoss.of_outputs(64, [MIN_SQNR_DB - 0.1, 40]).keeps(0.5)
    assert AccuracyLoss("equality", 0).keeps(0) and not AccuracyLoss("none", 0).keeps(100)


@pytest.mark.parametrize("loss", (_of(3, 1, 300), AccuracyLoss.of_outputs(8, [31.5, np.inf]), AccuracyLoss("none", 0)))
def test_fields_hold_all(loss) -> None:
    again = AccuracyLoss.from_fields(loss.to_fields())
    assert again.sentence == loss.sentence and again.sqnr_db == loss.sqnr_db
