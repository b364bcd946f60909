"""The model without its flag, --quiet and --verbosity, and what Ctrl-C says."""

from __future__ import annotations

import dataclasses
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.support.tiny_models import TinyModel
from tflm_quantmcu import cli
from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.cli.commands import COMMANDS


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "m.tflite"
    tiny = TinyModel()
    path.write_bytes(tiny.build(tiny.conv2d(tiny.input([1, 8, 8, 3]), np.ones((4, 3, 3, 3), np.int8))))
    return path


def test_the_model_may_stand_without_its_flag_anywhere(model: Path, capsys: pytest.CaptureFixture[str]) -> None:
    cli.run(["inspect", f"--model={model}"])
    flagged = capsys.readouterr().out
    cli.run(["inspect", str(model)])
    assert capsys.readouterr().out == flagged
    cli.run(["inspect", "--core=m4", str(model), "--memory"])
    assert capsys.readouterr().out


def test_quiet_prints_nothing_of_a_success(model: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    arguments = ["convert", str(model), f"--output={tmp_path / 'o.tflite'}"]
    cli.run([*arguments, "--quiet"])
    cli.run([*arguments, "--verbosity=0"])
    assert capfd.readouterr() == ("", "")
    cli.run(arguments)
    assert capfd.readouterr().out


def test_verbosity_2_shows_where_a_refusal_came_from(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    missing = ["inspect", str(tmp_path / "missing.tflite")]
    for arguments, traces in ((missing, 0), ([*missing, "--verbosity=2"], 1)):
        with pytest.raises(SystemExit) as stop:
            cli.main(arguments)
        assert stop.value.code == 2
        error = capsys.readouterr().err
        assert error.count("Traceback") == traces
        assert "missing.tflite" in error.splitlines()[-1]


def test_ctrl_c_is_one_line_that_says_how_to_go_on(
    tmp_path: Path, model: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(values: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setitem(COMMANDS, "convert", dataclasses.replace(COMMANDS["convert"], run=interrupted))
    arguments = ["convert", str(model), f"--output={tmp_path / 'o.tflite'}"]
    for kept in (False, True):
        if kept:
            (tmp_path / "o.tflite.checkpoint").touch()
        with pytest.raises(SystemExit) as stop:
            cli.main(arguments)
        assert stop.value.code == 130
        lines = capsys.readouterr().err.splitlines()
        assert len(lines) == 1
        assert ("goes on from" in lines[0]) == kept


_WAITING = """
import dataclasses, sys, time
from tflm_quantmcu import cli
from tflm_quantmcu.cli.commands import COMMANDS
wait = lambda values: (print("working", flush=True), time.sleep(60))
COMMANDS["inspect"] = dataclasses.replace(COMMANDS["inspect"], run=wait)
cli.main(["inspect", sys.argv[1]])
"""


def test_a_real_interrupt_ends_with_130_and_no_traceback(model: Path) -> None:
    command = [sys.executable, "-c", _WAITING, str(model)]
    pipes: dict[str, Any] = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    # In the background of a shell this test would be deaf to it, and its children too.
    process = subprocess.Popen(command, preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL), **pipes)
    assert process.stdout is not None and process.stdout.readline() == "working\n"
    process.send_signal(signal.SIGINT)
    error = process.communicate()[1]
    assert process.returncode == 130
    assert error == "tflm_quantmcu: stopped; nothing was written\n"


def test_a_folder_that_is_missing_is_named_before_the_work(model: Path, tmp_path: Path) -> None:
    for flag in ("output", "report", "report_json", "plan"):
        paths = {"output": tmp_path / "o.tflite", flag: tmp_path / "nowhere" / "file"}
        with pytest.raises(UsageError, match=r"nowhere/file cannot be written: No such file or directory"):
            cli.run(["convert", "no_such_model.tflite", *(f"--{name}={path}" for name, path in paths.items())])


def test_diff_names_what_is_given_the_wrong_way(model: Path, tmp_path: Path) -> None:
    np.savez(tmp_path / "x.npz", x=np.zeros((1, 8, 8, 3), np.int8))
    data = f"--data={tmp_path / 'x.npz'}"
    with pytest.raises(UsageError, match=r"--model m.keras is a Keras model, .* give them the other way"):
        cli.run(["diff", str(model), "m.keras", data])
    with pytest.raises(UsageError, match=r"--core is m5; supported are cortex-m0plus, "):
        cli.run(["diff", str(model), str(model), data, "--core=m5"])
    report = tmp_path / "d.html"
    cli.run(["diff", str(model), str(model), data, f"--report={report}", "--quiet"])
    assert "Within the limit" in report.read_text()
