"""The table of search times has a figure a column, and its images have something in the middle."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.search_time import pictures, row
from tests.support import shared_data


@pytest.mark.long
def test_a_row_has_the_sizes_and_a_time_for_each_search() -> None:
    cells = row(shared_data.model("ic_resnet8_int8"), pictures(2, 32)).strip("| ").split(" | ")
    assert cells[:2] == ["16", "2"]
    assert len(cells) == 8 and all(float(seconds) >= 0 for seconds in cells[2:])


def test_pictures_are_rougher_in_the_middle() -> None:
    x = pictures(8, 32)
    assert x.shape == (8, 32, 32, 3) and x.dtype == np.float32
    assert np.abs(x[:, 12:20, 12:20]).mean() > 2 * np.abs(x[:, :8, :8]).mean()
    np.testing.assert_array_equal(x, pictures(8, 32))
