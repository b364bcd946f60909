"""Which Python 3.13 the quick tests run on, and what a machine without one is told."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from tools import python313


def _program(path: Path, exit_code: int) -> Path:
    path.parent.mkdir(parents=True)
    path.write_text(f"#!/bin/sh\nexit {exit_code}\n")
    path.chmod(0o755)
    return path


def test_a_shim_that_fails_does_not_count(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    _program(tmp_path / "shims/python3.13", 127)
    works = _program(tmp_path / "pyenv/versions/3.13.1/bin/python", 0)
    monkeypatch.setenv("PATH", str(tmp_path / "shims"))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    assert python313.find() == works
    monkeypatch.setenv("PATH", os.pathsep.join([str(tmp_path / "shims"), str(Path(sys.executable).parent)]))
    assert python313.find() == works


@pytest.mark.parametrize(("ci", "has_pyenv", "exit_code"), [("", True, 0), ("true", False, 0), ("true", True, 1)])
def test_absence_is_loud_and_fails_in_ci_where_pyenv_has_one(
    ci: str,
    has_pyenv: bool,
    exit_code: int,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
) -> None:
    if has_pyenv:
        _program(tmp_path / "versions/3.13.0/bin/python", 1)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path))
    monkeypatch.setenv("CI", ci)
    assert python313.main() == exit_code
    assert capsys.readouterr().err == "python313: NO PYTHON 3.13 IS HERE: its tests did not run\n"
