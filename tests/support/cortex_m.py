"""Images of tests/cortex_m, built by Bazel, for tests that run them in QEMU."""

from __future__ import annotations

import functools
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from tflm_quantmcu.base.programs import ON_RV32, missing
from tools.qemu_run import RV32, ImageRun, cores, parse_results, run_image

ROOT = Path(__file__).parents[2]
CORES = tuple(cores())
NEEDED = {
    "bazel": "bazel-bootstrap",
    "arm-none-eabi-g++": "gcc-arm-none-eabi libnewlib-arm-none-eabi libstdc++-arm-none-eabi-newlib",
    "qemu-system-arm": "qemu-system-arm",
}


def skip_without_tools() -> None:
    """Skips the calling test, naming the Debian packages, where it cannot run."""
    missing = [packages for tool, packages in NEEDED.items() if shutil.which(tool) is None]
    if missing:
        pytest.skip(f"NOTHING RUN ON CORTEX-M: apt-get install {' '.join(missing)}")


@functools.cache
def image(core: str, name: str) -> Path:
    """Builds //tests/cortex_m:<name> for a core; the path of its ELF file."""
    skip_without_tools()
    _build(f"--config=cortex_{core}", name)
    return ROOT / f"build/cortex_{core}/bin/tests/cortex_m" / name


def run_on_core(core: str, name: str) -> ImageRun:
    """Builds and runs an image."""
    return run_image(image(core, name), core=core)


_RV32_MAKEFILE = """PROGRAMS := {name}
TEST_PROGRAM := {name}
SOURCES := {sources}
KERNEL_GROUPS := program
CORE := rv32
include $(QUANTMCU_DIR)/tflm_kernels/boards/project.mk
"""


def run_on_rv32(name: str, sources: Sequence[str], folder: Path) -> ImageRun:
    """Builds tests/cortex_m/<name>.cc with `sources` there in an empty folder, and runs it on RISC-V of 32 bits."""
    if sentence := missing(ON_RV32):
        pytest.skip(f"NOTHING RUN ON RV32: {sentence}")
    tests = ROOT / "tests/cortex_m"
    shutil.copy(tests / f"{name}.cc", folder)
    paths = " ".join(str(tests / f"{source}.cc") for source in sources)
    (folder / "Makefile").write_text(_RV32_MAKEFILE.format(name=name, sources=paths))
    command = ["make", "-s", "-C", str(folder), f"QUANTMCU_DIR={ROOT}"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return run_image(folder / "build/rv32" / name, core=RV32)


@functools.cache
def results_on_host(name: str) -> dict[str, str]:
    """Builds and runs //tests/cortex_m:<name> for the host; its lines KEY=VALUE. bazel-bin/ stays as it is."""
    skip_without_tools()
    _build("--symlink_prefix=build/host/", name)
    program = ROOT / "build/host/bin/tests/cortex_m" / name
    return parse_results(subprocess.run([program], check=True, capture_output=True, text=True).stdout)


def _build(option: str, name: str) -> None:
    command = ["bazel", "build", option, f"//tests/cortex_m:{name}"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr}"
