"""Where the C++ sources are found."""

from __future__ import annotations

import pytest

import tflm_quantmcu as qm
from tflm_quantmcu.converter.emit.bundle import QUANTMCU_FOLDER, bundled_files
from tflm_quantmcu.native import sources


def test_sources_hold_what_emitted_projects_include():
    folder = qm.kernel_sources()
    for name in ("aot/project.mk", "boards/project.mk", "micro/project.mk", "aot/invoke.h", "cortex_m/kernels.h"):
        assert (folder / "tflm_kernels" / name).is_file()
    assert (folder / "tools" / "qemu_run.py").is_file()


@pytest.mark.parametrize("target", ["aot", "tflm"])
def test_an_installation_holds_what_emitted_projects_copy(target: str) -> None:
    root = sources.kernel_sources()
    bundled = bundled_files(root, target=target, variant="dsp", emitted=[])
    held = {f"{QUANTMCU_FOLDER}/{path.as_posix()}" for path in sources.source_files(root)}
    assert bundled.keys() <= held
