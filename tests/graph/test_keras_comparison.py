"""Figures within the limits give no warning; each beyond its limit gives one sentence, with its likely cause."""

from __future__ import annotations

import dataclasses
import json
import re

import pytest

from tflm_quantmcu.graph.keras_comparison import KerasComparison, OutputComparison, Spread

GOOD_OUTPUT = OutputComparison("scores", 24.0, 0.97, 7, 10, False)
GOOD = KerasComparison(64, (GOOD_OUTPUT,), (0.0, 255.0), (0.0, 255.0), 0.0, Spread("norm", 1.1))


def test_good_figures_are_told_without_a_warning():
    (line,) = GOOD.lines
    assert line == (
        "int8 beside the Keras model on 64 calibration samples: 'scores' 97.0% of the decisions agree, SQNR 24.0 dB; "
        "0.00% of the input values beyond 0 to 255"
    )
    assert not GOOD.warnings


def _with_output(**changes) -> KerasComparison:
    return dataclasses.replace(GOOD, outputs=(dataclasses.replace(GOOD_OUTPUT, **changes),))


@pytest.mark.parametrize(
    "comparison, symptom, cause",
    [
        (_with_output(sqnr_db=9.9), r"'scores' has an SQNR of 9.9 dB \(below 10\)", "8 bits cannot hold"),
        (_with_output(agreement=0.8), "decides as Keras on 80.0% of the samples", "8 bits cannot hold"),
        (_with_output(is_constant=True), "is the same for all 64 samples", "not trained"),
        (_with_output(num_classes=1), "Keras model itself gives all 64 samples one class", "range of preprocessing"),
        (dataclasses.replace(GOOD, saturated_share=0.2), r"20.0% of the input values clip", "use more samples"),
        (dataclasses.replace(GOOD, spread=Spread("norm", 0.004)), "'norm' vary 0.004 times", "range of preprocessing"),
        (dataclasses.replace(GOOD, spread=Spread("norm", 255.0)), "'norm' vary 255 times", "range of preprocessing"),
    ],
)
def test_each_limit_has_its_warning(comparison, symptom, cause):
    with_cause = f"{symptom}.*Likely cause: .*{cause}"
    (sentence,) = comparison.warnings
    assert re.search(with_cause, sentence)
    assert comparison.lines[1] == f"warning: {sentence}"


def test_a_few_samples_may_be_alike():
    assert not dataclasses.replace(_with_output(is_constant=True, num_classes=1), num_samples=8).warnings


@pytest.mark.parametrize("comparison", [GOOD, dataclasses.replace(GOOD, spread=None), _with_output(sqnr_db=None)])
def test_json_gives_the_same_again(comparison):
    text = json.dumps(comparison.as_dict())
    assert KerasComparison.from_json(text) == comparison
    assert json.loads(text)["warnings"] == comparison.warnings
