"""Whether the test of an emitted project notices faults: flips single bits of the numbers in its .cc, one at a time.

In: a model. Out: how many of the faults the test, built for the host, noticed, by what was hit: weights (arrays of
bytes), tables (arrays of int32) and code (all other numbers: params, offsets, indices). Exit code 1 where fewer than
99 in 100 were noticed. Numbers of constants are changed where they stand in the built test, which is what building
the changed source gives; all others in the source, which is built anew.

    python -m tools.fault_injection --model m.tflite --count 100
"""

from __future__ import annotations

import argparse
import dataclasses
import re
import signal
import struct
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

import tflm_quantmcu as qm
from tflm_quantmcu.base.errors import QuantMcuError
from tflm_quantmcu.converter.emit.project import EmittedProject

KINDS = ("weights", "tables", "code")
REQUIRED = 0.99
_LIMIT_SECONDS = 60  # of computing, of a test that takes a second; a fault may loop for ever

_ARRAY = re.compile(r"constexpr (uint8_t|int32_t) (\w+)\[\] = \{([^}]*)\}")
_PARAMS = re.compile(r"^constexpr quantmcu::(?!Kernels)\w+ (\w+)(?:\[\])? = \{(.*?)^\};", re.MULTILINE | re.DOTALL)
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e[-+]?\d+)?f?(?![\w.])")
# What holds no numbers of the model, and what only the test runs, which ends the file.
_IGNORED = re.compile(
    r"^bool IsPlanRight.*|//[^\n]*|^#ifdef QUANTMCU_SELF_TEST.*|^#[^\n]*|alignas\(\d+\)", re.MULTILINE | re.DOTALL
)


@dataclasses.dataclass(frozen=True)
class Site:
    """A number in the source: where it stands and how wide it is; of a constant also its name and its place in it."""

    kind: str
    begin: int
    end: int
    bits: int
    constant: str = ""
    offset: int = 0


@dataclasses.dataclass(frozen=True)
class Fault:
    """A bit of a site."""

    site: Site
    bit: int

    def apply(self, source: str) -> str:
        """The source with the bit flipped."""
        text = source[self.site.begin : self.site.end]
        return source[: self.site.begin] + flipped(text, self.bit, self.site.bits) + source[self.site.end :]


def sites_of(source: str) -> list[Site]:
    """All numbers of an emitted source that the model runs with."""
    blank = _IGNORED.sub(lambda match: " " * len(match[0]), source)
    sites: list[Site] = []
    for match in _ARRAY.finditer(blank):
        kind, bits = ("weights", 8) if match[1] == "uint8_t" else ("tables", 32)
        sites += _numbers(blank, match.span(3), kind, bits, match[2])
    for match in _PARAMS.finditer(blank):
        sites += _numbers(blank, match.span(2), "code", 32, match[1])
    for pattern in (_ARRAY, _PARAMS):
        blank = pattern.sub(lambda match: " " * len(match[0]), blank)
    return [*sites, *_numbers(blank, (0, len(blank)), "code", 32, "")]


def _numbers(source: str, span: tuple[int, int], kind: str, bits: int, constant: str) -> Iterator[Site]:
    for index, match in enumerate(_NUMBER.finditer(source, *span)):
        yield Site(kind, match.start(), match.end(), bits, constant, index * bits // 8)


def flipped(text: str, bit: int, bits: int) -> str:
    """A number with one of its bits flipped: unsigned of 8 bits, int32, or float32."""
    if text.endswith("f"):
        (word,) = struct.unpack("<I", struct.pack("<f", float(text[:-1])))
        (value,) = struct.unpack("<f", struct.pack("<I", word ^ 1 << bit % 23))  # stays a number
        return f"{np.float32(value)!s}f"
    value = (int(text) & (1 << bits) - 1) ^ 1 << bit
    return str(value - (1 << bits) if bits == 32 and value >= 1 << 31 else value)


def choose_faults(sites: Sequence[Site], count: int, seed: int) -> list[Fault]:
    """Faults without repeats, of each kind as many as of the others."""
    rng = np.random.default_rng(seed)
    by_kind = [[s for s in sites if s.kind == kind] for kind in KINDS]
    faults: dict[Fault, None] = {}
    while len(faults) < count:
        kind = by_kind[len(faults) % len(KINDS)]
        site = kind[int(rng.integers(len(kind)))]
        faults[Fault(site, int(rng.integers(site.bits)))] = None
    return list(faults)


class FaultyProject:
    """The project of a model, built and run with faults in it."""

    def __init__(self, project: EmittedProject) -> None:
        self._project = project
        self._path = project.directory / f"{project.name}.cc"
        self._image = project.directory / "build/host/main"
        self.source = self._path.read_text()
        self._pristine = b""
        self._places: dict[str, int] = {}

    def run(self, source: str) -> str:
        """What the test says to this source: "" where it passes."""
        self._path.write_text(source)
        if self._call(["make", "-s", "-j2", "all", "CORE=host", "CXXFLAGS=-O1"]).returncode:
            return "not built"
        return self._run_image()

    def build(self) -> str:
        """`run` without a fault, and remembers the image."""
        reason = self.run(self.source)
        self._pristine = self._image.read_bytes()
        self._places = _places_of_constants(self._image)
        return reason

    def run_fault(self, fault: Fault) -> str:
        """What the test says to a fault."""
        if fault.site.constant not in self._places:
            return self.run(fault.apply(self.source))
        image = bytearray(self._pristine)
        place = self._places[fault.site.constant] + fault.site.offset
        number = self.source[fault.site.begin : fault.site.end]
        num_bytes = fault.site.bits // 8
        found = bytes(image[place : place + num_bytes])
        if found != _bytes_of(number, fault.site.bits):
            raise RuntimeError(f"{fault.site.constant} of the image holds {found.hex()} in place of {number}")
        image[place : place + num_bytes] = _bytes_of(flipped(number, fault.bit, fault.site.bits), fault.site.bits)
        self._image.write_bytes(image)
        return self._run_image()

    def _run_image(self) -> str:
        done = self._call(["sh", "-c", f"ulimit -t {_LIMIT_SECONDS}; exec ./build/host/main"])
        if done.returncode in (-signal.SIGXCPU, -signal.SIGKILL):
            return "endless"
        if done.returncode == 0:
            return ""
        reasons = re.findall(r"^FAILED: (\w+)", done.stdout, re.MULTILINE)
        return "+".join(dict.fromkeys(reasons)) if done.returncode == 1 and reasons else "crash"

    def _call(self, command: list[str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(command, cwd=self._project.directory, capture_output=True, text=True, errors="replace")


def _bytes_of(number: str, bits: int) -> bytes:
    """The bytes of a number as a constant holds them."""
    if number.endswith("f"):
        return struct.pack("<f", float(number[:-1]))
    return (int(number) & (1 << bits) - 1).to_bytes(bits // 8, "little")


def _places_of_constants(image: Path) -> dict[str, int]:
    """Name of each constant of the model -> its place in the file."""
    table = subprocess.run(["readelf", "-SW", str(image)], capture_output=True, text=True, check=True).stdout
    numbers = re.findall(r" \.(?:rodata|data\.rel\.ro)\S* +PROGBITS +(\w+) (\w+) (\w+) ", table)
    sections = [tuple(int(number, 16) for number in row) for row in numbers]
    symbols = subprocess.run(["nm", "-C", str(image)], capture_output=True, text=True, check=True).stdout
    found = re.findall(r"^(\w+) [rd] \w+::\(anonymous namespace\)::(\w+)$", symbols, re.MULTILINE)
    places = {name: int(text, 16) for text, name in found}
    return {
        name: place - address + offset
        for name, place in places.items()
        for address, offset, size in sections
        if address <= place < address + size
    }


def inject(project: FaultyProject, faults: Sequence[Fault]) -> Iterator[tuple[Fault, str]]:
    """Each fault with what noticed it.

    Raises:
      RuntimeError: the test fails without a fault.
    """
    if reason := project.build():
        raise RuntimeError(f"the test fails without a fault: {reason}")
    try:
        for fault in faults:
            yield fault, project.run_fault(fault)
    finally:
        project.run(project.source)


def report(found: Sequence[tuple[Fault, str]], source: str) -> bool:
    """Prints the counts; whether enough was noticed."""
    for kind in KINDS:
        reasons = [reason for fault, reason in found if fault.site.kind == kind]
        by_reason = ", ".join(f"{name} {n}" for name, n in Counter(r for r in reasons if r).most_common())
        print(f"{kind:8} {sum(map(bool, reasons)):4} of {len(reasons):4} noticed: {by_reason}")
    for fault, reason in found:
        if not reason:
            line = source.count("\n", 0, fault.site.begin) + 1
            print(f"not noticed: line {line}, {source[fault.site.begin : fault.site.end]}, bit {fault.bit}")
    num_noticed = sum(bool(reason) for _, reason in found)
    print(f"{num_noticed} of {len(found)} faults noticed ({100 * num_noticed / len(found):.1f} %)")
    return num_noticed >= REQUIRED * len(found)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="fault_injection", description=__doc__.splitlines()[0])
    parser.add_argument("--model", type=Path, required=True, help=".tflite, stock or converted")
    parser.add_argument("--count", type=int, default=100, help="faults")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--inputs", type=Path, help=".npz whose first samples the test runs")
    flags = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="fault_injection_") as folder:
        try:
            project = FaultyProject(qm.emit(flags.model, output_dir=folder, inputs=flags.inputs, name="model"))
        except QuantMcuError as error:
            print(f"fault_injection: {error}", file=sys.stderr)
            return error.exit_code
        faults = choose_faults(sites_of(project.source), flags.count, flags.seed)
        print(f"{flags.model.name}: {len(faults)} faults, seed {flags.seed}")
        return 0 if report(list(inject(project, faults)), project.source) else 1


if __name__ == "__main__":
    sys.exit(main())
