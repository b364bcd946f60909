"""What running a patch stage takes beside its kernels: regions, views, halos, the end of a reduction.

In: a stage program. Out: what the driver of tflm_kernels/portable/stage does, counted: numbers that its instructions
and cycles are a linear formula of. Its coefficients come from stages that `bench` measures with kernels that do nothing
(data/stages_<core>.csv).
"""

from __future__ import annotations

import csv
import dataclasses
import io
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from tflm_quantmcu.cost.cycles import Work
from tflm_quantmcu.graph.op_kinds import STAGE_KINDS
from tflm_quantmcu.law.packing import run_bytes
from tflm_quantmcu.stage.format_version import FORMAT_VERSION
from tflm_quantmcu.stage.layout import CACHE_MODES
from tflm_quantmcu.stage.op_words import LUT_WORDS, OP_WORDS
from tflm_quantmcu.stage.program import MAP_WORDS, MAX_MAPS, StageProgram
from tflm_quantmcu.stage.tiles import BEGIN, END, FRESH

_COPY = ("rows", "bytes", "sixteens", "odd_bytes")  # what memcpy of a halo's rows does
# Kinds that the driver treats as another kind.
_LIKE = {
    "CHANNEL_LUT": "LUT",
    "DEPTH_TO_SPACE": "REQUANTIZE",
    "GATHER_CHANNELS": "ADD",
    "MUL": "ADD",
    "RESIZE_BILINEAR": "REQUANTIZE",
    "RESIZE_NEAREST": "REQUANTIZE",
    "SUB": "ADD",
}
FEATURES = (
    *("stages", "row_ops", "priming_ops", "tiles", "tile_ops", "tile_inputs", "tile_rows", "fills", "empty"),
    *(f"calls_{kind.name.lower()}" for kind in STAGE_KINDS if kind.name not in _LIKE),
    "halos",
    *(f"{place}_{part}" for place in ("aligned", "unaligned") for part in _COPY),
    *(f"outputs_{kind.name.lower()}" for kind in STAGE_KINDS if kind.is_reduction),
)
_HEADER_WORDS = 10


def driver_features(program: StageProgram) -> np.ndarray:
    """float [FEATURES]."""
    rows, columns = program.spans
    num_tiles, num_ops = len(rows) * len(columns), len(program.ops)
    priming = len(rows) + len(columns) - len(program.patch_classes) - len(program.patch_classes[0])
    found: dict[str, float] = dict.fromkeys(FEATURES, 0)
    found |= {"stages": 1, "row_ops": len(rows) * num_ops, "priming_ops": priming * num_ops, "tile_rows": len(rows)}
    spans = len(columns) + (len(rows) - 1) * int(spans_found_anew(len(columns), program.tiled + 1))
    found |= {"tiles": num_tiles, "tile_ops": spans * num_ops}
    found["tile_inputs"] = spans * sum(len(op.inputs) for op in program.ops)
    for op in program.ops:
        _add_op(program, op.output, op.kind, found)
    if program.is_streamed:
        _add_halos(program, 0, found)
    return np.array([found[name] for name in FEATURES], float)


def spans_found_anew(num_columns: ArrayLike, num_maps: int) -> np.ndarray:
    """How many columns of tiles have their spans found in each row of tiles, not in the first alone: those that have no
    room in kNumSpans of tflm_kernels/portable/stage/regions.h.

    Args:
      num_columns: int [...] of tiles, priming ones too.
      num_maps: up to the one that is cut into tiles.

    Returns:
      int [...].
    """
    room = 2 * MAX_MAPS // num_maps - 1
    return np.where(np.asarray(num_columns) <= room, 0, num_columns - np.asarray(room - 1))


def calls_feature(kind: str) -> str:
    """The feature that counts calls of a kind of op."""
    return f"calls_{_LIKE.get(kind, kind).lower()}"


def _add_op(program: StageProgram, m: int, kind: str, found: dict[str, float]) -> None:
    rows, columns = program.spans
    if m > program.tiled:
        found[f"outputs_{kind.lower()}"] += program.shapes[m][2]
        found[f"calls_{kind.lower()}"] += len(rows) * len(columns)
        return
    filled, computed = (
        np.count_nonzero(rows[:, m, END] > rows[:, m, first])
        * np.count_nonzero(columns[:, m, END] > columns[:, m, first])
        for first in (BEGIN, FRESH)
    )
    found["fills"] += filled
    found["empty"] += len(rows) * len(columns) - filled
    found[calls_feature(kind)] += computed
    if program.formats[0][m].scratch_offset >= 0:
        _add_halos(program, m, found)


def _add_halos(program: StageProgram, m: int, found: dict[str, float]) -> None:
    """What portable/stage/halo.cc copies of a map: its kept columns and rows into the tiles' buffers, and back."""
    pixel_bytes = run_bytes(program.shapes[m][2], program.formats[0][m].bits)
    rows, columns = (axis[:, m] for axis in program.spans)
    rows, columns = rows[rows[:, END] > rows[:, BEGIN]], columns[columns[:, END] > columns[:, BEGIN]]
    heights, widths = rows[:, END] - rows[:, BEGIN], columns[:, END] - columns[:, BEGIN]
    fresh_bytes = (columns[:, END] - columns[:, FRESH]) * pixel_bytes
    cache = program.caches[m]
    left = (columns[:, FRESH] - columns[:, BEGIN], np.minimum(cache.left_columns, widths))
    top = (rows[:, FRESH] - rows[:, BEGIN], np.minimum(cache.top_rows, heights))
    for kept in left:  # all rows of the tile
        _add_copies(pixel_bytes, np.ones_like(heights), heights, kept * pixel_bytes, found)
    for kept in top:  # what the tile computes of them
        _add_copies(pixel_bytes, (kept > 0).astype(int), kept, fresh_bytes, found)


def _add_copies(
    pixel_bytes: int, halos: np.ndarray, num_rows: np.ndarray, num_bytes: np.ndarray, found: dict[str, float]
) -> None:
    """Each tile row's `num_rows` rows of each tile column's `num_bytes`; `halos` says which tile rows copy any."""
    place = "aligned" if pixel_bytes % 4 == 0 else "unaligned"
    copied = num_bytes[num_bytes > 0]
    found["halos"] += int(halos.sum()) * copied.size
    for part, amount in zip(_COPY, (copied.size, copied.sum(), (copied // 16).sum(), (copied % 16).sum()), strict=True):
        found[f"{place}_{part}"] += int(num_rows.sum()) * int(amount)


@dataclasses.dataclass(frozen=True, eq=False)
class StageRow:
    """A measured stage: float [FEATURES] and what its driver did."""

    features: np.ndarray
    work: Work


def read_stages(text: str) -> list[StageProgram]:
    """The programs of tflm_kernels/benchmarks/stages.txt, without filters and tables, and of one class."""
    lines = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    return [_program(list(map(int, line))) for line in lines]


def _program(words: Sequence[int]) -> StageProgram:
    tile_height, tile_width, num_ops, num_maps, _, cache_mode, primed, low, high, share = words[:_HEADER_WORDS]
    options: dict[str, Any] = {"tile_height": tile_height, "tile_width": tile_width, "primed": primed}
    options |= {"cache_mode": CACHE_MODES[cache_mode], "num_ops": num_ops, "num_maps": num_maps, "num_classes": 1}
    options |= {"outlier_low": low, "outlier_high": high, "outlier_share": share, "version": FORMAT_VERSION}
    extents = words[_HEADER_WORDS + num_ops * OP_WORDS :][: num_maps * MAP_WORDS]
    channels, num_patches = max(extents[2::MAP_WORDS]), max(extents[::MAP_WORDS]) * max(extents[1::MAP_WORDS])
    missing = [0] * (num_ops + num_patches + channels * max(LUT_WORDS.values()))  # offsets, classes, tables
    return StageProgram.decode(options, np.zeros(0, np.int8), np.array([*words[_HEADER_WORDS:], *missing], np.int32))


def to_csv(rows: Iterable[StageRow]) -> str:
    """The rows as text with a header."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([*FEATURES, *(field.name for field in dataclasses.fields(Work))])
    writer.writerows([*map(int, row.features), *dataclasses.astuple(row.work)] for row in rows)
    return buffer.getvalue()


def from_csv(text: str) -> list[StageRow]:
    """The inverse of `to_csv`."""
    return [_row(cells) for cells in csv.DictReader(io.StringIO(text))]


def _row(cells: Mapping[str, str]) -> StageRow:
    work = Work(*(int(cells[field.name]) for field in dataclasses.fields(Work)))
    return StageRow(np.array([float(cells[name]) for name in FEATURES]), work)
