"""experiments.detectors: a row a network in the documents, each smaller, and the kinds that rows stand for."""

from __future__ import annotations

import pytest

from experiments import detectors
from experiments.zoo import int8_model
from tests.test_laws import table_rows
from tflm_quantmcu.tflite.reader import read_model


def test_each_network_has_a_row_and_is_smaller() -> None:
    columns = (
        "network",
        "stock",
        "converted",
        "on the M4",
        "ratio",
        "cycles",
        "equal",
        "what holds the most, and then",
    )
    rows = table_rows("reference/detectors.md", *columns)
    assert {row[0].split(",")[0] for row in rows} == {*detectors.ZOO}
    for _, stock, converted, on_m4, ratio, cycles, equal, *_ in rows:
        before, after, there = (int(cell.replace(",", "")) for cell in (stock, converted, on_m4))
        assert after < before and after <= there < before and f"{after / before:.3f}" == ratio
        assert equal == "yes" and float(cycles or 1) <= 1.1


@pytest.mark.parametrize(("name", "kinds"), [("yolo_lc", {"QUANTIZE", "LEAKY_RELU", "MAX_POOL_2D"})])
def test_a_network_has_the_ops_of_its_kind(name: str, kinds: set[str]) -> None:
    graph = read_model(int8_model(detectors.ZOO[name]))
    assert {op.kind for op in graph.ops} >= kinds
    assert graph.tensors[graph.inputs[0]].dtype == "uint8"
