"""Installs the wheel into whole environments, compares what they give and measures what an installation costs.

    python -m tools.stacks          # the same bytes here with pinned packages as on Python 3.13 with the newest?
    python -m tools.stacks --core   # seconds and megabytes of an installation without TensorFlow, on Python 3.13

One int8 `.tflite` must become the same bytes and give the same outputs in both. A Keras model is made int8 by the
TensorFlow of each: where these files differ, it is said in what first (tools/tflite_difference.py).

In: a Python 3.13 (tools/python313.py finds it) and the network; about 700 MB, or 60 MB with --core. Out: build/stacks/,
a table, and exit code 1 where what must be equal is not, or the test of an emitted project fails.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tflm_quantmcu.tflite.model_file import ModelFile
from tools import python313
from tools.package import build_wheel
from tools.stack_probe import KERAS_INT8
from tools.tflite_difference import SAME, beside, differences

# versions -> package -> version, and part -> what was made -> digest
Found = Mapping[str, Mapping[str, str]]

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "build" / "stacks"
PROBE = ROOT / "tools" / "stack_probe.py"
MUST_BE_EQUAL = "of one int8 .tflite"


def pinned(wheel: Path) -> Path:
    """An environment with this Python's packages and the wheel; its Python."""
    folder = _empty("pinned")
    _run([sys.executable, "-m", "venv", "--without-pip", folder])
    _pip(folder, "install", "--no-deps", "--no-index", str(wheel))
    (packages,) = folder.glob("lib/*/site-packages")
    # Folders named so have no .pth files, hence no editable package.
    (packages / "theirs.pth").write_text(sysconfig.get_path("purelib"), "utf-8")
    return folder / "bin/python"


def newest(wheel: Path, python: Path, extra: str) -> Path:
    """A new environment with the wheel and the newest of all that it asks for; its Python."""
    folder = _empty("newest" if extra else "core")
    _run([python, "-m", "venv", "--without-pip", folder])
    _pip(folder, "install", "--no-compile", f"{wheel}{extra}")
    return folder / "bin/python"


def probe(python: Path, name: str) -> Found:
    """What stack_probe.py prints in the empty folder FOLDER / name; CMake builds and tests the project made there.

    Raises:
      subprocess.CalledProcessError: a step failed; its words are on stderr.
    """
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    folder = _empty(name)
    folder.mkdir()
    command = [str(python), "-I", str(PROBE)]
    done = subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)
    done.check_returncode()
    _run(["cmake", "-S", folder / "project", "-B", folder / "build"], quiet=True)
    _run(["cmake", "--build", folder / "build"], quiet=True)
    _run(["ctest", "--test-dir", folder / "build"], quiet=True)
    return json.loads(done.stdout.splitlines()[-1])


def table(stacks: Mapping[str, Found]) -> tuple[str, bool]:
    """A line a version and a digest, a column a stack, `=` where all are equal; and whether all are that must be."""
    first, *others = stacks.values()
    lines = [f"{'':18} " + " ".join(f"{name:>18}" for name in stacks)]
    for part, values in first.items():
        lines.append(f"{part}:")
        for name in values:
            shown = [stack[part][name] for stack in stacks.values()]
            mark = "  =" if len(set(shown)) == 1 else ""
            lines.append(f"  {name:16} " + " ".join(f"{value:>18}" for value in shown) + mark)
    return "\n".join(lines), all(other[MUST_BE_EQUAL] == first[MUST_BE_EQUAL] for other in others)


def megabytes(python: Path) -> float:
    """Megabytes of all that is installed, without bytecode."""
    (packages,) = python.parents[1].glob("lib/*/site-packages")
    return sum(path.stat().st_size for path in packages.rglob("*") if path.is_file() and path.suffix != ".pyc") / 1e6


def _empty(name: str) -> Path:
    folder = FOLDER / name
    shutil.rmtree(folder, ignore_errors=True)
    FOLDER.mkdir(parents=True, exist_ok=True)
    return folder


def _pip(folder: Path, *arguments: str) -> None:
    python = str(folder / "bin" / "python")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "--python", python]
    _run([*pip, *arguments])


def _run(command: Sequence[str | Path], *, quiet: bool = False) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL if quiet else None)


def main(arguments: Sequence[str]) -> int:
    python = python313.find()
    if python is None:
        print("stacks: there is no Python 3.13 here, in PATH or in pyenv", file=sys.stderr)
        return 2
    wheel = build_wheel(_empty("dist"))
    if "--core" in arguments:
        start = time.monotonic()
        core = newest(wheel, python, "")
        print(f"without TensorFlow: {time.monotonic() - start:.1f} s, {megabytes(core):.0f} MB")
        return 0
    found = {
        "pinned": probe(pinned(wheel), "work_pinned"),
        "newest": probe(newest(wheel, python, "[keras]"), "work_newest"),
    }
    text, is_equal = table(found)
    print(text)
    files = [ModelFile.of(FOLDER / folder / KERAS_INT8) for folder in ("work_pinned", "work_newest")]
    what = differences(*files)
    print(f"TensorFlow's int8 files of the Keras model: {what[0] if what else SAME}")
    print("\n".join(f"  {line}" for line in [*what[1:], *beside(*files)]))
    print("one int8 .tflite: the same bytes and outputs" if is_equal else "ONE INT8 .TFLITE: THE BYTES DIFFER")
    return int(not is_equal)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
