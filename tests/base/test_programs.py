"""Programs that are missing are said with the line that installs them, before any work."""

from __future__ import annotations

from pathlib import Path

import pytest

import tflm_quantmcu as qm
from tests.support.networks import inverted_residual
from tflm_quantmcu.base import programs
from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.cost.bench import bench


@pytest.fixture
def empty_path(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))


def test_what_is_here_needs_no_word() -> None:
    assert programs.missing(programs.ON_HOST) is None
    programs.require(programs.ON_HOST)


@pytest.mark.usefixtures("empty_path")
def test_what_is_missing_is_named_with_its_packages() -> None:
    assert programs.missing(("make", "g++")) == "not installed: make, g++; apt-get install make g++"
    with pytest.raises(UsageError, match="not installed: qemu-system-arm"):
        programs.require(("qemu-system-arm",))


@pytest.mark.usefixtures("empty_path")
def test_bench_refuses_before_it_builds(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="not installed: bazel, make, arm-none-eabi"):
        bench("cortex-m4", output=tmp_path / "m4.csv")


@pytest.mark.usefixtures("empty_path")
def test_emitted_projects_say_what_they_need(tmp_path: Path) -> None:
    project = qm.emit(inverted_residual(), output_dir=tmp_path, core="cortex-m4")
    assert "which needs what is not installed: make, arm-none-eabi-g++, qemu-system-arm; apt-get" in project.summary
