"""What fewer bytes of arena cost in time, as a table and as a plot.

In: splits of one model, as `StagePlanner.front` gives them, and what each takes. Out: a CSV file, and with
matplotlib a PNG file beside it.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import pathlib
from collections.abc import Sequence

from tflm_quantmcu.base import pictures
from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.base.files import write_atomically


@dataclasses.dataclass(frozen=True)
class Point:
    """One way to run the network, none of whose likes takes fewer bytes and less time; columns of the CSV.

    Attributes:
      arena_bytes: of maps and scratch, with the kernels that take the most.
      milliseconds: on the target's board, estimated; None where they are not known.
      milliseconds_error: relative.
      cycles, instructions: on its core, estimated; cycles are documented ones.
      slowdown: cycles over those of the network unsplit.
      macs, macs_ratio: recomputation included, and over those of the network unsplit.
      num_stages: 0 is the network unsplit.
      binding: the op or stage that holds the most.
    """

    arena_bytes: int
    milliseconds: float | None
    milliseconds_error: float | None
    cycles: int
    instructions: int
    slowdown: float
    macs: int
    macs_ratio: float
    num_stages: int
    binding: str


_PICTURE = ".png"
COLUMNS = tuple(field.name for field in dataclasses.fields(Point))


def require_table(path: str | pathlib.Path) -> None:
    """Raises:
    UsageError: the plot, which stands beside the table, would take its place.
    """
    if pathlib.Path(path).suffix == _PICTURE:
        raise UsageError(f"--pareto is {path}; it names the table, as front.csv, and the plot is written beside it")


def write_front(front: Sequence[Point], path: str | pathlib.Path) -> list[pathlib.Path]:
    """Writes the table to `path`, a row a point, and the plot beside it, which is left out without matplotlib.

    Returns:
      The paths of what was written.
    """
    path = pathlib.Path(path)
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(COLUMNS)
    for point in front:
        writer.writerow([_cell(value) for value in dataclasses.astuple(point)])
    write_atomically(path, table.getvalue().encode())
    picture = path.with_suffix(_PICTURE)
    if not pictures.are_drawn(picture.name):
        return [path]
    write_atomically(picture, _plot(front))
    return [path, picture]


def _cell(value: object) -> object:
    return f"{value:.4f}" if isinstance(value, float) else "" if value is None else value


def _plot(front: Sequence[Point]) -> bytes:
    """Milliseconds, or where these are not known cycles, against bytes; the cross is the network unsplit."""
    from matplotlib.figure import Figure  # takes a second to import

    is_timed = all(point.milliseconds is not None for point in front)
    figure = Figure(figsize=(7, 4.5), layout="constrained")
    label = "milliseconds, estimated" if is_timed else "documented cycles, estimated"
    axes = figure.add_subplot(xlabel="non-persistent arena, bytes", ylabel=label, xscale="log")
    values = [(p.arena_bytes, (p.milliseconds or 0.0) if is_timed else p.cycles, p.num_stages == 0) for p in front]
    axes.step([x for x, _, _ in values], [y for _, y, _ in values], where="post", marker="o", markersize=3)
    axes.plot([x for x, _, whole in values if whole], [y for _, y, whole in values if whole], "x", markersize=8)
    axes.grid(visible=True, which="both", linewidth=0.3)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=120, metadata={"Software": None})
    return picture.getvalue()
