"""The Arduino folder has what Arduino asks of a manifest, and all of it compiles with src/ as the only include path."""

from __future__ import annotations

import re
import subprocess
from pathlib import Path

import pytest

from tests.support.cortex_m import skip_without_tools
from tools.arduino_library import library_files, main
from tools.qemu_run import cores

ROOT = Path(__file__).resolve().parents[2]
# Arduino's library specification 1.5: fields that must be there, and the categories.
FIELDS = {"name", "version", "author", "maintainer", "sentence", "paragraph", "category", "url", "architectures"}
CATEGORIES = {
    *("Display", "Communication", "Signal Input/Output", "Sensors", "Device Control", "Timing"),
    *("Data Storage", "Data Processing", "Other", "Uncategorized"),
}


def test_the_manifest_is_complete() -> None:
    files = library_files()
    fields = dict(line.split("=", 1) for line in files["library.properties"].splitlines())
    assert fields.keys() >= FIELDS
    assert re.fullmatch(r"[A-Za-z][\w .-]*", fields["name"])
    assert re.fullmatch(r"\d+\.\d+\.\d+", fields["version"])
    assert fields["category"] in CATEGORIES
    assert f"src/{fields['includes']}" in files


def test_the_ops_for_tflm_are_in_it_on_demand() -> None:
    names = set(library_files(with_tflm=True)) - set(library_files())
    assert {"src/tflm_kernels/micro/register.h", "src/tflm_kernels/micro/patch_stage.cc"} <= names
    assert not any("tflm_kernels/micro" in name for name in library_files())


@pytest.mark.parametrize("core", ["host", "m0plus", "m3", "m4", "m55"])
def test_every_source_compiles_on_every_core(core: str, tmp_path: Path) -> None:
    skip_without_tools()
    main(["--output_dir", str(tmp_path)])
    sources = sorted((tmp_path / "src").rglob("*.cc"))
    assert len(sources) > 40
    compiler = ["g++"] if core == "host" else ["arm-none-eabi-g++", "-mthumb", *cores()[core]["flags"]]
    flags = ["-std=gnu++17", "-fno-exceptions", "-fno-rtti", "-Wall", "-Wextra", "-Werror", f"-I{tmp_path}/src"]
    done = subprocess.run([*compiler, *flags, "-fsyntax-only", *map(str, sources)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize("core", ["m0plus", "m3", "m4", "m55"])
def test_assembly_has_its_registers_where_code_is_small(core: str, tmp_path: Path) -> None:
    """Arduino compiles for size, where GCC keeps high registers of a Cortex-M0+ to itself."""
    skip_without_tools()
    folder = {"m0plus": "plain", "m3": "plain", "m4": "dsp", "m55": "mve"}[core]
    compiler = ["arm-none-eabi-g++", "-mthumb", *cores()[core]["flags"], "-std=gnu++17", "-Os", f"-I{ROOT}"]
    for source in sorted((ROOT / "tflm_kernels/cortex_m" / folder).glob("*dot*.cc")):
        command = [*compiler, "-c", str(source), "-o", str(tmp_path / "object.o")]
        done = subprocess.run(command, capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
