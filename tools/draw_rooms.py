"""Draws the rooms of the package as check_layers' table has them: docs/rooms.svg.

    python -m tools.draw_rooms             # writes the picture
    python -m tools.draw_rooms --check     # exit code 1 if it is not what the table says

In: `check_layers.ROOMS`, and of each room the first sentence of its docstring. Out: an SVG, one row a floor, the user's
side at the top; a room stands one floor above the highest that it uses.
"""

from __future__ import annotations

import argparse
import ast
import dataclasses
import sys
import textwrap
from collections.abc import Mapping, Sequence
from pathlib import Path
from xml.sax.saxutils import escape

from tools.check_layers import PACKAGE, ROOMS, Room

ROOT = Path(__file__).resolve().parent.parent
PICTURE = ROOT / "docs" / "rooms.svg"

# Pixels.
_BOX_WIDTH, _BOX_HEIGHT, _GAP_X, _GAP_Y, _MARGIN = 300, 100, 36, 44, 24
_LINE_HEIGHT, _COLUMNS = 15, 42
_HEAD = (
    '<marker id="head" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
    '<path class="head" d="M0 0 L8 4 L0 8 z"/></marker>'
)
_STYLE = """
  svg { font-family: system-ui, sans-serif; background: #fff }
  .box { fill: #f3f6fa; stroke: #3a5a80 }
  .tensorflow { fill: #fdf1e3; stroke: #a8650f }
  .name { font-size: 15px; font-weight: 600; fill: #12263f }
  .text { font-size: 12px; fill: #33475f }
  .arrow { fill: none; stroke: #6b7f99; stroke-width: 1.2; marker-end: url(#head) }
  .head { fill: #6b7f99 }
  @media (prefers-color-scheme: dark) {
    svg { background: #11161d }
    .box { fill: #1b2530; stroke: #7fa3cf }
    .tensorflow { fill: #33271a; stroke: #e0a458 }
    .name { fill: #e8eef6 } .text { fill: #b7c4d3 }
    .arrow { stroke: #8fa3bb } .head { fill: #8fa3bb }
  }"""


def floors(rooms: Sequence[Room]) -> dict[str, int]:
    """Room -> floor, 0 at the bottom."""
    found: dict[str, int] = {}
    for room in rooms:
        found[room.name] = max((found[used] + 1 for used in room.uses), default=0)
    return found


def purpose(room: Room, root: Path = ROOT) -> str:
    """The first sentence of the room's docstring."""
    tree = ast.parse((root / PACKAGE / room.name / "__init__.py").read_text("utf-8"))
    text = " ".join((ast.get_docstring(tree) or "").split())
    return text.split(". ")[0].rstrip(".")


def draw(rooms: Sequence[Room]) -> str:
    """The picture, always the same for the same table."""
    rooms = _folders(rooms)
    floor = floors(rooms)
    rows = [[room for room in rooms if floor[room.name] == n] for n in range(max(floor.values()) + 1)]
    width = 2 * _MARGIN + max(len(row) for row in rows) * (_BOX_WIDTH + _GAP_X) - _GAP_X
    height = 2 * _MARGIN + len(rows) * (_BOX_HEIGHT + _GAP_Y) - _GAP_Y
    places = {}
    for n, row in enumerate(reversed(rows)):
        left = (width - len(row) * (_BOX_WIDTH + _GAP_X) + _GAP_X) // 2
        for column, room in enumerate(row):
            places[room.name] = left + column * (_BOX_WIDTH + _GAP_X), _MARGIN + n * (_BOX_HEIGHT + _GAP_Y)
    arrows = [_arrow(places[room.name], places[used]) for room in rooms for used in room.uses]
    boxes = [_box(room, places) for room in rooms]
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
            f"<title>The rooms of {PACKAGE}; an arrow leads to what a room uses</title>",
            f"<style>{_STYLE}\n</style>",
            f"<defs>{_HEAD}</defs>",
            *arrows,
            *boxes,
            "</svg>\n",
        ]
    )


def _folders(rooms: Sequence[Room]) -> list[Room]:
    """The rooms that are folders; who uses the package's top uses what that uses."""
    of_top = next((tuple(room.uses) for room in rooms if not room.name), ())
    return [
        dataclasses.replace(room, uses=tuple(name for used in room.uses for name in ((used,) if used else of_top)))
        for room in rooms
        if room.name
    ]


def _arrow(start: tuple[int, int], end: tuple[int, int]) -> str:
    """An arrow from the lower edge of a box to the upper edge of one below."""
    (x0, y0), (x1, y1) = (start[0] + _BOX_WIDTH // 2, start[1] + _BOX_HEIGHT), (end[0] + _BOX_WIDTH // 2, end[1])
    bend = (y1 - y0) // 2
    return f'<path class="arrow" d="M{x0} {y0} C{x0} {y0 + bend} {x1} {y1 - bend} {x1} {y1}"/>'


def _box(room: Room, places: Mapping[str, tuple[int, int]]) -> str:
    x, y = places[room.name]
    kind = "tensorflow" if "*" in room.tensorflow else "box"
    lines = textwrap.wrap(purpose(room), _COLUMNS)
    texts = [
        f'<text class="text" x="{x + 12}" y="{y + 40 + i * _LINE_HEIGHT}">{escape(line)}</text>'
        for i, line in enumerate(lines)
    ]
    return "".join(
        [
            f'<rect class="{kind}" x="{x}" y="{y}" width="{_BOX_WIDTH}" height="{_BOX_HEIGHT}" rx="6"/>',
            f'<text class="name" x="{x + 12}" y="{y + 21}">{escape(room.name)}/</text>',
            *texts,
        ]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with docs/rooms.svg instead of writing it")
    drawn = draw(ROOMS)
    if not parser.parse_args().check:
        PICTURE.write_text(drawn, "utf-8")
    elif not PICTURE.is_file() or PICTURE.read_text("utf-8") != drawn:
        sys.exit(f"{PICTURE.relative_to(ROOT)} is not what the table says; run `python -m tools.draw_rooms`")


if __name__ == "__main__":
    main()
