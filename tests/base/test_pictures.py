"""What happens without matplotlib, an extra: pictures that are asked for are refused first, those beside results are
left out."""

from __future__ import annotations

import importlib.util
from pathlib import Path

import pytest

from tests.support.networks import inverted_residual
from tflm_quantmcu import cli
from tflm_quantmcu.base import pictures
from tflm_quantmcu.base.errors import UsageError

INSTALL = r"pictures need matplotlib, which is not installed: pip install 'tflm_quantmcu\[plots\]'"


@pytest.fixture
def without_matplotlib(monkeypatch: pytest.MonkeyPatch) -> None:
    real = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == "matplotlib" else real(name))


def test_it_is_here() -> None:
    pictures.require()
    assert pictures.are_drawn("plot.png")


@pytest.mark.usefixtures("without_matplotlib")
def test_a_picture_that_is_asked_for_is_refused_before_the_model_is_read() -> None:
    with pytest.raises(UsageError, match=INSTALL):
        cli.run(["inspect", "--model", "/nowhere/m.tflite", "--memory_png", "m.png"])


@pytest.mark.usefixtures("without_matplotlib")
def test_a_front_is_written_without_its_plot(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    model, table = tmp_path / "m.tflite", tmp_path / "front.csv"
    model.write_bytes(inverted_residual())
    flags = ["--model", str(model), "--output", str(tmp_path / "plan.json"), "--search", "uniform"]
    with pytest.warns(UserWarning, match=f"front.png is left out: {INSTALL}"):
        cli.run(["plan", *flags, "--pareto", str(table)])
    assert table.is_file() and not table.with_suffix(".png").exists()
    assert f"wrote {table}\n" in capsys.readouterr().out
