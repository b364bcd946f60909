"""Progress bars: on standard error alone, or not at all."""

from __future__ import annotations

import pytest

from tests.support.networks import inverted_residual
from tests.support.search_problems import calibration_of
from tflm_quantmcu.app import api
from tflm_quantmcu.base.progress import track

MODEL = inverted_residual()
CALIBRATION = calibration_of(MODEL, shape=(24, 24, 3))


def test_items_come_through_with_and_without_a_bar(capfd):
    for progress in (True, False):
        assert list(track(iter(range(5)), "counting", progress=progress, total=5)) == list(range(5))
        out, err = capfd.readouterr()
        assert out == "" and ("counting" in err) == progress


@pytest.mark.parametrize(
    ("search", "options"),
    [
        ("vdqs", {"objective": "bit_ops", "vdpc": "dynamic", "vdpc_phi": 0.9, "max_macs_ratio": 1.0}),
        ("memory_driven", {}),
        ("rl", {"rl_episodes": 2}),
    ],
)
def test_searches_show_a_bar_unless_told_not_to(search, options, capfd):
    for progress in (True, False):
        api.plan(MODEL, calibration=CALIBRATION, search=search, progress=progress, **options)
        out, err = capfd.readouterr()
        assert out == "" and (search in err) == progress
