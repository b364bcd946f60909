#!/usr/bin/env python3
"""Runs an image on QEMU's board for a core.

In: an ELF image linked by //tflm_kernels/boards. Out: its text, its exit code, and the results that it printed as
lines KEY=VALUE. Instructions are a clock (-icount shift=7), so what an image counts does not depend on this machine.

    python -m tools.qemu_run --core m4 build/cortex_m4/bin/tests/cortex_m/calibration
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import functools
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

QEMU = "qemu-system-arm"
RV32 = "rv32"  # RISC-V of 32 bits beside the cores: tflm_kernels/boards/rv32.cc
RV32_QEMU = "qemu-system-riscv32"
SPAN_FUNCTIONS = ("BoardSpanBegin", "BoardSpanEnd")  # of tflm_kernels/boards/measure.cc
TIMEOUT_SECONDS = 900.0

_CORES = Path(__file__).parent.parent / "third_party/arm_none_eabi/cores.bzl"
_RESULT = re.compile(r"^([A-Za-z]\w*)=(.*)$", re.MULTILINE)


class QemuError(Exception):
    """QEMU is missing, did not start, or the image did not come to an end."""


@dataclasses.dataclass(frozen=True)
class ImageRun:
    """What an image did.

    Attributes:
      exit_code: what the image gave to BoardExit, 0 to 255.
      output: all that it wrote.
    """

    exit_code: int
    output: str

    @functools.cached_property
    def results(self) -> dict[str, str]:
        """parse_results of the output."""
        return parse_results(self.output)


def parse_results(output: str) -> dict[str, str]:
    """The lines KEY=VALUE, later ones winning."""
    return dict(_RESULT.findall(output))


@functools.cache
def cores() -> dict[str, dict]:
    """The table CORES of cores.bzl: core -> flags, machine and the rest."""
    statements = ast.parse(_CORES.read_text()).body
    (table,) = (s.value for s in statements if isinstance(s, ast.Assign) and ast.unparse(s.targets[0]) == "CORES")
    return ast.literal_eval(table)


def run_image(
    image: Path,
    *,
    core: str,
    timeout_seconds: float = TIMEOUT_SECONDS,
    blocks: Path | None = None,
    memory: Mapping[str, Path] | None = None,
) -> ImageRun:
    """Runs an image to its end.

    Args:
      image: an ELF file.
      core: a key of `cores()`, or RV32.
      timeout_seconds: of wall time.
      blocks: where to write how often each block of code ran in what MeasureInstructions measured: two spans a
        measurement, the work and an empty function. qemu_blocks.c says what is in the file.
      memory: symbol of the image -> file whose bytes stand there before it starts.

    Raises:
      QemuError: see there.
    """
    if not image.is_file():
        raise QemuError(f"there is no image {image}")
    qemu, package = (RV32_QEMU, "qemu-system-misc") if core == RV32 else (QEMU, QEMU)
    if shutil.which(qemu) is None:
        raise QemuError(f"{qemu} is missing; Debian has it in the package {package}")
    command = [
        *(qemu, "-icount", "shift=7", "-display", "none", "-monitor", "none", "-chardev", "stdio,id=text"),
        *_machine_arguments(core),
        *("-kernel", str(image)),
        *(_plugin_arguments(image, blocks) if blocks else ()),
        *(_loader_arguments(image, memory) if memory else ()),
    ]
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=timeout_seconds,
            text=True,
            errors="replace",
        )
    except subprocess.TimeoutExpired as error:
        raise QemuError(f"{image} was still running on {core} after {timeout_seconds:g} s") from error
    if done.stderr or done.returncode < 0:
        raise QemuError(f"{qemu} ended {image} on {core} with code {done.returncode}: {done.stderr}{done.stdout}")
    return ImageRun(done.returncode, done.stdout)


def _machine_arguments(core: str) -> Sequence[str]:
    if core == RV32:
        return "-machine", "virt", "-bios", "none", "-serial", "chardev:text"
    semihosting = ("-semihosting-config", "enable=on,target=native,chardev=text")
    return "-machine", cores()[core]["machine"], "-serial", "none", *semihosting


def _plugin_arguments(image: Path, blocks: Path) -> Sequence[str]:
    begin, end = (f"0x{address & ~1:x}" for address in _addresses(image, SPAN_FUNCTIONS))
    return "-plugin", f"{_built_plugin()},begin={begin},end={end},out={blocks}"


def _loader_arguments(image: Path, memory: Mapping[str, Path]) -> Iterator[str]:
    for address, path in zip(_addresses(image, tuple(memory)), memory.values(), strict=True):
        yield from ("-device", f"loader,file={path},addr=0x{address:x},force-raw=on")


def _addresses(image: Path, names: Sequence[str]) -> list[int]:
    """The addresses of symbols of the image."""
    found = {name: address for address, _, name in map(str.split, _call("arm-none-eabi-nm", str(image)).splitlines())}
    if missing := [name for name in names if name not in found]:
        raise QemuError(f"{image} has no symbol {missing[0]}")
    return [int(found[name], 16) for name in names]


@functools.cache
def _built_plugin() -> Path:
    """The plugin, compiled where its source is newer; another process may do the same."""
    source = Path(__file__).parent / "qemu_blocks.c"
    library = source.parents[1] / "build" / "qemu_blocks.so"
    if not library.is_file() or library.stat().st_mtime < source.stat().st_mtime:
        library.parent.mkdir(exist_ok=True)
        made = library.with_suffix(f".{os.getpid()}.so")
        _call("gcc", "-O2", "-Wall", "-Wextra", "-fvisibility=hidden", "-shared", "-fPIC", str(source), "-o", str(made))
        made.replace(library)
    return library


def _call(*command: str) -> str:
    try:
        done = subprocess.run(command, capture_output=True, text=True)
    except FileNotFoundError:
        raise QemuError(f"{command[0]} is missing") from None
    if done.returncode != 0:
        raise QemuError(f"{command[0]} failed: {done.stderr.strip()}")
    return done.stdout


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="qemu_run", description="Runs an image on QEMU's board for a core.")
    parser.add_argument("image", type=Path, help="ELF file")
    parser.add_argument("--core", required=True, choices=[*sorted(cores()), RV32])
    parser.add_argument("--timeout_seconds", type=float, default=TIMEOUT_SECONDS)
    parser.add_argument("--blocks", type=Path, help="where to write how often each block of what is measured ran")
    parser.add_argument("--expected_exit_code", type=int, default=0, help="exit 0 if the image ends with this code")
    flags = parser.parse_args(arguments)
    try:
        run = run_image(flags.image, core=flags.core, timeout_seconds=flags.timeout_seconds, blocks=flags.blocks)
    except QemuError as error:
        print(f"qemu_run: {error}", file=sys.stderr)
        return 1
    print(run.output, end="")
    if run.exit_code == flags.expected_exit_code:
        return 0
    print(f"qemu_run: the image ended with code {run.exit_code}", file=sys.stderr)
    return run.exit_code or 1


if __name__ == "__main__":
    sys.exit(main())
