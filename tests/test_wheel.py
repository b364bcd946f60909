"""What users install: the wheel alone, in an empty folder, on each Python that is here; what its library needs."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import zipfile
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

import tflm_quantmcu as qm
from tests.support.networks import inverted_residual
from tflm_quantmcu.native.op_library import LIBRARY
from tflm_quantmcu.native.sources import source_files
from tools.package import build_sdist, build_wheel
from tools.python313 import PYTHON as PYTHON_313

pytestmark = pytest.mark.xdist_group("wheel")  # an sdist is made in a folder of the checkout

ROOT = Path(__file__).resolve().parent.parent
NEWEST_GLIBC = (2, 28)
PYTHONS = {"this": Path(sys.executable), "3.13": PYTHON_313}
SAMPLES = np.random.default_rng(0).integers(-128, 128, (4, 24, 24, 3), np.int8)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build_wheel(tmp_path_factory.mktemp("dist"))


def _run(command: Sequence[str | Path], folder: Path) -> str:
    """Runs a command as someone would who has no checkout."""
    hidden = ("PYTHONPATH", "TFLM_QUANTMCU_OPS", "VIRTUAL_ENV")
    environment = {name: value for name, value in os.environ.items() if name not in hidden}
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _install(python: Path, wheel: Path, folder: Path) -> Path:
    """A new environment with the wheel and a Python's packages but tflm_quantmcu; its folder of programs."""
    if not python.is_file():
        pytest.skip(f"{python} is missing; `make test-python313` makes it")
    _run([python, "-m", "venv", "--without-pip", folder], folder.parent)
    (packages,) = folder.glob("lib/*/site-packages")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "--python", folder / "bin/python"]
    _run([*pip, "install", "--no-deps", "--no-index", wheel], folder.parent)
    theirs = _run([python, "-c", "import sysconfig; print(sysconfig.get_path('purelib'))"], folder.parent)
    (packages / "theirs.pth").write_text(theirs)  # folders named so have no .pth files, hence no editable package
    return folder / "bin"


@pytest.mark.parametrize("name", PYTHONS)
def test_the_wheel_alone_converts_runs_and_emits(name: str, wheel: Path, tmp_path: Path) -> None:
    program = _install(PYTHONS[name], wheel, tmp_path / "env") / "tflm_quantmcu"
    folder = tmp_path / "empty"
    folder.mkdir()
    (folder / "m.tflite").write_bytes(inverted_residual())
    np.savez(folder / "x.npz", x=SAMPLES)
    convert = "convert --model m.tflite --calibration_data x.npz --sram_bytes 12000 --output q.tflite --report r.html"
    for arguments in (
        convert,
        "inspect --model q.tflite",
        "run --model q.tflite --inputs x.npz --outputs y.npz",
        "emit --model q.tflite --output_dir project --inputs x.npz",
        "sources --output_dir sources",
        "demo shown",
    ):
        _run([program, *arguments.split()], folder)
    assert "~~~ALL TESTS PASSED~~~" in _run(["make", "-C", "project", "test", "QUANTMCU_DIR=../sources"], folder)
    assert (folder / "shown" / "report.html").is_file()
    stock = qm.Interpreter(inverted_residual())
    with np.load(folder / "y.npz") as outputs:
        np.testing.assert_array_equal(outputs["y"], np.concatenate([stock.invoke(x[None])[0] for x in SAMPLES]))
    expected = qm.convert(inverted_residual(), calibration_data=SAMPLES, sram_bytes=12000)
    assert (folder / "q.tflite").read_bytes() == expected.model


def test_the_wheel_is_for_every_python(wheel: Path) -> None:
    assert wheel.name == f"tflm_quantmcu-{qm.__version__}-py3-none-manylinux_2_28_x86_64.whl"


def test_the_library_needs_an_old_libc_alone(wheel: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        library = archive.extract(f"tflm_quantmcu/{LIBRARY}", tmp_path)
    dynamic = _run(["readelf", "--wide", "--dynamic", "--version-info", library], tmp_path)
    assert re.findall(r"Shared library: \[(.*)\]", dynamic) == ["libc.so.6"]
    needed = set(re.findall(r"Name: (\S+)", dynamic.partition("Version needs section")[2]))
    assert needed
    for version in needed:
        prefix, _, number = version.partition("_")
        assert prefix == "GLIBC"
        assert tuple(map(int, number.split("."))) <= NEWEST_GLIBC


def test_a_tree_gives_the_same_sdist_whenever_and_by_whomever_it_is_built(tmp_path: Path) -> None:
    first, second = build_sdist(tmp_path / "first"), build_sdist(tmp_path / "second")
    assert first.name == second.name and first.read_bytes() == second.read_bytes()
    with tarfile.open(first) as archive:
        members = archive.getmembers()
    assert [member.name for member in members] == sorted(member.name for member in members)
    assert {(m.uid, m.gid, m.uname, m.gname, m.mtime) for m in members} == {(0, 0, "", "", members[0].mtime)}


def test_a_tree_gives_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    assert build_wheel(tmp_path).read_bytes() == wheel.read_bytes()


def test_an_sdist_builds_the_same_wheel(wheel: Path, tmp_path: Path) -> None:
    with tarfile.open(build_sdist(tmp_path / "dist")) as archive:
        archive.extractall(tmp_path, filter="data")
    (unpacked,) = tmp_path.glob("tflm_quantmcu-*")
    again = build_wheel(tmp_path / "again", unpacked)
    with zipfile.ZipFile(wheel) as first, zipfile.ZipFile(again) as second:
        assert first.namelist() == second.namelist()
        held = {name for name in first.namelist() if not name.endswith("/RECORD")}
        assert all(first.read(name) == second.read(name) for name in held)
    assert {f"tflm_quantmcu/sources/{path}" for path in source_files(ROOT)} <= held
