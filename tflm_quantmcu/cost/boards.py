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

from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.cost.network_cost import Cost
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
        """Of work of so many instructions and documented cycles."""
        board_cycles = self.instruction_factor * instructions + self.cycle_factor * cycles
        return board_cycles / (self.clock_mhz * 1000)


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


def time_text(core: str, board: str | None, works: Sequence[Cost]) -> str:
    """Milliseconds of each work on a board with their error, in words, or that they are not known.

    Args:
      core, board: see `board_of`.
      works: with instructions and cycles, or 0 where these are not known.
    """
    found = board_of(core, board)
    times = [estimate(core, board, work.instructions, work.cycles) for work in works]
    if found is None or None in times:
        return "milliseconds: not known"
    figures = " -> ".join(f"{time[0]:.3g} ms" for time in times if time)
    basis = "" if found.is_measured else ", extrapolated"
    return f"{figures} on {found.name} at {found.clock_mhz:g} MHz, estimated, +-{found.relative_error:.0%}{basis}"


def estimate(core: str, board: str | None, instructions: float, documented_cycles: float) -> tuple[float, float] | None:
    """(milliseconds, their relative error) on a board, or None where the core has no board or nothing was counted.

    Args:
      core, board: see `board_of`.
      instructions, documented_cycles: of one inference, as estimated from the core's tables; 0 if not known.
    """
    found = board_of(core, board)
    if found is None or not documented_cycles:
        return None
    return found.milliseconds(instructions, documented_cycles), found.relative_error
