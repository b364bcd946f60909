"""What an installation holds is what the source tree holds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

import tflm_quantmcu

ROOT = Path(__file__).resolve().parent.parent


def test_installation_has_every_module_of_the_tree(tmp_path):
    built = tmp_path / "lib"
    build = ["setup.py", "-q", "build_py", "--build-lib", str(built)]
    subprocess.run([sys.executable, *build], cwd=ROOT, check=True)
    expected = {built / path.relative_to(ROOT) for path in (ROOT / "tflm_quantmcu").rglob("*.py")}
    assert set(built.rglob("*.py")) == expected
    assert (built / "tflm_quantmcu" / "py.typed").is_file()


def test_the_version_is_told_once():
    (told,) = {
        subprocess.run(
            [sys.executable, *command, "--version"], cwd=ROOT, check=True, capture_output=True, text=True
        ).stdout.split()[-1]
        for command in (["setup.py"], ["-m", "tflm_quantmcu.cli"])
    }
    assert told == tflm_quantmcu.__version__


@pytest.mark.parametrize("name", tflm_quantmcu.__all__)
def test_every_public_name_is_there(name):
    found = getattr(tflm_quantmcu, name)
    assert getattr(found, "__name__", name) == name
    assert name in dir(tflm_quantmcu)


def test_star_gives_every_public_name():
    names: dict[str, object] = {}
    exec("from tflm_quantmcu import *", names)
    assert set(tflm_quantmcu.__all__) <= names.keys()
    with pytest.raises(AttributeError, match="has no attribute 'Nothing'"):
        _ = tflm_quantmcu.Nothing


def test_installation_has_the_data_of_the_tree(tmp_path):
    built = tmp_path / "lib"
    build = ["setup.py", "-q", "build_py", "--build-lib", str(built)]
    subprocess.run([sys.executable, *build], cwd=ROOT, check=True)
    for pattern in ("*.csv", "*.html", "*.jinja"):
        names = {path.relative_to(ROOT) for path in (ROOT / "tflm_quantmcu").rglob(pattern)}
        assert names and names == {path.relative_to(built) for path in built.rglob(pattern)}


def test_converter_at_the_top_level_is_the_room():
    assert (ROOT / "converter").resolve() == ROOT / "tflm_quantmcu" / "converter"
