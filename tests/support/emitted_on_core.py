"""Emitted AOT code on a core in QEMU: the project's own test, between guards."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from tflm_quantmcu.converter.emit.project import emit
from tools.qemu_run import parse_results

ROOT = Path(__file__).parents[2]


def make_test(core: str, folder: Path, objects: Path) -> subprocess.CompletedProcess[str]:
    """Builds an emitted project and runs its test in QEMU; kernels are compiled once for `objects` and a core."""
    settings = {"QUANTMCU_DIR": ROOT, "OBJECT_DIR": objects / core, "CXXFLAGS": "-O2 -Werror", "PYTHON": sys.executable}
    command = ["make", "-j2", "-s", "-C", str(folder), "test", *(f"{k}={v}" for k, v in settings.items())]
    return subprocess.run(command, capture_output=True, text=True)


def run_project(model: bytes, core: str, folder: Path, objects: Path) -> dict[str, str]:
    """Emits a project for a core ("m4"), builds it and runs its test in QEMU; what it printed as KEY=VALUE.

    Raises:
      AssertionError: it was not built, or a test failed; the message has the output.
    """
    emit(model, output_dir=folder, core=f"cortex-{core}")
    done = make_test(core, folder, objects)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "GUARDED=1" in done.stdout
    assert "~~~ALL TESTS PASSED~~~" in done.stdout
    return parse_results(done.stdout)
