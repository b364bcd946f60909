"""Packing and unpacking are inverse for every width and run length."""

from __future__ import annotations

import numpy as np
import pytest

from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.law.packing import pack, run_bytes, unpack


@pytest.mark.parametrize("bits", (8, 4, 2))
@pytest.mark.parametrize("count", (1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33))
def test_unpack_inverts_pack(bits, count):
    half = 1 << (bits - 1)
    values = np.random.default_rng(count).integers(-half, half, (3, 2, count)).astype(np.int8)
    data = pack(values, bits)
    assert data.dtype == np.uint8
    assert data.shape == (3, 2, run_bytes(count, bits))
    np.testing.assert_array_equal(unpack(data, bits, count), values)
    np.testing.assert_array_equal(unpack(data.view(np.int8), bits, count), values)


@pytest.mark.parametrize("bits", (4, 2))
def test_unused_bits_are_zero(bits):
    data = pack(np.array([-1], np.int8), bits)
    assert data.tolist() == [(1 << bits) - 1]


def test_values_beyond_the_width_are_refused():
    with pytest.raises(UsageError, match="do not fit 4 bits"):
        pack(np.array([8], np.int8), 4)


def test_runs_of_another_length_are_refused():
    with pytest.raises(UsageError, match="does not hold 5 values of 4 bits"):
        unpack(np.zeros(2, np.uint8), 4, 5)


def test_other_widths_are_refused():
    with pytest.raises(UsageError, match="3 bits"):
        pack(np.zeros(1, np.int8), 3)
