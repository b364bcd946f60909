"""Runs the tests that take seconds and need neither TensorFlow nor Bazel: for every save.

    python -m tools.quick_tests [pytest's arguments]

Out: pytest's exit code. Of the rooms below all tests run that can do so without what Bazel builds; the others are
counted as skipped (tests/support/quick.py). On two idle cores it takes less than a minute.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ROOMS = ("base", "placement", "graph", "law", "lowering", "stage", "tflite", "cost")
NEEDS_LIBRARIES = ("tests/base/test_pictures.py",)  # through the command line, which says so in its own words
OF_THE_TREE = ("tests/test_op_kinds.py", "tests/test_laws.py", "tests/test_layers.py")


def main() -> int:
    ignored = [f"--ignore={path}" for path in NEEDS_LIBRARIES]
    tests = [*ignored, *(f"tests/{room}" for room in ROOMS), *OF_THE_TREE]
    jobs = str(os.cpu_count() or 1)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}  # a core a worker
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-p",
        "tests.support.quick",
        "-r",
        "fE",
        "-n",
        jobs,
        *tests,
        *sys.argv[1:],
    ]
    return subprocess.run(command, cwd=ROOT, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
