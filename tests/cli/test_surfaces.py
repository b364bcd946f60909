"""Command lines around the work: clashing files, terminals, odd values; nobody sees a traceback."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.edit_model import with_tensor
from tests.support.networks import inverted_residual
from tflm_quantmcu import cli
from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.search.options import Options

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.tflite").write_bytes(inverted_residual(size=8))
    (tmp_path / "link").symlink_to("m.tflite")
    return tmp_path


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ("convert m.tflite --output m.tflite", "--model and --output are one file, m.tflite"),
        ("convert m.tflite --output ./link", "--model and --output are one file, ./link"),
        ("convert m.tflite --output o --report o", "are one file, o"),
        ("convert m.tflite --output o --report_json ./x/../o --plan p", "are one file"),
        ("convert m.tflite --output o --plan p --report p", "are one file, p"),
        ("convert m.tflite --output o --report o.checkpoint", "are one file"),
        ("convert m.tflite --output o --calibration_data o", "are one file, o"),
        ("plan m.tflite --output m.tflite", "are one file"),
        ("calibrate m.tflite --calibration_data x.npz --output x.npz", "are one file, x.npz"),
        ("run m.tflite --inputs x.npz --outputs x.npz", "are one file, x.npz"),
        ("diff m.tflite m.tflite --data x.npz --output_json m.tflite", "are one file, m.tflite"),
    ],
)
def test_one_file_is_not_two_things(folder, arguments, sentence):
    (folder / "x").mkdir()
    before = (folder / "m.tflite").read_bytes()
    with pytest.raises(UsageError, match=sentence):
        cli.run(arguments.split())
    assert (folder / "m.tflite").read_bytes() == before


NUMBERS = [name for name in Options.names() if Options.__dataclass_fields__[name].metadata["kind"] in (int, float)]


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", ["nan", "inf", "-inf", "1e400", "", "x", "-7", "1e-400", "9" * 400])
def test_numbers_that_are_none_are_refused(folder, name, value, capsys):
    arguments = ["convert", "m.tflite", "--output", "o", "--search", "uniform", f"--{name}={value}"]
    if value in ("1e-400", "9" * 400):  # as a number it may be in range; it must not be a traceback
        arguments += ["--sram_bytes", "1"]
    with pytest.raises(SystemExit) as stop:
        cli.main(arguments)
    error = capsys.readouterr().err
    assert stop.value.code in ((2, 4) if "--sram_bytes" in arguments else (2,)), error
    assert "Traceback" not in error and error.count("\n") == 1 and len(error) < 2300


@pytest.mark.parametrize("name", NUMBERS)
@pytest.mark.parametrize("value", [float("nan"), float("inf"), "5", True, [], 10**400, object()])
def test_keywords_of_other_types_are_refused(name, value):
    with pytest.raises(UsageError, match=f"--{name} is|gives"):
        Options.of({name: value})


@pytest.mark.parametrize("encoding", ["ascii", "utf-8", "latin-1"])
def test_names_of_a_model_do_not_command_a_terminal(folder, encoding):
    name = "\x1b[31mé卷\u202e\nfake: ok".encode()
    (folder / "m.tflite").write_bytes(with_tensor(inverted_residual(size=8), 3, name=name))
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    command = [sys.executable, "-m", "tflm_quantmcu.cli", "inspect", "m.tflite"]
    done = subprocess.run(command, env=environment, capture_output=True, check=False)
    text = done.stdout.decode(encoding)
    assert done.returncode == 0, done.stderr
    assert "\\x1b[31m" in text and not any(c in text for c in "\x1b\u202e\x9b")


def test_refusals_are_one_bounded_line(folder, capsys):
    bad = "\x1b[2J" + "y" * 10_000
    with pytest.raises(SystemExit) as stop:
        cli.main(["convert", "m.tflite", "--output", "o", f"--search={bad}\nmore"])
    error = capsys.readouterr().err
    assert stop.value.code == 2 and error.count("\n") == 1 and len(error) < 2300 and "\x1b" not in error


def test_a_closed_pipe_ends_without_words(folder):
    command = f"{sys.executable} -m tflm_quantmcu.cli inspect m.tflite | true"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, shell=True, env=environment, capture_output=True, text=True, check=False)
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("module", ["tflm_quantmcu", "tflm_quantmcu.cli"])
def test_python_runs_the_package_as_a_module(module):
    command = [sys.executable, "-m", module, "--version"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.startswith("tflm_quantmcu ")


def test_outputs_without_an_encoding_are_written_to(folder, monkeypatch):
    stream = io.StringIO()
    monkeypatch.setattr(sys, "stdout", stream)
    cli.main(["--version"])
    assert stream.getvalue().startswith("tflm_quantmcu ")
