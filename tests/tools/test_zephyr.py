"""The Zephyr module chooses the sources that the compiler's flags ask for, and its Kconfig is one that Zephyr takes.

Zephyr itself is not there: its CMake functions only say what they were given.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
MODULE = ROOT / "zephyr"
ZEPHYR = """
function(zephyr_library_sources)
  message(STATUS "sources ${ARGV}")
endfunction()
function(zephyr_library_compile_definitions)
  message(STATUS "definitions ${ARGV}")
endfunction()
foreach(name zephyr_library_named zephyr_include_directories zephyr_library_compile_options)
  cmake_language(EVAL CODE "function(${name})\\nendfunction()")
endforeach()
"""
ARMV7 = ("CPU_CORTEX_M", "ARMV7_M_ARMV8_M_MAINLINE")
ARMV8 = (*ARMV7, "ARMV8_M_MAINLINE")
# What Zephyr sets on a core, and the variant that arm-none-eabi-g++ then has in cortex_m/kernels.h.
CORES = {
    "no Arm": ((), None),
    "Cortex-M0+": (("CPU_CORTEX_M", "CPU_CORTEX_M0PLUS", "ARMV6_M_ARMV8_M_BASELINE"), "plain"),
    "Cortex-M3": ((*ARMV7, "CPU_CORTEX_M3"), "plain"),
    "Cortex-M4": ((*ARMV7, "CPU_CORTEX_M4"), "dsp"),
    "Cortex-M7 with its FPU": ((*ARMV7, "CPU_CORTEX_M7", "FPU"), "dsp"),
    "Cortex-M33": ((*ARMV8, "CPU_CORTEX_M33", "ARMV8_M_DSP"), "dsp"),
    "Cortex-M33 without DSP": ((*ARMV8, "CPU_CORTEX_M33"), "plain"),
    "Cortex-M55": ((*ARMV8, "CPU_CORTEX_M55", "ARMV8_M_DSP", "ARMV8_1_M_MVEI", "FPU"), "mve"),
    "Cortex-M55 without its FPU": ((*ARMV8, "CPU_CORTEX_M55", "ARMV8_M_DSP", "ARMV8_1_M_MVEI"), "dsp"),
}


def included(symbols: Sequence[str], folder: Path) -> dict[str, list[str]]:
    """What the module gives to each of Zephyr's functions."""
    if shutil.which("cmake") is None:
        pytest.skip("NOTHING DONE WITH CMAKE: apt-get install cmake")
    settings = "".join(f"set(CONFIG_{name} y)\n" for name in symbols)
    script = folder / "zephyr.cmake"
    script.write_text(f"{ZEPHYR}{settings}include({MODULE}/CMakeLists.txt)\n")
    done = subprocess.run(["cmake", "-P", str(script)], capture_output=True, text=True)
    assert done.returncode == 0 and not done.stderr, done.stderr
    given: dict[str, list[str]] = {}
    for function, items in re.findall(r"^-- (\w+) (.+)$", done.stdout, re.MULTILINE):
        given.setdefault(function, []).extend(items.split(";"))
    return given


@pytest.mark.parametrize("with_tflm", [False, True])
@pytest.mark.parametrize("core", CORES)
def test_the_sources_are_those_of_the_core(core: str, with_tflm: bool, tmp_path: Path) -> None:
    symbols, variant = CORES[core]
    symbols = ("QUANTMCU", *symbols, *(("QUANTMCU_TFLM",) if with_tflm else ()))
    groups = {"kernels", "program", *({variant} if variant else ()), *(("micro", "fast_ops") if with_tflm else ())}
    _, *lines = (ROOT / "tflm_kernels/sources.txt").read_text().splitlines()
    wanted = [ROOT / "tflm_kernels" / line.split()[1] for line in lines if line.split()[0] in groups]
    given = included(symbols, tmp_path)
    assert sorted(Path(name).resolve() for name in given["sources"]) == sorted(wanted)
    assert ("QUANTMCU_USE_TFLM_HEADERS" in given.get("definitions", ())) == with_tflm


def test_nothing_is_compiled_where_nothing_is_asked_for(tmp_path: Path) -> None:
    assert included(("CPU_CORTEX_M",), tmp_path) == {}


def test_kconfig_selects_nothing() -> None:
    """The C++ standard is a choice: `select` does nothing there but warn, and Zephyr ends on warnings."""
    kconfig = (MODULE / "Kconfig").read_text()
    assert not re.search(r"^\s*(select|imply)\b", kconfig, re.MULTILINE)
    assert re.findall(r"^config (\w+)$", kconfig, re.MULTILINE) == ["QUANTMCU", "QUANTMCU_TFLM"]


def test_the_module_names_its_files() -> None:
    fields = dict(re.findall(r"^\s*(\w+): (\S+)$", (MODULE / "module.yml").read_text(), re.MULTILINE))
    assert fields["name"] == "quantmcu"
    assert (ROOT / fields["cmake"] / "CMakeLists.txt").is_file() and (ROOT / fields["kconfig"]).is_file()
