"""A TFLM wheel that nobody has tried is refused in one sentence, before it is loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tflm_quantmcu import tflm_wheel

ROOT = Path(__file__).resolve().parents[2]


def _run_with_wheel(folder: Path, version: str) -> subprocess.CompletedProcess[str]:
    """`inspect` in a process that finds TFLM at `version`, as a package without any module."""
    info = folder / f"tflite_micro-{version}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: tflite-micro\nVersion: {version}\n")
    (folder / "tflite_micro").mkdir()
    (folder / "tflite_micro" / "__init__.py").touch()
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), str(ROOT)])}
    command = [sys.executable, "-m", "tflm_quantmcu.cli", "inspect", "--model", "none.tflite"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("version", ["0.dev20260901000000", "0.dev20991231235959", "1.2.3"])
def test_an_unknown_wheel_is_refused_in_one_sentence(tmp_path, version):
    result = _run_with_wheel(tmp_path, version)
    assert result.returncode == 2
    assert result.stderr.count("\n") == 1
    assert f"tflite-micro {version} is installed; supported are {tflm_wheel.FIRST} to" in result.stderr
