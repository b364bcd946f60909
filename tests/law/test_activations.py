"""Law A13: its worked examples. Whole activations against TFLM are in parity/test_stock_op_parity.py."""

from __future__ import annotations

import numpy as np
import pytest

from tests.test_laws import table_rows
from tflm_quantmcu.law import activations

LAW = "arithmetic.md"


@pytest.mark.parametrize("row", table_rows(LAW, "a", "k", "exp(a)"), ids=" ".join)
def test_exp_gives_the_worked_result(row):
    a, k, expected = map(int, row)
    assert int(activations.exp_of_negative(np.array(a, np.int64), k)) == expected


@pytest.mark.parametrize("row", table_rows(LAW, "a", "recip(a)"), ids=" ".join)
def test_recip_gives_the_worked_result(row):
    a, expected = map(int, row)
    assert int(activations.reciprocal_of_one_plus(np.array(a, np.int64))) == expected


@pytest.mark.parametrize("row", table_rows(LAW, "a", "ratio(a)"), ids=" ".join)
def test_ratio_gives_the_worked_result(row):
    a, expected = map(int, row)
    assert int(activations.one_minus_over_one_plus(np.array(a, np.int64))) == expected
