"""The quick tests: no TensorFlow, nothing of Bazel's, and failures of other kinds stay failures."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conftest import lacking
from tests.support.shared_data import REMEDY
from tools.quick_tests import NEEDS_LIBRARIES, OF_THE_TREE, ROOMS, ROOT

CASES = """
import sys

import pytest

from tests.support.kernels import kernels
from tflm_quantmcu.native.op_library import find_op_library


def test_passes():
    assert sys.modules["tensorflow"] is None and sys.modules["keras"] is None


def test_needs_tensorflow():
    import tensorflow


def test_needs_keras():
    from tflm_quantmcu.keras_bridge import to_tflite


def test_needs_the_op_library():
    find_op_library()


def test_needs_the_kernels():
    kernels()


def test_fails():
    assert 1 == 2


@pytest.mark.long
def test_is_long():
    pass
"""


@pytest.fixture
def outcome(tmp_path: Path) -> str:
    (tmp_path / "test_cases.py").write_text(CASES)
    command = [sys.executable, "-m", "pytest", "-p", "tests.support.quick", "-p", "no:cacheprovider", "-rsf"]
    command += ["-c", str(ROOT / "pyproject.toml"), "--rootdir", str(tmp_path), str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True).stdout


def test_what_is_missing_is_left_out_and_what_is_wrong_is_not(outcome: str) -> None:
    assert "1 failed, 1 passed, 4 skipped, 1 deselected" in outcome, outcome
    assert len(re.findall("needs TensorFlow", outcome)) == len(re.findall("needs what Bazel builds", outcome)) == 2


def test_the_makefile_runs_them_without_a_build() -> None:
    makefile = (ROOT / "Makefile").read_text()
    assert re.search(r"^test-quick: setup ##.*\n\t@\$\(PY\) -m tools.quick_tests$", makefile, re.MULTILINE)
    assert all(
        (ROOT / path).exists() for path in (*(f"tests/{room}" for room in ROOMS), *OF_THE_TREE, *NEEDS_LIBRARIES)
    )


def test_skipped_tests_are_counted_by_what_they_lack() -> None:
    assert not lacking([])
    reasons = [f"Skipped: a.tflite is absent; {REMEDY}"] * 3 + ["Skipped: TFLM_DIR is not set: x", "Skipped: no luck"]
    assert lacking(reasons) == (
        "5 tests were skipped: 3 for want of the shared models and samples, 1 for want of TFLM's sources, "
        "1 for want of something else"
    )
