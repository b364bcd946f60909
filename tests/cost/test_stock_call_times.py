"""stock_call_times: calls and their words, and formulas of what they take."""

import statistics

import pytest

from tflm_quantmcu.cost import stock_call_times
from tflm_quantmcu.cost.cycles import Work
from tflm_quantmcu.cost.instructions import load_table
from tflm_quantmcu.cost.stock_call_times import KERNELS, StockCall, StockRow
from tflm_quantmcu.graph.target import CORES
from tflm_quantmcu.law.kernel_calls import FillParams, QuantizeParams, StridedCopyParams
from tools.stock_call_shapes import OUTPUT

CALLS = stock_call_times.read_calls(OUTPUT.read_text())


def test_a_call_is_read_from_the_words_of_its_params():
    call = StockCall("Quantize", QuantizeParams(12, 0.03125, -4))
    line = " ".join(["Quantize", *map(str, stock_call_times.words_of(call.params))])
    assert stock_call_times.read_calls(f"# a comment\n{line}\n") == [call]


def test_rows_are_read_as_they_were_written():
    rows = [StockRow(call, Work(10 + i, 3, 2, 1, 20)) for i, call in enumerate(CALLS)]
    assert stock_call_times.from_csv(stock_call_times.to_csv(rows)) == rows
    assert {call.kernel for call in CALLS} == set(KERNELS)


@pytest.mark.parametrize("core", CORES)
def test_formulas_hold_for_what_was_measured(core):
    table = load_table(core)
    assert [row.call for row in table.stock] == CALLS
    for kernel in KERNELS:
        rows = [row for row in table.stock if row.call.kernel == kernel]
        errors = [table.of_call(row.call) / row.work.instructions - 1 for row in rows]
        assert statistics.fmean(e * e for e in errors) ** 0.5 < 0.15, kernel
    assert table.cycles is not None and all(table.cycles.of_call(call) > 0 for call in CALLS)


def test_copies_of_runs_take_less_than_those_of_values():
    table = load_table("cortex-m4")
    runs = StridedCopyParams((1, 1, 10, 640), (0, 0, 640, 1), (0, 0, 656, 1))
    values = StridedCopyParams((1, 1, 10, 640), (0, 0, 640, 1), (0, 0, 1, 10))
    assert table.of_call(StockCall("StridedCopy", runs)) * 5 < table.of_call(StockCall("StridedCopy", values))


def test_a_kernel_that_nobody_measured_is_not_known():
    table = load_table("cortex-m4")
    assert table.of_call(StockCall("Unheard", FillParams(3, 0))) is None
