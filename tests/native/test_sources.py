"""Where the C++ sources are found."""

from __future__ import annotations

import tflm_quantmcu as qm


def test_sources_hold_what_emitted_projects_include():
    folder = qm.kernel_sources()
    for name in ("aot/project.mk", "boards/project.mk", "micro/project.mk", "aot/invoke.h", "cortex_m/kernels.h"):
        assert (folder / "tflm_kernels" / name).is_file()
    assert (folder / "tools" / "qemu_run.py").is_file()
