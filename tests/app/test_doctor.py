"""What `doctor` says of a whole installation, and of one that lacks things."""

from __future__ import annotations

from pathlib import Path

import pytest

from tflm_quantmcu import cli
from tflm_quantmcu.app import doctor
from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.native.op_library import PATH_VARIABLE


def missing() -> dict[str, str]:
    return {finding.name: finding.remedy for finding in doctor.examine() if finding.found is None}


def test_this_installation_is_whole(capsys: pytest.CaptureFixture[str]) -> None:
    cli.run(["doctor"])
    printed = capsys.readouterr().out
    for words in ("ok       Python", "ok       TFLM                 tflite-micro ", "ok       TFLM with our ops"):
        assert words in printed


def test_programs_that_are_missing_or_broken_are_named_with_their_packages(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    shim = tmp_path / "g++"
    shim.write_text("#!/bin/sh\nexit 127\n")
    shim.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    found = missing()
    assert found["qemu-system-arm"] == "apt-get install qemu-system-arm"
    assert found["g++"] == f"{shim} does not run; apt-get install g++"
    doctor.require(doctor.examine())  # converting and running need none of these


def test_without_the_op_library_the_exit_code_is_2(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(PATH_VARIABLE, "/nowhere/libquantmcu_ops.so")
    with pytest.raises(UsageError, match="missing: op library, TFLM with our ops;") as refused:
        cli.run(["doctor"])
    assert refused.value.exit_code == 2
    assert "MISSING  op library" in capsys.readouterr().out
