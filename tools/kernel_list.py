"""Writes tflm_kernels/sources.txt, the one list of C++ sources for Make, CMake, Zephyr, Arduino and emitted projects.

In: the tree. Out: lines "<group> <file below tflm_kernels>" and, as the first, the version. A test holds the file
against the tree; Bazel's globs are the same folders.

    python -m tools.kernel_list
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from tflm_quantmcu import __version__

ROOT = Path(__file__).resolve().parent.parent
FILE = ROOT / "tflm_kernels/sources.txt"

# Group -> patterns; the first group that matches has the file.
GROUPS: Mapping[str, Sequence[str]] = {
    "program": ("portable/stage/check_*.cc", "portable/stage/read_program.cc"),  # reads what a .tflite brings
    "kernels": ("portable/*/*.cc",),
    "plain": ("cortex_m/plain/*.cc",),
    "dsp": ("cortex_m/dsp/*.cc",),
    "mve": ("cortex_m/mve/*.cc",),
    "micro": ("micro/*.cc",),
    "fast_ops": ("micro/fast_ops/*.cc",),  # links the kernels of TFLM that they stand in for
    "self_test": ("aot/*.cc", "boards/measure.cc", "boards/report.cc"),
    "host": ("boards/host.cc",),
    "rv32": ("boards/rv32.cc",),
    "cortex_m": tuple(
        f"boards/{name}.cc" for name in ("fault", "guard", "semihosting", "startup")
    ),  # and a board's clock
}


def kernel_list(root: Path = ROOT) -> str:
    """The text of the list."""
    folder = root / "tflm_kernels"
    lines: list[str] = []
    listed: set[Path] = set()
    for group, patterns in GROUPS.items():
        found = {path for pattern in patterns for path in folder.glob(pattern)} - listed
        listed |= found
        lines += [f"{group} {path.relative_to(folder)}" for path in sorted(found)]
    return "\n".join([f"# tflm_quantmcu {__version__}; written by tools/kernel_list.py", *lines]) + "\n"


if __name__ == "__main__":
    FILE.write_text(kernel_list(), encoding="utf-8")
