"""A model of the bounds' table, on every core, without the core: `convert` records what TFLM takes with its scratch."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from experiments.device_bounds import BOUNDS, Row, Trial, cases_of
from tests.support import networks
from tflm_quantmcu.graph.target import CORES, TFLM

SMALL = {"small": networks.inverted_residual()}


@pytest.fixture
def trial(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Trial:
    monkeypatch.delenv("TFLM_DIR", raising=False)
    return Trial(SMALL, tmp_path)


@pytest.mark.parametrize("core", CORES)
def test_bounds_are_kept_or_refused(trial: Trial, core: str) -> None:
    cases = [case for case in cases_of(["small"], [core], ["uniform"]) if case.runtime == TFLM]
    assert [case.bound for case in cases] == list(BOUNDS)
    for row in map(trial.row, cases):
        assert not row.is_exceeded
        assert row.refusal or (row.predicted_bytes or 0) <= (row.bound_bytes or row.stock_bytes)


def test_a_bound_out_of_reach_has_its_reason(trial: Trial) -> None:
    (case,) = [c for c in cases_of(["small"], ["cortex-m4"], ["uniform"]) if c.runtime == TFLM and c.bound == "half"]
    row = trial.row(dataclasses.replace(case, divisor=1000))
    assert row.refusal.startswith("refused: --sram_bytes is ")
    assert row.predicted_bytes is None


def test_a_row_says_what_was_found() -> None:
    (case, *_) = cases_of(["small"], ["cortex-m4"], ["vdqs"])
    row = Row(case, 20000, 10000, 9000, "exactly")
    assert row.text == "| small | cortex-m4 | vdqs | tflm | half | 20,000 | 10,000 | 9,000 | exactly |"
