"""Runs the tests of the lower rooms on Python 3.13, with the newest packages and no TensorFlow; makes that environment
first.

    python -m tools.python313

In: the first Python 3.13 of PATH and of pyenv that works. Out: build/python3.13/, and pytest's exit code. A machine
without one is told so in one loud line; in CI that is a failure where pyenv holds one.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "build" / "python3.13"
PYTHON = FOLDER / "bin" / "python"
REQUIREMENTS = ROOT / "third_party" / "python" / "requirements-3.13.txt"
STAMP = FOLDER / "requirements.txt"  # what was installed
ROOMS = ("placement", "graph", "law", "lowering", "stage", "tflite", "native", "oracle", "converter")
NEEDS_KERAS = ("tests/graph/test_layer_names.py",)
_WORKS = "import sys, venv, ensurepip; sys.exit(sys.version_info[:2] != (3, 13))"


def find() -> Path | None:
    """A Python 3.13 that can make environments; pyenv's shims of a version that is not chosen are none."""
    for candidate in (*_of_path(), *_of_pyenv()):
        if candidate.is_file() and subprocess.run([candidate, "-c", _WORKS], capture_output=True).returncode == 0:
            return candidate
    return None


def make(python: Path) -> None:
    """The environment, unless it is there with the same packages.

    Raises:
      subprocess.CalledProcessError: pip cannot install them; its words are on stderr.
    """
    wanted = REQUIREMENTS.read_text("utf-8")
    if STAMP.is_file() and STAMP.read_text("utf-8") == wanted:
        return
    subprocess.run([python, "-m", "venv", "--clear", FOLDER], check=True)
    pip = [str(PYTHON), "-m", "pip", "--disable-pip-version-check", "--quiet"]
    subprocess.run([*pip, "install", "--no-deps", "--require-hashes", "-r", str(REQUIREMENTS)], check=True)
    STAMP.write_text(wanted, "utf-8")


def _of_path() -> Iterator[Path]:
    for folder in os.get_exec_path():
        yield Path(folder, "python3.13")


def _of_pyenv() -> Iterator[Path]:
    root = Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv")
    for folder in sorted(root.glob("versions/3.13*"), reverse=True):
        yield folder / "bin" / "python"


def main() -> int:
    python = find()
    if python is None:
        print("python313: NO PYTHON 3.13 IS HERE: its tests did not run", file=sys.stderr)
        return int(os.environ.get("CI") == "true" and any(path.exists() for path in _of_pyenv()))
    try:
        make(python)
    except subprocess.CalledProcessError as error:
        print(f"python313: {error}", file=sys.stderr)
        return 1
    ignored = [f"--ignore={path}" for path in NEEDS_KERAS]
    tests = [f"tests/{room}" for room in ROOMS]
    jobs = str(os.cpu_count() or 1)
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}  # a core a worker
    return subprocess.run([PYTHON, "-m", "pytest", "-n", jobs, *ignored, *tests], cwd=ROOT, env=environment).returncode


if __name__ == "__main__":
    sys.exit(main())
