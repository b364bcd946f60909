"""Writes the tables of what was measured on cores (docs/measured_on_cores.md), each by a command of its own.

In: the folder of shared models, the demo's int8 model and, for the real TFLM on a core, TFLM_DIR; paths are of the
source tree. Out: Markdown: of each table its command, what it printed, its exit code and the minutes it took; the file
is written anew after each, so that what is done stays. Exit code 1 where a command failed: a bound is exceeded, a
default is too slow, an estimate off.

    python -m experiments.device --output build/device.md
    python -m experiments.device --output build/device.md --tables b e i
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import shlex
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from tflm_quantmcu.base.files import write_atomically
from tflm_quantmcu.graph.target import CORES, DEFAULT_CORE
from tools.tflm_build import tflm_folders

ROOT = Path(__file__).resolve().parents[1]
SHARED = Path("../shared")
DEMO = Path("build/demo/int8.tflite")
_NETWORKS = ("kws_dscnn_int8", "ic_resnet8_int8", "person_detect", "mcunet_vww80")
_DENSE = ("ad01_int8", "hello_world_int8")
_FAULTS = ("kws_dscnn_int8", "ic_resnet8_int8", "hello_world_int8")
# What the papers' bounds are of the non-persistent arena: a quarter of ResNet8's, half of the keywords'.
_SHARES = {"ic_resnet8_int8": 49152 // 4, "kws_dscnn_int8": 16000 // 2}
_BOUNDS = ("-m", "experiments.device_bounds", "--models")
_TIMES = ("-m", "experiments.device_time", "--models")
_OF_MAPS = ("--sram_scope", "nonpersistent", "--sram_bytes")
# Letters and titles.
_A = "a", "Bounds against what the core takes"
_B = "b", "The demo at 32 and 48 KB"
_C = "c, g", "Default conversions over the unsplit network on the M4; longest spans"
_D = "d, g", "Estimates against what was measured on the other cores; longest spans"
_E = "e", "Boards, each network estimated from all others"
_F = "f", "At the papers' bounds of the non-persistent arena, on the M4"
_H = "h", "Faults that the emitted test notices"
_I = "i", "A new user's digits, at a bound that 8 bits meet"
_REFUSALS = "refusals", "Whether refusals tell the truth"


@dataclasses.dataclass(frozen=True)
class Table:
    """A table: its letter, what it shows, and the commands that print it, as arguments of Python."""

    letter: str
    title: str
    commands: Sequence[Sequence[str]]


@dataclasses.dataclass(frozen=True)
class Run:
    """A command that ran."""

    command: Sequence[str]
    output: str
    exit_code: int
    minutes: float

    @property
    def text(self) -> str:
        """Its text on the page: tables as they are, other lines as code."""
        parts = [
            "\n".join(line if is_table or not line else f"    {line}" for line in lines)
            for is_table, lines in itertools.groupby(self.output.splitlines(), lambda line: line.startswith("|"))
        ]
        command = f"    python {shlex.join(self.command)}"
        ending = f"Exit code {self.exit_code}, {self.minutes:.1f} minutes."
        return "\n\n".join([command, *parts, ending]) + "\n"


def tables_of(models: Path, cases: Path, demo: Path) -> list[Table]:
    """All of them.

    Args:
      models: folder of the shared models.
      cases: folder with misc4.tflite.
      demo: its int8 model.
    """
    networks, dense, faulty = (
        [str(models / f"{name}.tflite") for name in names] for names in (_NETWORKS, _DENSE, _FAULTS)
    )
    every = [*dense, *networks, str(demo)]
    others = [core for core in CORES if core != DEFAULT_CORE]
    return [
        Table(*_A, [[*_BOUNDS, *every, "--stock_models", str(cases / "misc4.tflite")]]),
        Table(*_B, [[*_BOUNDS, str(demo), "--cores", DEFAULT_CORE, "--bounds", "32768", "49152"]]),
        Table(*_C, [[*_TIMES, *every, "--cores", DEFAULT_CORE, "--search", "vdqs", "--max_over_unsplit", "1.1"]]),
        Table(*_D, [[*_TIMES, *every, "--cores", *others]]),
        Table(*_E, [["-m", "tools.board_fit"]]),
        Table(*_F, [[*_TIMES, str(models / f"{name}.tflite"), *_OF_MAPS, str(n)] for name, n in _SHARES.items()]),
        Table(*_H, [["-m", "tools.fault_injection", "--count", "500", "--model", path] for path in faulty]),
        Table(*_I, [["-m", "experiments.digits"]]),
        Table(*_REFUSALS, [["-m", "experiments.refusals", "--models", str(models), str(cases)]]),
    ]


def run(command: Sequence[str]) -> Run:
    """Runs it; what it says of its progress goes where ours goes."""
    begun = time.monotonic()
    done = subprocess.run([sys.executable, *command], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    return Run(command, done.stdout.strip(), done.returncode, (time.monotonic() - begun) / 60)


def run_all(tables: Sequence[Table], output: Path) -> Iterator[Run]:
    """Each command, and writes the page behind each."""
    page = f"# Measured on cores\n\nTFLM on cores: {'TFLM_DIR' if tflm_folders() else 'not tried, without TFLM_DIR'}.\n"
    output.parent.mkdir(parents=True, exist_ok=True)
    for table in tables:
        page += f"\n## {table.letter}. {table.title}\n"
        for command in table.commands:
            print(f"{table.letter}: {shlex.join(command)}", file=sys.stderr, flush=True)
            done = run(command)
            page += f"\n{done.text}"
            write_atomically(output, page.encode())
            yield done


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="device", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--output", type=Path, required=True, help="the page, .md")
    parser.add_argument("--tables", nargs="+", help="letters, and refusals; default all")
    parser.add_argument("--models", type=Path, default=SHARED / "data/models", help="folder of the shared models")
    parser.add_argument("--cases", type=Path, default=SHARED / "cases/models", help="folder with misc4.tflite")
    parser.add_argument("--demo", type=Path, default=DEMO, help="int8 model of `make demo`")
    flags = parser.parse_args(arguments)
    tables = tables_of(flags.models, flags.cases, flags.demo)
    known = [letter for table in tables for letter in table.letter.split(", ")]
    if wrong := [letter for letter in flags.tables or () if letter not in known]:
        parser.error(f"--tables has {wrong[0]}; there are {', '.join(dict.fromkeys(known))}")
    chosen = [t for t in tables if not flags.tables or set(flags.tables) & set(t.letter.split(", "))]
    missing = [path for path in (flags.models, flags.cases, flags.demo) if not (ROOT / path).exists()]
    if missing:
        parser.error(f"{missing[0]} is not there; `make demo` makes the demo's model")
    runs = list(run_all(chosen, flags.output))
    failed = [shlex.join(done.command[:2]) for done in runs if done.exit_code]
    print(
        f"{len(runs)} commands, {sum(done.minutes for done in runs):.1f} minutes; failed: {', '.join(failed) or 'none'}"
    )
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
