"""experiments.on_device: the columns are what the report of the same conversion says."""

from __future__ import annotations

import pytest

import tflm_quantmcu as qm
from experiments.on_device import on_device
from tests.support import networks


def test_columns_are_those_of_the_report() -> None:
    result = qm.convert(networks.inverted_residual(), search="uniform", progress=False)
    after = result.report.as_dict()["after"]
    columns = on_device(result.model)
    assert columns["core"] == "cortex-m4"
    assert columns["arena_bytes"] == after["arena_bytes"]
    assert columns["milliseconds"] == pytest.approx(after["milliseconds"], abs=0.006)
