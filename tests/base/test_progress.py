"""Progress: on standard error alone, where that is a terminal, or not at all."""

from __future__ import annotations

import re

import pytest

from tests.support.networks import inverted_residual
from tests.support.search_problems import calibration_of
from tflm_quantmcu.app import api
from tflm_quantmcu.base.progress import stages, track

MODEL = inverted_residual()
CALIBRATION = calibration_of(MODEL, shape=(24, 24, 3))


@pytest.fixture(params=[True, False], ids=["terminal", "no terminal"])
def is_terminal(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether standard error counts as a terminal, as rich is told so."""
    monkeypatch.setenv("TTY_COMPATIBLE", str(int(request.param)))
    monkeypatch.setenv("COLUMNS", "200")
    return request.param


def test_items_come_through_with_and_without_a_bar(is_terminal: bool, capfd: pytest.CaptureFixture[str]) -> None:
    for progress in (True, False):
        assert list(track(iter(range(5)), "counting", progress=progress, total=5)) == list(range(5))
        out, err = capfd.readouterr()
        assert out == "" and ("counting" in err) == (progress and is_terminal)


def test_stages_share_one_line_that_never_goes_back(is_terminal: bool, capfd: pytest.CaptureFixture[str]) -> None:
    with stages({"reading": 0.25, "searching": 0.75}, progress=True) as enter:
        enter("reading")
        assert list(track(range(3), "samples", progress=True)) == [0, 1, 2]
        enter("searching")
        for _ in range(2):  # a stage may have several loops
            assert list(track(range(4), "trying", progress=True)) == [0, 1, 2, 3]
        with stages({"another": 1.0}, progress=True) as inner:  # a call inside the call
            inner("another")
    out, err = capfd.readouterr()
    assert out == "" and bool(err) == is_terminal
    if is_terminal:
        shares = [int(share) for share in re.findall(r"(\d+)%", err)]
        assert shares and shares == sorted(shares) and shares[-1] <= 100
        assert "2/2 searching" in err and "another" not in err


@pytest.mark.parametrize(
    ("search", "options"),
    [
        ("vdqs", {"objective": "bit_ops", "vdpc": "dynamic", "vdpc_phi": 0.9, "max_macs_ratio": 1.0}),
        ("memory_driven", {"split": "off"}),
        ("rl", {"rl_episodes": 2, "split": "off"}),
    ],
)
def test_searches_show_how_far_they_are(
    search: str, options: dict[str, object], is_terminal: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    for progress in (True, False):
        api.plan(MODEL, calibration=CALIBRATION, search=search, progress=progress, **options)
        out, err = capfd.readouterr()
        assert out == "" and ("planning and searching" in err) == (progress and is_terminal)
