"""Whether the test of an emitted project notices faults: flips single bits of the numbers in its .cc, one at a time.

In: a model. Out: how many of the faults the test, built for the host, noticed, by what was hit: weights (arrays of
bytes), tables (arrays of int32) and code (all other numbers: params, offsets, indices). Exit code 1 where fewer than
99 in 100 were noticed.

    python -m tools.fault_injection --model m.tflite --count 100
"""

from __future__ import annotations

import argparse
import dataclasses
import re
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
_TIMEOUT_SECONDS = 60.0  # of a test that takes a second; a fault may loop for ever

_ARRAY = re.compile(r"constexpr (uint8_t|int32_t) \w+\[\] = \{([^}]*)\}")
_NUMBER = re.compile(r"(?<![\w.])-?\d+(?:\.\d+)?(?:e[-+]?\d+)?f?(?![\w.])")
# What holds no numbers of the model, and what only the test runs, which ends the file.
_IGNORED = re.compile(
    r"^bool IsPlanRight.*|//[^\n]*|^#ifdef QUANTMCU_SELF_TEST.*|^#[^\n]*|alignas\(\d+\)", re.MULTILINE | re.DOTALL
)


@dataclasses.dataclass(frozen=True)
class Site:
    """A number in the source: where it stands and how wide it is."""

    kind: str
    begin: int
    end: int
    bits: int


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
    arrays = [(m.start(2), m.end(2), m[1]) for m in _ARRAY.finditer(blank)]
    sites = list(_numbers(blank, arrays))
    for begin, end, _ in arrays:
        blank = blank[:begin] + " " * (end - begin) + blank[end:]
    sites += [Site("code", m.start(), m.end(), 32) for m in _NUMBER.finditer(blank)]
    return sites


def _numbers(source: str, arrays: Sequence[tuple[int, int, str]]) -> Iterator[Site]:
    for begin, end, element in arrays:
        kind, bits = ("weights", 8) if element == "uint8_t" else ("tables", 32)
        for match in _NUMBER.finditer(source, begin, end):
            yield Site(kind, match.start(), match.end(), bits)


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
        self.source = self._path.read_text()

    def run(self, source: str) -> str:
        """What the test says to this source: "" where it passes."""
        self._path.write_text(source)
        built = self._call(["make", "-s", "-j2", "all", "CORE=host", "CXXFLAGS=-O1"], None)
        if built.returncode:
            return "not built"
        try:
            done = self._call(["build/host/main"], _TIMEOUT_SECONDS)
        except subprocess.TimeoutExpired:
            return "endless"
        if done.returncode == 0:
            return ""
        reasons = re.findall(r"^FAILED: (\w+)", done.stdout, re.MULTILINE)
        return "+".join(dict.fromkeys(reasons)) if done.returncode == 1 and reasons else "crash"

    def _call(self, command: list[str], timeout: float | None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=self._project.directory, capture_output=True, text=True, errors="replace", timeout=timeout
        )


def inject(project: FaultyProject, faults: Sequence[Fault]) -> Iterator[tuple[Fault, str]]:
    """Each fault with what noticed it.

    Raises:
      RuntimeError: the test fails without a fault.
    """
    if reason := project.run(project.source):
        raise RuntimeError(f"the test fails without a fault: {reason}")
    try:
        for fault in faults:
            yield fault, project.run(fault.apply(project.source))
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
