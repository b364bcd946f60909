"""What fewer bytes of arena cost in MACs, as a table and as a plot.

In: splits of one model, as `planner.StagePlanner.front` gives them. Out: a CSV file, and a PNG file beside it.
"""

from __future__ import annotations

import csv
import io
import pathlib
from collections.abc import Sequence

from tflm_quantmcu.base.files import write_atomically
from tflm_quantmcu.patches.planner import Split

COLUMNS = ("arena_bytes", "macs", "macs_ratio", "num_stages", "binding")


def write_front(front: Sequence[Split], path: str | pathlib.Path) -> pathlib.Path:
    """Writes the table to `path`, a row a split, and the plot beside it.

    Returns:
      The plot's path.
    """
    path = pathlib.Path(path)
    table = io.StringIO()
    writer = csv.writer(table, lineterminator="\n")
    writer.writerow(COLUMNS)
    for s in front:
        writer.writerow((s.arena_bytes, s.macs, f"{s.macs_ratio:.4f}", len(s.stages), s.binding))
    write_atomically(path, table.getvalue().encode())
    picture = path.with_suffix(".png")
    write_atomically(picture, _plot(front))
    return picture


def _plot(front: Sequence[Split]) -> bytes:
    from matplotlib.figure import Figure  # takes a second to import

    figure = Figure(figsize=(7, 4.5), layout="constrained")
    axes = figure.add_subplot(
        xlabel="non-persistent arena, bytes", ylabel="MACs / MACs of the unsplit network", xscale="log"
    )
    axes.step([s.arena_bytes for s in front], [s.macs_ratio for s in front], where="post", marker="o", markersize=3)
    axes.grid(visible=True, which="both", linewidth=0.3)
    picture = io.BytesIO()
    figure.savefig(picture, format="png", dpi=120, metadata={"Software": None})
    return picture.getvalue()
