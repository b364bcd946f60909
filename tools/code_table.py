"""Writes how many bytes of flash our code takes on a core: what `code_bytes` of a report is added up from.

In: a source tree with Bazel and the cross compiler. Out: a CSV a core, tflm_quantmcu/cost/data/code_<core>.csv. A unit
is what a model links as a whole: a kernel, the patch stage, the glue to TFLM of an op of ours or of TFLite's own. What
several units link is linked once; so a row names all units that reach a piece of code, and has the bytes of all such
pieces. Reached is what the linker's --gc-sections keeps: sections, followed along relocations. Routines of the
compiler's own library are left out.

    python -m tools.code_table --cores cortex-m4 cortex-m55
"""

from __future__ import annotations

import argparse
import dataclasses
import re
import subprocess
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from tflm_quantmcu.base.files import write_atomically
from tflm_quantmcu.cost.code_sizes import PATCH_STAGE_AOT, PATCH_STAGE_TFLM, table_path, to_csv
from tflm_quantmcu.graph.target import CORES, REFERENCE, core_named, short_core, variant_of

ROOT = Path(__file__).resolve().parents[1]
LABELS = (
    "//tflm_kernels/portable",
    "//tflm_kernels/cortex_m:kernels",
    "//tflm_kernels/micro",
    "//tflm_kernels/micro:ops",
    "//tflm_kernels/micro:fast_ops",
)
_LIBRARIES = (
    *("portable/libportable.a", "cortex_m/libkernels.a", "micro/libmicro.a", "micro/libops.a"),
    "micro/libfast_ops.a",
)
_FUNCTION = re.compile(r"^(?:void )?quantmcu::(reference|plain|dsp|mve)::(\w+)(<[\d, ]+>)?\(")
# The glue of an op of ours without its kernel.
_OWN_OP = re.compile(r"^quantmcu::OwnOp<void \(quantmcu::(\w+)Params const&.*\)>::(?:Init|Prepare|Eval)\(")
# Of the patch stage an emitted project links just the kernels that it runs, by a table of its own.
_GLUE = re.compile(r"^quantmcu::(Register_QMCU_(?!PATCH_STAGE)\w+|Fast[A-Z]\w+)\(\)$")
# An emitted project names the kernel of TFLite's own convolutions, and the stages that it has.
_FAST_OP = re.compile(r"^quantmcu::(?:Eval)?(Fast\w+2D)\([^)]")
_STAGE_FUNCTIONS = {
    "PatchStage": PATCH_STAGE_AOT,
    **dict.fromkeys(("InitKnownPatchStage", "PrepareKnownPatchStage", "EvalPatchStage"), PATCH_STAGE_TFLM),
}
_STAGE = re.compile(rf"^quantmcu::({'|'.join(_STAGE_FUNCTIONS)})\(")
_SECTION = re.compile(r"^ *\[ *(\d+)\] (\S+) +\w+ +\w+ \w+ (\w+) \w+ +([A-Za-z]*) +\d+ +\d+ +(\d+)$")
_SYMBOL = re.compile(r"^ *(\d+): (\w+) +\w+ (\w+) +(\w+) +\w+ +(\w+) ?(\S*)$")
_RELOCATION = re.compile(r"^\w{8} +(\w{8}) R_ARM_\w+")
_RELOCATED = re.compile(r"^Relocation section '\.rela?(\S+)'")

Place = tuple[str, str]  # (object, section), or ("", section) of what the linker keeps once


@dataclasses.dataclass(eq=False)
class Sections:
    """The sections of object files that take memory.

    Attributes:
      num_bytes: of each, as it is aligned.
      uses: place -> what its relocations lead to: places, or names of symbols of other objects.
      symbols: name of a global symbol -> its place.
    """

    num_bytes: dict[Place, int] = dataclasses.field(default_factory=dict)
    uses: dict[Place, set[Place | str]] = dataclasses.field(default_factory=lambda: defaultdict(set))
    symbols: dict[str, Place] = dataclasses.field(default_factory=dict)

    def add_object(self, name: str, lines: Iterable[str]) -> None:
        """Reads what `readelf -SsrW` prints of an object file."""
        places: dict[int, Place] = {}
        own_symbols: dict[int, Place | str] = {}
        relocated: Place | None = None
        rows: list[tuple[Place, int]] = []
        known = {place for place in self.num_bytes if not place[0]}  # of these the linker keeps the first
        for line in lines:
            if match := _SECTION.match(line):
                self._add_section(name, match, places)
            elif match := _SYMBOL.match(line):
                self._add_symbol(match, places, own_symbols)
            elif match := _RELOCATED.match(line):
                relocated = _section_called(match[1], places.values())
            elif (match := _RELOCATION.match(line)) and relocated:
                rows.append((relocated, int(match[1], 16) >> 8))
        for place, symbol in rows:  # relocations stand before the symbols
            if place not in known:
                self.uses[place].add(own_symbols[symbol])

    def _add_section(self, name: str, match: re.Match[str], places: dict[int, Place]) -> None:
        number, section, size, flags, alignment = int(match[1]), match[2], int(match[3], 16), match[4], int(match[5])
        if "A" in flags and not section.startswith(".ARM."):
            place = ("" if "G" in flags else name, section)
            places[number] = place
            self.num_bytes[place] = -(-size // max(alignment, 1)) * max(alignment, 1)

    def _add_symbol(self, match: re.Match[str], places: Mapping[int, Place], own: dict[int, Place | str]) -> None:
        number, binding, section, name = int(match[1]), match[4], match[5], match[6]
        place = places.get(int(section)) if section.isdigit() else None
        own[number] = place or name
        if place and binding != "LOCAL":
            self.symbols.setdefault(name, place)

    def reached(self, root: str) -> set[Place]:
        """All that is linked where this symbol is."""
        found: set[Place] = set()
        waiting: list[Place | str] = [root]
        while waiting:
            place = waiting.pop()
            if isinstance(place, str):
                if place not in self.symbols:  # of the compiler's library
                    continue
                place = self.symbols[place]
            if place not in found:
                found.add(place)
                waiting += self.uses[place]
        return found


def _section_called(name: str, places: Iterable[Place]) -> Place | None:
    """The section of that name, of which readelf leaves out the end before relocations where it is long."""
    found = [place for place in places if place[1].startswith(name)]
    return min(found, key=lambda place: len(place[1]), default=None)


def units_of(symbols: Iterable[str], variant: str) -> dict[str, set[str]]:
    """Unit -> its symbols, mangled; `kernels::X` is the variant's own X where there is one, else the reference's."""
    names = list(symbols)
    filtered = subprocess.run(["c++filt"], input="\n".join(names), capture_output=True, text=True, check=True).stdout
    units: dict[str, set[str]] = defaultdict(set)
    own: dict[str, set[str]] = defaultdict(set)
    for symbol, text in zip(names, filtered.splitlines(), strict=True):
        if match := _FUNCTION.match(text):
            if match[1] == REFERENCE and not match[3]:
                units[f"{REFERENCE}::{match[2]}"].add(symbol)
            elif match[1] == variant and (not match[3] or match[2].endswith("Of")):
                own[f"kernels::{match[2]}{(match[3] or '').replace(', ', 'x')}"].add(symbol)
        elif (match := _OWN_OP.match(text)) or (match := _FAST_OP.match(text)):
            units[f"{match[1]}Op"].add(symbol)
        elif match := _GLUE.match(text):
            units[match[1]].add(symbol)
        elif match := _STAGE.match(text):
            units[_STAGE_FUNCTIONS[match[1]]].add(symbol)
    for unit in [u for u in units if u.startswith(f"{REFERENCE}::")]:
        units[unit.replace(REFERENCE, "kernels")] = own.get(unit.replace(REFERENCE, "kernels"), units[unit])
    parts = {unit: found for unit, found in own.items() if "<" in unit or unit.endswith(("Regular", "Whole"))}
    return {**units, **parts}


def table_of(sections: Sections, units: Mapping[str, Iterable[str]]) -> dict[frozenset[str], int]:
    """Units that share code -> its bytes."""
    reaching: dict[Place, set[str]] = defaultdict(set)
    for unit, symbols in units.items():
        for symbol in symbols:
            for place in sections.reached(symbol):
                reaching[place].add(unit)
    rows: dict[frozenset[str], int] = defaultdict(int)
    for place, names in reaching.items():
        rows[frozenset(names)] += sections.num_bytes[place]
    return dict(rows)


def build_libraries(core: str) -> list[Path]:
    """Builds the libraries of a core, as projects compile them; a core without fast kernels has none of them."""
    short = short_core(core)
    subprocess.run(["bazel", "build", f"--config=cortex_{short}", *LABELS], cwd=ROOT, check=True)
    paths = [ROOT / f"build/cortex_{short}/bin/tflm_kernels" / library for library in _LIBRARIES]
    return [path for path in paths if path.is_file()]


def measure(core: str) -> dict[frozenset[str], int]:
    """Builds the libraries of a core and reads them."""
    sections = Sections()
    for path in build_libraries(core):
        command = ["arm-none-eabi-readelf", "-SsrW", str(path)]
        text = subprocess.run(command, capture_output=True, text=True, check=True).stdout
        for part in text.split("\nFile: ")[1:]:
            head, *lines = part.splitlines()
            sections.add_object(head, lines)
    return table_of(sections, units_of(sections.symbols, variant_of(core)))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="code_table", description=__doc__.splitlines()[0])
    parser.add_argument("--cores", nargs="+", type=core_named, choices=CORES, default=CORES)
    flags = parser.parse_args(arguments)
    for core in flags.cores:
        rows = measure(core)
        path = ROOT / "tflm_quantmcu/cost/data" / table_path(core)
        write_atomically(path, to_csv(rows).encode())
        print(f"{core}: {sum(rows.values()):,} bytes in {len(rows)} rows -> {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
