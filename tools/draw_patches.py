"""Draws what one tile needs of each map, and what warm-up tiles do, from the stage's own arithmetic.

    python -m tools.draw_patches             # writes docs/explanation/patches.svg and warm_up.svg
    python -m tools.draw_patches --check     # exit code 1 if a picture is not what the arithmetic says

In: a stage of three 3x3 convolutions, the first with stride 2, and `stage.tiles.axis_spans`. Out: two SVGs, light and
dark, always the same.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tflm_quantmcu.stage.tiles import BEGIN, END, FRESH, AxisOp, axis_spans, priming_tiles, split_axis

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "explanation"

OPS = (
    AxisOp((0,), 1, kernel=3, stride=2, pad=0),
    AxisOp((1,), 2, kernel=3, pad=1),
    AxisOp((2,), 3, kernel=3, pad=1),
)
EXTENTS = (16, 8, 8, 8)  # of the maps, both axes
NAMES = ("input X", "map A (3x3, stride 2)", "map B (3x3)", "output Y (3x3)")
TILE = 2
SHOWN_TILE = (1, 2)  # row and column of the tile in the picture

_CELL = {16: 10, 8: 20}  # pixels of a map's pixel
_GAP, _MARGIN, _HEAD = 44, 24, 34
_ROW, _LABEL = 26, 110
_STYLE = """
  svg { font-family: system-ui, sans-serif; background: #fff }
  .map { fill: #f3f6fa; stroke: #3a5a80 }
  .line { stroke: #d4dde8; stroke-width: 0.6 }
  .kept { fill: #9db8d9 } .fresh { fill: #f2b65f }
  .own { fill: none; stroke: #12263f; stroke-width: 2 }
  text { font-size: 12px; fill: #33475f } .name { font-weight: 600; fill: #12263f }
  @media (prefers-color-scheme: dark) {
    svg { background: #11161d }
    .map { fill: #1b2530; stroke: #7fa3cf } .line { stroke: #2b3947 }
    .kept { fill: #3d5f8a } .fresh { fill: #b9771b }
    .own { stroke: #e8eef6 } text { fill: #b7c4d3 } .name { fill: #e8eef6 }
  }"""


def patches() -> str:
    """The maps of the stage side by side; of each the part that one tile reads, its own share outlined."""
    tiles = split_axis(EXTENTS[-1], TILE)
    spans = axis_spans(OPS, EXTENTS, tiles, [False] * len(EXTENTS))
    body, x = [], _MARGIN
    for number, (extent, name) in enumerate(zip(EXTENTS, NAMES, strict=True)):
        cell, side = _CELL[extent], extent * _CELL[extent]
        (y0, _, y1), (x0, _, x1) = (spans[tile, number] for tile in SHOWN_TILE)
        share = EXTENTS[number] // (EXTENTS[-1] // TILE)
        top, left = SHOWN_TILE[0] * share, SHOWN_TILE[1] * share
        body += [
            f'<text class="name" x="{x}" y="{_MARGIN}">{name}</text>',
            _rect("map", x, _HEAD, side, side),
            _rect("fresh", x + x0 * cell, _HEAD + y0 * cell, (x1 - x0) * cell, (y1 - y0) * cell),
            *_grid(x, _HEAD, extent, cell),
            _rect("own", x + left * cell, _HEAD + top * cell, share * cell, share * cell),
            f'<text x="{x}" y="{_HEAD + side + 18}">reads {y1 - y0} x {x1 - x0} of {extent} x {extent}</text>',
        ]
        x += side + _GAP
    size = x - _GAP + _MARGIN, _HEAD + 160 + 2 * _MARGIN
    legend = "Filled: what the tile needs of each map. Outlined: its own share; the rest is its halo."
    return _svg(size, "One tile of a stage's output and the part of each map that it needs", body, legend)


def warm_up() -> str:
    """One axis, a line a tile, warm-up tiles first: of each map what is kept from earlier tiles, and computed."""
    is_cached = [False, True, True, False]
    early = priming_tiles(OPS, EXTENTS, TILE, is_cached)
    tiles = [*early, *split_axis(EXTENTS[-1], TILE)]
    spans = axis_spans(OPS, EXTENTS, tiles, is_cached)
    names = [f"warm-up {i - len(early)}" if i < len(early) else f"tile {i - len(early)}" for i in range(len(tiles))]
    body, x = [], _MARGIN + _LABEL
    for row, name in enumerate(names):
        body.append(f'<text class="name" x="{_MARGIN}" y="{_HEAD + row * _ROW + 14}">{name}</text>')
    for number, (extent, name) in enumerate(zip(EXTENTS, NAMES, strict=True)):
        cell = _CELL[extent]
        body.append(f'<text class="name" x="{x}" y="{_MARGIN}">{name}</text>')
        for row in range(len(tiles)):
            body += _axis_row(x, _HEAD + row * _ROW, extent, cell, spans[row, number])
        x += extent * cell + _GAP
    size = x - _GAP + _MARGIN, _HEAD + len(tiles) * _ROW + 2 * _MARGIN
    legend = "Orange: computed by this tile. Blue: its halo, kept from tiles before. X stands in RAM and is only read."
    return _svg(size, "Tiles along one axis: what each computes and what it keeps", body, legend)


def _axis_row(x: int, y: int, extent: int, cell: int, span: Sequence[int]) -> list[str]:
    begin, fresh, end = (int(span[i]) for i in (BEGIN, FRESH, END))
    return [
        _rect("map", x, y, extent * cell, _ROW - 8),
        _rect("kept", x + begin * cell, y, (fresh - begin) * cell, _ROW - 8),
        _rect("fresh", x + fresh * cell, y, (end - fresh) * cell, _ROW - 8),
        *(_line(x + i * cell, y, x + i * cell, y + _ROW - 8) for i in range(1, extent)),
    ]


def _grid(x: int, y: int, extent: int, cell: int) -> Iterator[str]:
    for i in range(1, extent):
        yield _line(x + i * cell, y, x + i * cell, y + extent * cell)
        yield _line(x, y + i * cell, x + extent * cell, y + i * cell)


def _rect(kind: str, x: int, y: int, width: int, height: int) -> str:
    return f'<rect class="{kind}" x="{x}" y="{y}" width="{width}" height="{height}"/>' if width and height else ""


def _line(x0: int, y0: int, x1: int, y1: int) -> str:
    return f'<line class="line" x1="{x0}" y1="{y0}" x2="{x1}" y2="{y1}"/>'


def _svg(size: tuple[int, int], title: str, body: Sequence[str], legend: str) -> str:
    width, height = size
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img">',
            f"<title>{title}</title>",
            f"<style>{_STYLE}\n</style>",
            *filter(None, body),
            f'<text x="{_MARGIN}" y="{height - 12}">{legend}</text>',
            "</svg>\n",
        ]
    )


PICTURES = {"patches.svg": patches, "warm_up.svg": warm_up}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with docs/explanation instead of writing")
    check = parser.parse_args().check
    FOLDER.mkdir(parents=True, exist_ok=True)
    for name, draw in PICTURES.items():
        path, drawn = FOLDER / name, draw()
        if not check:
            path.write_text(drawn, "utf-8")
        elif not path.is_file() or path.read_text("utf-8") != drawn:
            sys.exit(f"{path.relative_to(ROOT)} is not what the arithmetic says; run `python -m tools.draw_patches`")


if __name__ == "__main__":
    main()
