"""What an installation holds beside Python: the op library, and the C++ sources for firmware projects.

setup.py's step `build_sources`. The library is built by the system's compiler (CXX, CXXFLAGS, as Make reads them) from
the sources that an installation gets; Bazel, which builds the same in a checkout, is not needed.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from setuptools import Command
from setuptools.errors import CompileError

from tflm_quantmcu.native.sources import FOLDER, source_files

ROOT = Path(__file__).resolve().parent.parent
PACKAGE = "tflm_quantmcu"
LIBRARY = "libquantmcu_ops.so"  # beside the package's modules (tflm_quantmcu/native/op_library.py)
# The library's, as the BUILD files have them: pattern -> flags.
LIBRARY_SOURCES: Mapping[str, str] = {
    "tflm_kernels/portable/*/*.cc": "-O3",
    "tflm_kernels/cortex_m/*/scratch.cc": "-O2",
    "tflm_kernels/host/*.cc": "-O3",
    "tflm_kernels/micro/*.cc": "-O2",
    "tflm_kernels/micro/fast_ops/*.cc": "-O2 -DQUANTMCU_FAST_OPS_EVERYWHERE",
    "tflm_kernels/micro/python/*.cc": "-O2",
}
FIRMWARE_ONLY = ("tflm_kernels/micro/scratch.cc",)  # micro/python/scratch.cc answers in its place
FLAGS = "-std=c++17 -fPIC -fno-exceptions -fno-rtti -Wall -Wextra"
# No symbol but C's memcpy and the like is needed, so that the library runs wherever the TFLM wheel does.
LINK_FLAGS = "-shared -s -Wl,-z,defs -Wl,--as-needed -Wl,--version-script,tflm_kernels/exports.lds"


def build_library(output: Path) -> None:
    """Compiles and links the op library.

    Raises:
      CompileError: there is no compiler, or it failed.
    """
    output.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder, ThreadPoolExecutor(os.cpu_count()) as pool:
        objects = list(pool.map(_compile, *zip(*_compilations(Path(folder)), strict=True)))
        _run(*objects, *shlex.split(LINK_FLAGS), "-o", str(output))


def _compilations(folder: Path) -> Iterator[tuple[str, str, str]]:
    """Source, flags and object of each file."""
    for pattern, flags in LIBRARY_SOURCES.items():
        for path in sorted(ROOT.glob(pattern)):
            source = str(path.relative_to(ROOT))
            if source not in FIRMWARE_ONLY:
                yield source, flags, str(folder / source.replace("/", "_")) + ".o"


def _compile(source: str, flags: str, output: str) -> str:
    flags = f"{FLAGS} {flags} {os.environ.get('CXXFLAGS', '')}"
    _run(*shlex.split(flags), "-I", ".", "-c", source, "-o", output)
    return output


def _run(*arguments: str) -> None:
    compiler = os.environ.get("CXX", "g++")
    try:
        subprocess.run([*shlex.split(compiler), *arguments], cwd=ROOT, check=True)
    except FileNotFoundError:
        raise CompileError(
            f"the op library needs a C++17 compiler, and {compiler} is missing; name one in CXX"
        ) from None
    except subprocess.CalledProcessError:
        raise CompileError(f"{compiler} could not build the op library; its words are above") from None


class BuildSources(Command):
    """Puts library and sources into the package; an editable installation has those of its checkout."""

    description = "build the op library and copy the C++ sources"
    user_options = [("build-lib=", "d", "folder to build into")]
    editable_mode = False
    build_lib: str | None

    def initialize_options(self) -> None:
        self.build_lib = None

    def finalize_options(self) -> None:
        self.set_undefined_options("build_py", ("build_lib", "build_lib"))

    def run(self) -> None:
        if self.editable_mode:
            return
        for target, source in self.get_output_mapping().items():
            Path(target).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(ROOT / source, target)
        build_library(self._package / LIBRARY)

    def get_source_files(self) -> list[str]:
        of_host = sorted(path.relative_to(ROOT) for path in ROOT.glob("tflm_kernels/host/*"))  # the library's alone
        return [*map(str, (*source_files(ROOT), *of_host)), str(Path(__file__).relative_to(ROOT))]

    def get_output_mapping(self) -> dict[str, str]:
        return {str(self._package / FOLDER / path): str(path) for path in source_files(ROOT)}

    def get_outputs(self) -> list[str]:
        return [*self.get_output_mapping(), str(self._package / LIBRARY)]

    @property
    def _package(self) -> Path:
        assert self.build_lib is not None
        return Path(self.build_lib, PACKAGE)
