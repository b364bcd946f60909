"""The tiles of a patch stage over what it reads of a sample: classes of the patches, and where the outliers are.

In: a stage of a plan, its program, the values of its input. Out: PatchPicture.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from tflm_quantmcu.calibration.outliers import outlier_values
from tflm_quantmcu.graph.calibration_result import CalibrationResult
from tflm_quantmcu.graph.precision_plan import CHOSEN_AT_RUN_TIME, StagePlan
from tflm_quantmcu.oracle.outlier_rule import holds_outliers
from tflm_quantmcu.stage.program import NO_OUTLIERS, StageProgram

_MOST_PIXELS = 160  # a side of a picture


@dataclasses.dataclass(frozen=True)
class Tile:
    """A patch: what it reads, in pixels of the input, and where its share of it begins and ends."""

    row: int
    col: int
    patch_class: str
    is_outlier: bool
    top: float
    left: float
    height: float
    width: float


@dataclasses.dataclass(frozen=True, eq=False)
class PatchPicture:
    """Tiles over a sample.

    Attributes:
      stage: number.
      source: layer or input that the stage reads.
      height, width: of it.
      tiles: row by row.
      pixels: uint8 [H, W, 3], the sample.
      outliers: (top, left) of pixels that hold outlier values.
      step: pixels of the input that one of `outliers` stands for.
      caption: a sentence.
    """

    stage: int
    source: str
    height: int
    width: int
    tiles: tuple[Tile, ...]
    pixels: np.ndarray
    outliers: tuple[tuple[int, int], ...]
    step: int
    caption: str

    def as_dict(self) -> dict[str, Any]:
        """The fields in JSON's types, without the sample."""
        tiles = [dataclasses.asdict(tile) for tile in self.tiles]
        return {"stage": self.stage, "source": self.source, "caption": self.caption, "tiles": tiles}


def patch_picture(
    number: int,
    stage: StagePlan,
    program: StageProgram,
    x: np.ndarray,
    *,
    source: str,
    calibration: CalibrationResult | None,
    phi: float | None,
) -> PatchPicture:
    """Draws one stage over one sample.

    Args:
      number: of the stage.
      stage, program: as planned.
      x: int8 [H, W, C] that the stage reads.
      source: what that is called.
      calibration: with the histogram that outliers are told by.
      phi: of VDPC.
    """
    height, width, _ = program.shapes[0]
    marked = _outliers(stage, program, x, calibration, phi)
    step = max(1, -(-max(height, width) // _MOST_PIXELS))
    tiles = tuple(_tiles(stage, program, x))
    num_outlier_tiles = sum(tile.is_outlier for tile in tiles)
    rows, cols = np.shape(program.patch_classes)
    late = any(k == CHOSEN_AT_RUN_TIME for row in program.patch_classes for k in row)
    caption = (
        f"Stage {number} reads {source} ({height}x{width}) in {rows}x{cols} patches"
        + (f", {num_outlier_tiles} of them outlier patches" if len(stage.classes) > 1 else "")
        + (" on this sample, for classes are chosen at run time" if late else "")
        + (f"; {marked.mean():.1%} of the pixels hold outlier values" if marked is not None else "")
        + "."
    )
    small = None if marked is None else marked[: height // step * step, : width // step * step]
    places = (
        []
        if small is None
        else np.argwhere(small.reshape(height // step, step, width // step, step).any(axis=(1, 3))).tolist()
    )
    outliers = tuple((y * step, x * step) for y, x in places)
    return PatchPicture(number, source, height, width, tiles, picture_of(x), outliers, step, caption)


def _tiles(stage: StagePlan, program: StageProgram, x: np.ndarray) -> list[Tile]:
    """Each tile where its share of the output stands in the input."""
    height, width, _ = program.shapes[0]
    out_height, out_width, _ = program.shapes[program.tiled]
    tiles = []
    for row, col, _ in program.patches():
        classes = program.classes_of(row, col)
        late = len(classes) > 1
        chosen = (0 if holds_outliers(program, row, col, x[None])[0] else 1) if late else classes[0]
        y0, y1, x0, x1 = program.computed(row, col, program.tiled)
        y0, x0 = row * program.tile_height, col * program.tile_width  # without what was kept
        scales = height / out_height, width / out_width
        name = stage.classes[chosen].name
        is_outlier = name == "outlier" and len(stage.classes) > 1
        place = (y0 * scales[0], x0 * scales[1], (y1 - y0) * scales[0], (x1 - x0) * scales[1])
        tiles.append(Tile(row, col, name, is_outlier, *place))
    return tiles


def _outliers(
    stage: StagePlan, program: StageProgram, x: np.ndarray, calibration: CalibrationResult | None, phi: float | None
) -> np.ndarray | None:
    """bool [H, W]: pixels with outlier values; None where nobody asked for them."""
    if len(stage.classes) < 2:
        return None
    rule = program.outliers
    if rule != NO_OUTLIERS:
        return np.asarray(((x < rule.low) | (x > rule.high)).any(axis=-1))
    stats = calibration.stats.get(stage.input) if calibration else None
    if stats is None or phi is None or program.formats[0][0].bits != 8:
        return None
    return np.asarray(outlier_values(stats.histogram, phi)[x.astype(np.int64) + 128].any(axis=-1))


def picture_of(x: np.ndarray) -> np.ndarray:
    """uint8 [H, W, 3] of [H, W, C]: three channels as colours, else their mean as grey, over the whole range; of
    a large map every nth pixel."""
    step = max(1, -(-max(x.shape[:2]) // _MOST_PIXELS))
    values = x[::step, ::step].astype(np.float64)
    values = values if values.shape[-1] == 3 else np.repeat(values.mean(axis=-1, keepdims=True), 3, axis=-1)
    low, high = values.min(), values.max()
    return np.asarray((values - low) * (255 / max(high - low, 1e-9)), np.uint8)
