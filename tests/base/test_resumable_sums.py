"""Sums: those of a loop, and after a stop only what was not added up yet is done."""

from __future__ import annotations

import numpy as np
import pytest

from tflm_quantmcu.base.checkpoint import Checkpoint
from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.base.resumable_sums import ResumableSums

NUMBERS = [3, 1, 4, 1, 5]


def _sums(path, key: str = "a") -> ResumableSums:
    return ResumableSums(Checkpoint(path, {"run": key}), n_jobs=1, progress=False)


class _Squares:
    """Counts what it is asked for, and stops at the number that is not allowed."""

    def __init__(self, forbidden: int | None = None) -> None:
        self.asked: list[int] = []
        self._forbidden = forbidden

    def __call__(self, number: int) -> dict[str, np.ndarray]:
        if number == self._forbidden:
            raise KeyboardInterrupt
        self.asked.append(number)
        return {"number": np.array(number), "square/of": np.array([number**2, 1])}


def test_a_sum_is_that_of_all_items_and_needs_no_file():
    total = ResumableSums(None, n_jobs=1, progress=False).sum("squares", _Squares(), NUMBERS)
    assert total["number"] == 14 and total["square/of"].tolist() == [52, 5]


def test_results_are_added_in_order_by_the_given_function():
    def longer(a, b):
        return {"number": np.append(a["number"], b["number"])}

    total = ResumableSums(None, n_jobs=1, progress=False).sum("squares", _Squares(), NUMBERS, longer)
    assert total["number"].tolist() == NUMBERS


def test_what_was_added_is_not_done_again(tmp_path):
    path = tmp_path / "run.checkpoint"
    first = _sums(path).sum("first", _Squares(), NUMBERS[:2])
    with pytest.raises(KeyboardInterrupt):
        _sums(path).sum("second", _Squares(forbidden=5), NUMBERS)
    again, rest = _sums(path), _Squares()
    kept = again.sum("first", rest, NUMBERS[:2])
    assert all(np.array_equal(kept[name], first[name]) for name in first) and rest.asked == []
    total = again.sum("second", rest, NUMBERS)
    assert rest.asked == [5]
    assert total["number"] == 14 and total["square/of"].tolist() == [52, 5]
    with pytest.raises(UsageError, match="differs in run"):
        _sums(path, key="b")
