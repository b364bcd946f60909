"""The front of bytes against milliseconds, and where the converted model stands, in a page's coordinates.

In: points and two models' figures. Out: FrontPicture. Where milliseconds are not known these are documented cycles.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

from tflm_quantmcu.patches.pareto import Point

_WIDTH, _HEIGHT = 1000, 380
_LEFT, _RIGHT, _TOP, _BOTTOM = 110, 30, 30, 70


@dataclasses.dataclass(frozen=True)
class Mark:
    """A place in the picture with its label."""

    x: float
    y: float
    label: str


@dataclasses.dataclass(frozen=True)
class FrontPicture:
    """A step line of points, two marked ones, and axes.

    Attributes:
      unit: of the upward axis.
      path: of the line, as SVG writes it.
      points: all of the front.
      whole: the network unsplit; None where it is not known.
      chosen: the converted model; None where its time is not known.
      x_ticks, y_ticks: of the axes.
      rows: the points' figures, for a table.
    """

    unit: str
    path: str
    points: tuple[Mark, ...]
    whole: Mark | None
    chosen: Mark | None
    x_ticks: tuple[Mark, ...]
    y_ticks: tuple[Mark, ...]
    rows: tuple[Point, ...]


def front_picture(front: Sequence[Point], chosen: tuple[int | None, float | None, int | None]) -> FrontPicture | None:
    """The picture, or None where there is nothing to choose from.

    Args:
      front: points.
      chosen: bytes of maps and scratch, milliseconds and cycles of the converted model.
    """
    if len(front) < 2:
        return None
    is_timed = all(point.milliseconds is not None for point in front)
    values = [(p.arena_bytes, _value(p, is_timed)) for p in front]
    num_bytes, mark = chosen[0], chosen[1] if is_timed else chosen[2]
    all_values = values + ([(num_bytes, float(mark))] if num_bytes and mark else [])
    lows, highs = ([limit(v[axis] for v in all_values) for axis in range(2)] for limit in (min, max))
    low_x, high_x = math.log(lows[0]), math.log(max(highs[0], lows[0] + 1))
    top = highs[1] * 1.05

    def place(point: tuple[float, float], label: str) -> Mark:
        share_x = (math.log(point[0]) - low_x) / max(high_x - low_x, 1e-9)
        share_y = point[1] / top
        return Mark(
            round(_LEFT + share_x * (_WIDTH - _LEFT - _RIGHT), 1),
            round(_HEIGHT - _BOTTOM - share_y * (_HEIGHT - _TOP - _BOTTOM), 1),
            label,
        )

    unit = "ms" if is_timed else "cycles"
    marks = [place(v, f"{v[0]:,} bytes, {v[1]:,.3g} {unit}") for v in values]
    ordered = sorted(marks, key=lambda m: m.x)
    path = f"M{ordered[0].x},{ordered[0].y}" + "".join(f"H{m.x}V{m.y}" for m in ordered[1:])
    whole = next((place(v, "unsplit") for v, p in zip(values, front, strict=True) if p.num_stages == 0), None)
    ticks = [lows[0] * (highs[0] / lows[0]) ** (i / 3) for i in range(4)]
    return FrontPicture(
        unit=unit,
        path=path,
        points=tuple(marks),
        whole=whole,
        chosen=place((num_bytes, float(mark)), "this model") if num_bytes and mark else None,
        x_ticks=tuple(place((t, 0), f"{t / 1024:,.0f} KB") for t in ticks),
        y_ticks=tuple(place((lows[0], t), f"{t:,.3g}") for t in _ticks(top)),
        rows=tuple(sorted(front, key=lambda p: p.arena_bytes)),
    )


def _value(point: Point, is_timed: bool) -> float:
    return float(point.milliseconds or 0) if is_timed else float(point.cycles)


def _ticks(top: float) -> list[float]:
    """A few round numbers from 0 up."""
    step = 10 ** math.floor(math.log10(max(top, 1e-9)))
    step = next(s for s in (step / 5, step / 2, step, 2 * step, 5 * step) if top / s <= 5)
    return [i * step for i in range(int(top / step) + 1)]


def points_as_dicts(front: Sequence[Point]) -> list[dict[str, Any]]:
    """The points in JSON's types."""
    return [dataclasses.asdict(point) for point in front]
