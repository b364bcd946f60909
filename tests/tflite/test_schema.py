"""TFLite's schema is found in every package that has it, without importing that package."""

from __future__ import annotations

import importlib.util
import pickle
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tflm_quantmcu.tflite import schema

ROOT = Path(__file__).resolve().parents[2]
PACKAGES = ("tflite_micro", "ai_edge_litert", "tensorflow")
PLACES = (
    "tflite_micro/tensorflow/lite/micro/python",
    "tflite_micro/tensorflow/lite/python",
    "ai_edge_litert",
    "tensorflow/lite/python",
)
SHOW = """
import sys
sys.path[:0] = sys.argv[1:]
from tflm_quantmcu.base import errors
try:
    from tflm_quantmcu.tflite import schema
except errors.UsageError as error:
    sys.exit(f"refused: {error}")
print(schema.FOUND_IN, schema.ModelT(version=3).version)
"""


def _packages(folder: Path, *places: str) -> str:
    """Packages that cannot be imported, in front of those installed; the schema is at `places`."""
    installed = next(path for path in schema._candidates() if path.is_file())
    for package in PACKAGES:
        (folder / package).mkdir()
        (folder / package / "__init__.py").write_text("raise AssertionError('imported')\n")
    for place in places:
        (folder / place).mkdir(parents=True, exist_ok=True)
        target = folder / place / installed.name
        shutil.copy(installed, target)
        target.write_text(f"{target.read_text()}\nFOUND_IN = {place!r}\n")
    return str(folder)


def _show(folder: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", SHOW, folder, str(ROOT)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("place", PLACES)
def test_each_place_serves_alone(tmp_path: Path, place: str) -> None:
    shown = _show(_packages(tmp_path, place))
    assert (shown.stdout, shown.returncode) == (f"{place} 3\n", 0), shown.stderr


def test_the_first_place_is_preferred(tmp_path: Path) -> None:
    assert _show(_packages(tmp_path, *PLACES)).stdout == f"{PLACES[0]} 3\n"


def test_without_any_the_sentence_says_what_to_install(tmp_path: Path) -> None:
    shown = _show(_packages(tmp_path))
    assert shown.returncode == 1 and "Traceback" not in shown.stderr
    assert "refused: TFLite's schema (schema_py_generated.py) of 2026 or newer is in none of" in shown.stderr


@pytest.mark.skipif(importlib.util.find_spec("tensorflow") is None, reason="TensorFlow is not installed")
def test_tensorflows_own_file_is_where_it_is_looked_for() -> None:
    assert any("tensorflow/lite/python" in str(path) and path.is_file() for path in schema._candidates())


def test_an_older_file_is_passed_over(tmp_path: Path) -> None:
    folder = _packages(tmp_path, *PLACES)
    (tmp_path / PLACES[0] / "schema_py_generated.py").write_text("class ModelT: ...\n")
    assert _show(folder).stdout == f"{PLACES[1]} 3\n"


def test_objects_can_be_sent_to_another_process() -> None:
    tree = pickle.loads(pickle.dumps(schema.ModelT(version=3, description="x")))
    assert isinstance(tree, schema.ModelT) and tree.description == "x"
