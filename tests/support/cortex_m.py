"""Images of tests/cortex_m, built by Bazel, for tests that run them in QEMU."""

from __future__ import annotations

import functools
import shutil
import subprocess
from pathlib import Path

import pytest

from tools.qemu_run import ImageRun, cores, parse_results, run_image

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
