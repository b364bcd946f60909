"""CMake builds what we give to firmware: emitted projects without a checkout, and the library as a package."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.support import networks
from tests.support.cortex_m import skip_without_tools
from tests.support.plans import mixed
from tflm_quantmcu.converter.convert import convert_model
from tflm_quantmcu.converter.emit.project import emit
from tflm_quantmcu.tflite.reader import read_model
from tools.kernel_list import FILE, kernel_list

ROOT = Path(__file__).parents[2]
MODEL = networks.inverted_residual()


def run(*command: str | Path) -> str:
    if shutil.which(str(command[0])) is None:
        pytest.skip(f"NOTHING BUILT WITH CMAKE: apt-get install {command[0]}")
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "warning" not in done.stderr.lower(), done.stderr
    return done.stdout


def build(source: Path, folder: Path, *options: str | Path) -> None:
    run("cmake", "-S", source, "-B", folder, *options)
    run("cmake", "--build", folder, "-j2")


def on_core(sources: Path, core: str) -> tuple[str, ...]:
    return (f"-DCMAKE_TOOLCHAIN_FILE={sources}/tflm_kernels/cmake/cortex_m.cmake", f"-DQUANTMCU_CORE={core}")


@pytest.mark.parametrize("core", ["host", "cortex-m0plus", "cortex-m4"])
def test_an_emitted_project_stands_alone(core: str, tmp_path: Path) -> None:
    skip_without_tools()
    emit(convert_model(MODEL, mixed(read_model(MODEL), 0)), output_dir=tmp_path / "here", core=core, name="small")
    project = (tmp_path / "here").rename(tmp_path / "there")
    build(project, tmp_path / "build", *(() if core == "host" else on_core(project / "quantmcu", core)))
    output = run("ctest", "--test-dir", tmp_path / "build", "--verbose")
    assert "~~~ALL TESTS PASSED~~~" in output and "1 tests failed" not in output


def test_a_core_that_is_none_is_a_sentence(tmp_path: Path) -> None:
    skip_without_tools()
    emit(MODEL, output_dir=tmp_path, name="small")
    with pytest.raises(AssertionError, match="QUANTMCU_CORE is 'm5'; supported are cortex-m0plus, cortex-m3"):
        run("cmake", "-S", tmp_path, "-B", tmp_path / "build", *on_core(tmp_path / "quantmcu", "m5"))


APPLICATION = """
cmake_minimum_required(VERSION 3.16)
project(application LANGUAGES CXX)
{find}
add_library(application STATIC small.cc)
target_link_libraries(application PUBLIC quantmcu::kernels)
"""
FETCH = """
include(FetchContent)
FetchContent_Declare(quantmcu SOURCE_DIR {root} SOURCE_SUBDIR tflm_kernels)
FetchContent_MakeAvailable(quantmcu)
"""


@pytest.mark.parametrize("core", ["host", "cortex-m0plus", "cortex-m4"])
@pytest.mark.parametrize("way", ["find_package", "FetchContent"])
def test_the_library_is_a_cmake_package(way: str, core: str, tmp_path: Path) -> None:
    skip_without_tools()
    options = () if core == "host" else on_core(ROOT, core)
    find = FETCH.format(root=ROOT)
    if way == "find_package":
        find = "find_package(quantmcu 0.2 REQUIRED)"
        build(ROOT / "tflm_kernels", tmp_path / "library", f"-DCMAKE_INSTALL_PREFIX={tmp_path}/installed", *options)
        run("cmake", "--install", tmp_path / "library")
        options = (*options, f"-Dquantmcu_DIR={tmp_path}/installed/lib/cmake/quantmcu")
    emit(MODEL, output_dir=tmp_path / "application", core=core, name="small", bundle=False)
    (tmp_path / "application/CMakeLists.txt").write_text(APPLICATION.format(find=find))
    build(tmp_path / "application", tmp_path / "build", *options)
    assert (tmp_path / "build/libapplication.a").is_file()


def test_the_list_of_sources_is_that_of_the_tree() -> None:
    assert FILE.read_text() == kernel_list(), "run python -m tools.kernel_list"
