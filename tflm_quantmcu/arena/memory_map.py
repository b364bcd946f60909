"""Draws the arena, lifetime x offset: as text of 100 columns, and as PNG.

In: a ModelGraph and an ArenaPlan of it. Out: text, or a file. Both show the plan's own numbers and nothing else.
"""

from __future__ import annotations

import io
import os
import string
from collections.abc import Sequence

from tflm_quantmcu.arena.plan import ArenaPlan, PlacedBuffer
from tflm_quantmcu.base import pictures
from tflm_quantmcu.base.files import write_atomically
from tflm_quantmcu.graph.types import ModelGraph

WIDTH = 100
_BAR = 60
_KIND = 20
_SYMBOLS = string.ascii_uppercase + string.ascii_lowercase
_SCRATCH, _SHARED, _FREE = "#", "%", "."


def draw_text(graph: ModelGraph, plan: ArenaPlan) -> str:
    """A line a step, the arena from left to right, then what each letter is; every line fits into `WIDTH` columns."""
    symbols = _symbols(plan)
    cell = max(1, -(-plan.arena_bytes // _BAR))
    kinds = ["input", *(op.kind.removeprefix("QMCU_") for op in graph.ops)]
    lines = [f"arena of {plan.arena_bytes:,} bytes, {cell:,} a column; {_SCRATCH} scratch, {_SHARED} written in place"]
    for step, kind in enumerate(kinds):
        live = [(b, s) for b, s in zip(plan.buffers, symbols, strict=True) if b.first <= step <= b.last]
        bar = "".join(_cell(live, column * cell, cell) for column in range(_BAR))
        lines.append(f"{step:3} {kind[:_KIND]:{_KIND}} {bar} {_covered(live):>11,}")
    lines += ["", f"{'':3} {'bytes':>11} {'offset':>11}  steps    tensor"]
    for buffer, symbol in zip(plan.buffers, symbols, strict=True):
        lines.append(_legend(graph, buffer, symbol))
    return "\n".join(lines)


def _symbols(plan: ArenaPlan) -> list[str]:
    """A letter a feature map, in turn, so that neighbours in time differ."""
    maps = [b for b in plan.buffers if b.tensors]
    order = sorted(range(len(maps)), key=lambda i: (maps[i].first, i))
    letters = {i: _SYMBOLS[n % len(_SYMBOLS)] for n, i in enumerate(order)}
    return [letters.get(i, _SCRATCH) for i in range(len(plan.buffers))]


def _cell(live: Sequence[tuple[PlacedBuffer, str]], begin: int, num_bytes: int) -> str:
    """What fills most of a cell; buffers that share some of its bytes are said to."""
    filled = []
    for buffer, symbol in live:
        first, end = max(begin, buffer.offset), min(begin + num_bytes, buffer.offset + buffer.num_bytes)
        if first < end:
            filled.append((end - first, first, end, symbol))
    if any(a[1] < b[2] and b[1] < a[2] for i, a in enumerate(filled) for b in filled[:i]):
        return _SHARED
    free = num_bytes - sum(f[0] for f in filled)
    return max(filled)[-1] if filled and max(filled)[0] >= free else _FREE


def _covered(live: Sequence[tuple[PlacedBuffer, str]]) -> int:
    """Bytes in use, those of two buffers once."""
    covered = end = 0
    for buffer, _ in sorted(live, key=lambda pair: pair[0].offset):
        top = buffer.offset + buffer.num_bytes
        covered += max(0, top - max(end, buffer.offset))
        end = max(end, top)
    return covered


def _legend(graph: ModelGraph, buffer: PlacedBuffer, symbol: str) -> str:
    steps = f"{buffer.first}-{buffer.last}"
    line = f"{symbol:3} {buffer.num_bytes:11,} {buffer.offset:11,}  {steps:8} {_name(graph, buffer)}"
    return line if len(line) <= WIDTH else line[: WIDTH - 3] + "..."


def _name(graph: ModelGraph, buffer: PlacedBuffer) -> str:
    if not buffer.tensors:
        return f"scratch of {graph.ops[buffer.first - 1].kind} (op {buffer.first - 1})"
    return " = ".join(f"{graph.tensors[t].label} {list(graph.tensors[t].shape)}" for t in buffer.tensors)


def draw_png(graph: ModelGraph, plan: ArenaPlan, path: str | os.PathLike[str]) -> None:
    """Writes the map as a picture: steps to the right, offsets upwards.

    Raises:
      UsageError: matplotlib is not installed.
    """
    pictures.require()
    import matplotlib  # takes a second to import, for one flag

    matplotlib.use("Agg")
    from matplotlib import pyplot
    from matplotlib.patches import Rectangle

    num_steps = len(graph.ops) + 1
    figure, axes = pyplot.subplots(figsize=(max(8.0, 0.28 * num_steps), 6.0), layout="constrained")
    colors = matplotlib.colormaps["tab20"]
    for number, buffer in enumerate(sorted(plan.buffers, key=lambda b: (b.first, b.offset))):
        corner, span = (buffer.first - 0.5, buffer.offset), buffer.last - buffer.first + 1
        style = {"hatch": "///", "facecolor": "white"} if not buffer.tensors else {"facecolor": colors(number % 20)}
        axes.add_patch(Rectangle(corner, span, buffer.num_bytes, edgecolor="black", linewidth=0.6, alpha=0.8, **style))
        if buffer.num_bytes * 25 > plan.arena_bytes:
            middle = (buffer.first + (span - 1) / 2, buffer.offset + buffer.num_bytes / 2)
            axes.text(*middle, f"{buffer.num_bytes:,}", ha="center", va="center", fontsize=6, rotation=90)
    axes.set_xlim(-0.5, num_steps - 0.5)
    axes.set_ylim(0, 1.02 * max(plan.arena_bytes, 1))
    labels = ["input", *(op.kind.removeprefix("QMCU_").lower() for op in graph.ops)]
    axes.set_xticks(range(num_steps), labels, rotation=90, fontsize=6)
    axes.set_ylabel("offset (bytes)")
    axes.set_title(f"arena of {plan.arena_bytes:,} bytes; hatched: scratch")
    image = io.BytesIO()
    figure.savefig(image, format="png", dpi=150)
    pyplot.close(figure)
    write_atomically(path, image.getvalue())
