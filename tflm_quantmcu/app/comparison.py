"""What a comparison of searches found: its rows as a table, a plot and files.

In: rows of figures and their plans. Out: text, table.csv, plot.png and a plan.json a row.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import os
import pathlib
from collections.abc import Iterable, Sequence
from typing import Union

import rich.box
import rich.console
import rich.table

from tflm_quantmcu.base import pictures
from tflm_quantmcu.base.files import write_atomically
from tflm_quantmcu.cost.boards import board_of, error_text
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.graph.target import Target

Path = Union[str, "os.PathLike[str]"]
BASELINE = "int8"
PLOT_FIGURES = (("arena_bytes", "non-persistent arena, bytes"), ("bit_ops", "BitOPs"), ("instructions", "instructions"))


@dataclasses.dataclass(frozen=True)
class Row:
    """One search at one budget; what it did not reach is None.

    Attributes:
      search: name; `int8` is the model as it came.
      sram_bytes, flash_bytes: the budget, None without bound.
      seed: of the search.
      accuracy: share of right answers on TFLM.
      points: percent of the samples that int8 has right and this has not, less those that it has right instead.
      limit_points: one-sided 90 % limit of it.
      arena_bytes: what `sram_bytes` bounds.
      model_bytes: of the `.tflite`.
      macs, bit_ops: of one inference, the worst case.
      instructions: of our kernels on the core of the comparison, estimated; None if not known.
      cycles: documented ones of these.
      milliseconds: on the core's board, estimated; None if not known.
      seconds: of processor time that the search took; of one that was killed those since then.
      refused: why there is no such plan.
    """

    search: str
    sram_bytes: int | None
    flash_bytes: int | None
    seed: int
    accuracy: float | None = None
    points: float | None = None
    limit_points: float | None = None
    arena_bytes: int | None = None
    model_bytes: int | None = None
    macs: int | None = None
    bit_ops: int | None = None
    instructions: int | None = None
    cycles: int | None = None
    milliseconds: float | None = None
    seconds: float | None = None
    refused: str = ""

    @property
    def name(self) -> str:
        """The name that files have."""
        bounds = (self.sram_bytes or "any", self.flash_bytes or "any")
        return "_".join(map(str, (self.search, *bounds, self.seed)))


@dataclasses.dataclass(frozen=True, eq=False)
class Comparison:
    """Rows, the baseline first, the plan of each that has one by its row's name, and what they are made for."""

    rows: Sequence[Row]
    plans: dict[str, PrecisionPlan]
    target: Target = dataclasses.field(default_factory=Target)

    def __str__(self) -> str:
        headings = ("search", "SRAM bound", "flash bound", "seed", "accuracy", "points lost", "arena, B", "flash, B")
        table = rich.table.Table(box=rich.box.SIMPLE_HEAD)
        for heading in (*headings, "BitOPs", "instructions", "cycles", "ms", "search, s"):
            table.add_column(heading, justify="left" if heading == "search" else "right")
        for row in self.rows:
            bounds = [_grouped(bound) or "-" for bound in (row.sram_bytes, row.flash_bytes)]
            if row.refused:
                table.add_row(row.search, *bounds, str(row.seed), "refused")
                continue
            figures = [_grouped(n) for n in (row.arena_bytes, row.model_bytes, row.bit_ops)]
            figures += [_grouped(n) or "not known" for n in (row.instructions, row.cycles)]
            figures.append("not known" if row.milliseconds is None else f"{row.milliseconds:.3g}")
            seconds = "" if row.seconds is None else f"{row.seconds:.1f}"
            lost = "" if row.points is None else f"{row.points:.2f} (< {row.limit_points:.2f})"
            table.add_row(row.search, *bounds, str(row.seed), f"{row.accuracy:.2%}", lost, *figures, seconds)
        console = rich.console.Console(file=io.StringIO(), width=170)
        console.print(table)
        console.print("points lost: of 100 samples, against int8; in brackets their one-sided 90 % limit")
        if board := board_of(self.target.timed_core, self.target.board):
            console.print(f"ms: on {board.name} at {board.clock_mhz:g} MHz, estimated, {error_text(board)}")
        for row in self.rows:
            if row.refused:
                console.print(f"{row.name}: {row.refused}", highlight=False, soft_wrap=True)
        return console.file.getvalue().rstrip()  # type: ignore[attr-defined]

    def save(self, folder: Path) -> None:
        """Writes table.csv, with matplotlib plot.png, and a plan.json a row into a folder that exists."""
        table = io.StringIO()
        writer = csv.DictWriter(table, [f.name for f in dataclasses.fields(Row)], lineterminator="\n")
        writer.writeheader()
        writer.writerows(map(dataclasses.asdict, self.rows))
        target = pathlib.Path(folder)
        write_atomically(target / "table.csv", table.getvalue().encode())
        if pictures.are_drawn("plot.png"):
            write_atomically(target / "plot.png", _plot(self.rows))
        for name, plan in self.plans.items():
            write_atomically(target / f"{name}.plan.json", plan.to_json().encode())


def _grouped(number: int | None) -> str:
    return "" if number is None else f"{number:,}"


def _plot(rows: Iterable[Row]) -> bytes:
    """Accuracy against bytes, BitOPs and instructions; a colour a search."""
    from matplotlib.figure import Figure  # takes a second to import

    kept = [row for row in rows if not row.refused]
    figure = Figure(figsize=(12, 4.2), layout="constrained")
    panels = figure.subplots(1, len(PLOT_FIGURES), sharey=True)
    for axes, (figure_name, label) in zip(panels, PLOT_FIGURES, strict=True):
        for name in dict.fromkeys(row.search for row in kept):
            own = [row for row in kept if row.search == name]
            marker = "*" if name == BASELINE else "o"
            axes.plot(
                [getattr(row, figure_name) for row in own],
                [100 * (row.accuracy or 0.0) for row in own],
                marker,
                label=name,
                alpha=0.7,
            )
        axes.set_xlabel(label)
        axes.grid(visible=True, linewidth=0.3)
    panels[0].set_ylabel("accuracy on TFLM, %")
    panels[-1].legend()
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=120, metadata={"Software": None})
    return picture.getvalue()
