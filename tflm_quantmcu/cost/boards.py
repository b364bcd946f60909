"""Milliseconds on real boards, from instructions and documented cycles.

    milliseconds = (instruction_factor * instructions + cycle_factor * cycles) / (clock in kHz)

The factors of a measured board are a fit of networks that ran on it (data/board_measurements.csv); `python -m
tools.board_fit` makes them again and says how far off each network is that was left out. docs/boards.md.
"""

from __future__ import annotations

import csv
import dataclasses
import functools
import io
from collections.abc import Mapping, Sequence
from importlib import resources
from typing import Protocol

from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.graph.target import short_core

DEFAULT_BOARDS = {
    "m0plus": "nucleo-g0b1re",
    "m4": "nucleo-l4r5zi",
    "m7": "nucleo-h7a3zi",
    "m33": "nucleo-u575zi",
    "m55": "corstone-300",
}


@dataclasses.dataclass(frozen=True)
class Board:
    """A board and how its time follows from counts.

    Attributes:
      name, core: as in data/boards.csv.
      clock_mhz: of the core.
      instruction_factor, cycle_factor: board cycles for each instruction and each documented cycle.
      relative_error: of the milliseconds: of measured boards the rms of networks left out of the fit, else assumed.
      is_measured: whether networks ran on it; else its figures are extrapolated from other boards.
    """

    name: str
    core: str
    clock_mhz: float
    instruction_factor: float
    cycle_factor: float
    relative_error: float
    is_measured: bool

    def milliseconds(self, instructions: float, cycles: float) -> float:
        """The milliseconds of work of so many instructions and documented cycles."""
        board_cycles = self.instruction_factor * instructions + self.cycle_factor * cycles
        return board_cycles / (self.clock_mhz * 1000)


class Timed(Protocol):
    """Work of which instructions and documented cycles are known, but for ops that no table knows."""

    @property
    def instructions(self) -> int: ...

    @property
    def cycles(self) -> int: ...

    @property
    def unknown(self) -> Sequence[str]: ...


@functools.cache
def boards() -> Mapping[str, Board]:
    """All boards by name."""
    text = (resources.files("tflm_quantmcu.cost") / "data" / "boards.csv").read_text()
    return {cells["board"]: _board(cells) for cells in csv.DictReader(io.StringIO(text))}


def _board(cells: Mapping[str, str]) -> Board:
    names = ("clock_mhz", "instruction_factor", "cycle_factor", "relative_error")
    clock, instruction_factor, cycle_factor, error = (float(cells[name]) for name in names)
    is_measured = cells["basis"] == "measured"
    return Board(cells["board"], cells["core"], clock, instruction_factor, cycle_factor, error, is_measured)


def board_of(core: str, board: str | None = None) -> Board | None:
    """A board of a core; without a name the core's default one, or None where there is none.

    Args:
      core: m4 or cortex-m4, and so on.
      board: as in data/boards.csv.

    Raises:
      UsageError: no such board, or one with another core.
    """
    core = short_core(core)
    if board is None:
        return boards()[DEFAULT_BOARDS[core]] if core in DEFAULT_BOARDS else None
    if board not in boards():
        raise UsageError(f"--board is {board}; there are {', '.join(boards())}")
    if boards()[board].core != core:
        raise UsageError(f"--board {board} has a cortex-{boards()[board].core}, and --core is cortex-{core}")
    return boards()[board]


def milliseconds(core: str, board: str | None, work: Timed) -> float | None:
    """The milliseconds of work on a board; None where they are not known.

    Args:
      core, board: see `board_of`.
      work: as estimated from the core's tables.
    """
    found = board_of(core, board)
    if found is None or not work.cycles or work.unknown:
        return None
    return found.milliseconds(work.instructions, work.cycles)


def time_text(core: str, board: str | None, works: Sequence[Timed]) -> str:
    """Milliseconds of each work on a board with their error, in words, or why they are not known.

    Args:
      core, board: see `board_of`.
      works: as of `milliseconds`.
    """
    found, cycles = board_of(core, board), " -> ".join(f"{work.cycles:,}" for work in works)
    if found is None:
        return f"{cycles} documented cycles; milliseconds: not known, for no board with a cortex-{short_core(core)} is"
    if unknown := list(dict.fromkeys(op for work in works for op in work.unknown)):
        others = f" and {len(unknown) - 1} more ops" if len(unknown) > 1 else ""
        known = [f"{found.milliseconds(work.instructions, work.cycles):.3g}" for work in works]
        return (
            f"milliseconds: not known, for no table has {unknown[0]}{others}; without these {' -> '.join(known)} ms on "
            f"{found.name}, {error_text(found)}"
        )
    figures = " -> ".join(f"{found.milliseconds(work.instructions, work.cycles):.3g} ms" for work in works)
    where = f"{found.name} at {found.clock_mhz:g} MHz"
    return f"{cycles} documented cycles, {figures} on {where}, estimated, {error_text(found)}"


def error_text(board: Board) -> str:
    """How far off its milliseconds may be."""
    return f"+-{board.relative_error:.0%}{'' if board.is_measured else ', extrapolated'}"
