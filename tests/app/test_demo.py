"""`tflm_quantmcu demo`: the package's own network fits the budget, computes the same bytes, and what it says is so."""

from __future__ import annotations

import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tflm_quantmcu import cli
from tflm_quantmcu.app.demo import FOLDER, SAMPLES, WEIGHTS, Demo, demo
from tflm_quantmcu.base.errors import BudgetError, UsageError
from tflm_quantmcu.runtime.interpreter import Interpreter

# One worker makes what they share, once.
pytestmark = pytest.mark.xdist_group("demo")

MOST_WEIGHT_BYTES = 200_000
MOST_BYTES = 1_000_000
BUDGET = 48 * 1024


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Demo:
    return demo(tmp_path_factory.mktemp("demo") / "made", progress=False)


def test_the_files_are_small() -> None:
    assert (FOLDER / WEIGHTS).stat().st_size <= MOST_WEIGHT_BYTES
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) <= MOST_BYTES


def test_it_fits_and_computes_the_same_bytes(done: Demo) -> None:
    before, after = (figures.arena_bytes for figures in (done.result.report.baseline, done.result.report.converted))
    assert before is not None and after is not None
    assert after <= BUDGET < before
    assert done.num_equal == done.num_samples
    with np.load(FOLDER / SAMPLES) as samples:
        x, y = samples["x"], samples["y"]
    assert len(y) == done.num_samples
    right = (Interpreter(done.result.model).run(x).reshape(len(x), -1).argmax(axis=1) == y).sum()
    assert done.num_right == (right, right)
    assert right > 0.8 * len(y)


def test_what_it_names_is_there_and_its_commands_run(done: Demo, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"report, after {done.seconds:.0f} s: {done.report}" in done.summary
    assert "<html" in done.report.read_text("utf-8")
    commands = re.findall(r"^  (tflm_quantmcu \w+ [^&\n]*)", done.summary, re.MULTILINE)
    assert len(commands) == 5
    for command in commands[:-1]:  # the last one is about a model of the user's
        cli.run(shlex.split(command)[1:])
        assert capsys.readouterr().out


def test_it_needs_no_tensorflow(tmp_path: Path) -> None:
    hidden = tmp_path / "tensorflow.py"
    hidden.write_text("raise ImportError('hidden')")
    (tmp_path / "keras.py").write_text("raise ImportError('hidden')")
    environment = {**os.environ, "PYTHONPATH": f"{tmp_path}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"}
    command = [sys.executable, "-m", "tflm_quantmcu.cli", "demo", str(tmp_path / "made"), "--core=m55", "--noprogress"]
    output = subprocess.run(command, env=environment, capture_output=True, text=True, check=True).stdout
    assert "tensor arena to reserve on cortex-m55" in output
    assert str(tmp_path / "made" / "report.html") in output


def test_what_cannot_be_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UsageError, match="--output_dir .*file cannot be written"):
        demo(tmp_path / "file")
    with pytest.raises(BudgetError, match="--sram_bytes is 1,024"):
        demo(tmp_path / "small", sram_bytes=1024, progress=False)
