"""Programs that commands call: whether they are here, and the Debian packages that hold them."""

from __future__ import annotations

import shutil

from tflm_quantmcu.base.errors import UsageError

PACKAGES = {
    "make": "make",
    "g++": "g++",
    "arm-none-eabi-g++": "gcc-arm-none-eabi libnewlib-arm-none-eabi libstdc++-arm-none-eabi-newlib",
    "qemu-system-arm": "qemu-system-arm",
    "riscv64-unknown-elf-g++": "gcc-riscv64-unknown-elf picolibc-riscv64-unknown-elf",
    "qemu-system-riscv32": "qemu-system-misc",
    "bazel": "bazel-bootstrap bazel-rules-java",
}
# What builds and runs an emitted project on the host, on a Cortex-M, and on RISC-V of 32 bits.
ON_HOST = ("make", "g++")
ON_CORTEX_M = ("make", "arm-none-eabi-g++", "qemu-system-arm")
ON_RV32 = ("make", "riscv64-unknown-elf-g++", "qemu-system-riscv32")


def missing(names: tuple[str, ...]) -> str | None:
    """One sentence of those that are not in PATH, with the line that installs them; None where all are."""
    absent = [name for name in names if shutil.which(name) is None]
    if not absent:
        return None
    return f"not installed: {', '.join(absent)}; apt-get install {' '.join(PACKAGES[name] for name in absent)}"


def require(names: tuple[str, ...]) -> None:
    """Refuses before the work where a program that it needs is missing.

    Raises:
      UsageError: one is missing.
    """
    if sentence := missing(names):
        raise UsageError(sentence)
