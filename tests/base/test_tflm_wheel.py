"""A TFLM wheel that cannot serve is refused in one sentence with exit code 2, never by a signal or a traceback."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tests.support import networks
from tests.support.plans import split
from tflm_quantmcu.base.tflm_wheel import DISTRIBUTION, FIRST, PACKAGE, interpreter_library
from tflm_quantmcu.converter.convert import convert_model
from tflm_quantmcu.tflite.reader import read_model
from tools.lock_hashes import LOCK, requirements

ROOT = Path(__file__).resolve().parents[2]
# Lines of third_party/tflm_abi/tflm_abi.h, and what a version of TFLM with one member more might have there.
STRUCTS = {
    "resolver": ("  void* vtable;\n", "  void* vtable;\n  void* one_more;\n"),
    "registration": ("  const char* custom_name;\n", "  const char* custom_name;\n  void* one_more;\n"),
    "node": ("  TfLiteIntArray* inputs;\n", "  void* one_more;\n  TfLiteIntArray* inputs;\n"),
    "tensor": ("  TfLiteIntArray* dims;\n", "  void* one_more;\n  TfLiteIntArray* dims;\n"),
}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with our ops and, beside it, x.npz with a sample."""
    folder = tmp_path_factory.mktemp("model")
    stock = networks.inverted_residual()
    (folder / "m.tflite").write_bytes(convert_model(stock, split(read_model(stock))))
    np.savez(folder / "x.npz", x=np.zeros((1, 24, 24, 3), np.int8))
    return folder / "m.tflite"


def _run(model: Path, *first_on_path: Path, before: str = "", **environment: str) -> subprocess.CompletedProcess[str]:
    """`tflm_quantmcu run`, after the statement `before`, with folders in front of those that Python looks in."""
    flags = [
        "--model",
        str(model),
        "--inputs",
        str(model.with_name("x.npz")),
        "--outputs",
        str(model.with_name("y.npz")),
    ]
    start = f"{before or 'pass'}\nfrom tflm_quantmcu.cli import main\nmain()"
    folders = os.pathsep.join(map(str, [*first_on_path, ROOT]))
    variables = {**os.environ, "PYTHONPATH": folders, **environment}
    command = [sys.executable, "-c", start, "run", *flags]
    return subprocess.run(command, env=variables, cwd=model.parent, capture_output=True, text=True, check=False)


def _assert_refused(result: subprocess.CompletedProcess[str], why: str) -> None:
    assert result.returncode == 2, result.stderr
    assert result.stderr.count("\n") == 1, result.stderr
    assert why in result.stderr


def _wheel_copy(folder: Path) -> Path:
    """The installed wheel's package, to be changed; returns the folder of its interpreter."""
    installed = interpreter_library()
    package = installed.parents[2]
    assert package.name == PACKAGE
    shutil.copytree(package, folder / PACKAGE)
    return folder / PACKAGE / installed.parent.relative_to(package)


@pytest.mark.parametrize(("line", "lines"), STRUCTS.values(), ids=STRUCTS)
def test_other_structs_are_found_out_by_a_child(model: Path, tmp_path: Path, line: str, lines: str) -> None:
    for name in ("micro", "portable", "cortex_m"):
        shutil.copytree(ROOT / "tflm_kernels" / name, tmp_path / "tflm_kernels" / name)
    header = tmp_path / "third_party" / "tflm_abi" / "tflm_abi.h"
    shutil.copytree(ROOT / "third_party" / "tflm_abi", header.parent)
    original = (ROOT / "third_party" / "tflm_abi" / "tflm_abi.h").read_text()
    assert original.count(line) == 1
    header.write_text(original.replace(line, lines))
    library = tmp_path / "other.so"
    kernels = tmp_path / "tflm_kernels"
    sources = [*kernels.glob("micro/**/*.cc"), *kernels.glob("portable/*/*.cc")]
    sources = [path for path in sources if path != kernels / "micro/scratch.cc"] + [
        *kernels.glob("cortex_m/*/scratch.cc")
    ]
    command = ["g++", "-std=c++17", "-O0", "-fPIC", "-shared", f"-I{tmp_path}", "-o", str(library), *map(str, sources)]
    subprocess.run(command, check=True)
    _assert_refused(_run(model, TFLM_QUANTMCU_OPS=str(library)), "does not work with this package")


def test_a_library_without_the_functions(model: Path, tmp_path: Path) -> None:
    extension = _wheel_copy(tmp_path) / interpreter_library().name
    data = extension.read_bytes()
    assert b"MicroContextGetEvalTensorE" in data
    extension.write_bytes(data.replace(b"MicroContextGetEvalTensorE", b"MicroContextGetSomeTensorE"))
    _assert_refused(_run(model, tmp_path), "MicroContextGet")


def test_a_wheel_that_ends_the_process_when_it_runs_a_model(model: Path, tmp_path: Path) -> None:
    runtime = _wheel_copy(tmp_path) / "runtime.py"
    runtime.write_text(runtime.read_text().replace("def invoke(self):", "def invoke(self):\n    os.abort()"))
    _assert_refused(_run(model, tmp_path), "a process that tried it was ended by SIGABRT")


def test_an_interpreter_with_other_arguments(model: Path, tmp_path: Path) -> None:
    runtime = _wheel_copy(tmp_path) / "runtime.py"
    runtime.write_text(runtime.read_text().replace("arena_size", "arena_bytes"))
    _assert_refused(_run(model, tmp_path), "Interpreter.from_bytes does not take arena_size")


def test_a_wheel_without_the_interpreter(model: Path, tmp_path: Path) -> None:
    (_wheel_copy(tmp_path) / interpreter_library().name).unlink()
    _assert_refused(_run(model, tmp_path), "cannot import name '_runtime'")


def test_a_process_without_children_says_so(model: Path) -> None:
    _assert_refused(_run(model, before="import sys; sys.executable = '/nowhere/python'"), "trying it failed")


def test_the_package_states_the_range_and_the_set_up_pins_its_first() -> None:
    assert f'"{DISTRIBUTION}>={FIRST}"' in (ROOT / "setup.py").read_text()
    assert f"{PACKAGE}=={FIRST}" in map(str, requirements(LOCK.read_text()))


def test_the_installed_wheel_works(model: Path) -> None:
    result = _run(model)
    assert (result.returncode, result.stderr) == (0, ""), result.stderr
