"""Estimated cycles, or instructions, of patch stages: exactly for one program, by a formula for all sizes of tiles at
once.

Of one op with given channels those of a call are close to linear in (1, rows, columns, pixels) of what it
computes.
Over all tiles of a stage these add up to products of what its rows and its columns of tiles add up to, so that no
program has to be made to compare them.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping, Sequence

import numpy as np

from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.cost.calls import Call, Calls, graph_calls
from tflm_quantmcu.cost.instructions import InstructionTable, load_table
from tflm_quantmcu.cost.least_squares import fit_relative
from tflm_quantmcu.cost.shapes import KernelShape
from tflm_quantmcu.cost.stage_driver import calls_feature, spans_found_anew
from tflm_quantmcu.graph.op_kinds import op_kind
from tflm_quantmcu.graph.types import ModelGraph, Window
from tflm_quantmcu.law.packing import run_bytes
from tflm_quantmcu.lowering.ops import LoweredOp
from tflm_quantmcu.stage.program import StageProgram

# Rows and columns of the calls that the formula is fitted to; "all" is the map's.
_ALL = 1 << 20
_SQUARE, _WIDE = ((1, 1), (1, 2), (1, 4), (2, 2), (3, 3), (4, 4), (8, 8)), ((1, _ALL), (2, _ALL), (4, _ALL))
_FITTED = (*_SQUARE, *_WIDE, *((h, w) for w, h in _WIDE), (_ALL, _ALL))
_Shape = tuple[int, int, int]
_Asked = tuple[str, _Shape, _Shape, Window | None, str]


class TileTimes:
    """One figure of a core's table: its cycles or its instructions.

    An op and tag that was not measured counts by its MACs and the mean of all that was. Where no stages were measured
    on the core, running them counts as on the Cortex-M4.
    """

    def __init__(self, table: InstructionTable):
        self._table = table
        self._stages = table if table.stages else _with_stages(table.figure)
        self._formulas: dict[_Asked, np.ndarray] = {}

    def of_graph(self, graph: ModelGraph, map_bits: Mapping[str, int], op: int) -> float:
        """The time of one op that runs by itself."""
        return self._total(graph_calls(graph, map_bits=map_bits, only=[op]))

    def of_stage(self, program: StageProgram, calls: Calls) -> float:
        """The time of a stage, and the calls that it makes."""
        return self._total(calls) + self._stages.beside_kernels(program)

    def formula(self, kernel: str, source: _Shape, target: _Shape, window: Window | None, tag: str) -> np.ndarray:
        """Coefficients >= 0, float64 [4], of (1, rows, columns, pixels) that a call of an op computes, in the table's
        figure.

        Args:
          kernel: as the table calls it.
          source, target: (height, width, channels) of the maps that it reads and writes.
          window: None of a reduction, which reads the rows and pixels that are counted.
          tag: as of `InstructionTable.estimate`.
        """
        asked = (kernel, source, target, window, tag)
        if asked not in self._formulas:
            limits = source if window is None else target
            sizes = list(dict.fromkeys((min(h, limits[0]), min(w, limits[1])) for h, w in _FITTED))
            shapes = [_call(kernel, source, target, window, size) for size in sizes]
            counts = np.array([self._call(shape, tag) for shape in shapes])
            self._formulas[asked] = fit_relative(np.array([(1.0, h, w, h * w) for h, w in sizes]), counts)
        return self._formulas[asked]

    def whole(self, kernel: str, source: _Shape, target: _Shape, window: Window, tag: str) -> float:
        """The time of the call that computes all of a map; arguments as of `formula`."""
        return self._call(_call(kernel, source, target, window, target[:2]), tag)

    @functools.cached_property
    def driver(self) -> Mapping[str, float]:
        """Coefficients of `stage_driver.FEATURES`."""
        return self._stages.stage_coefficients

    def _total(self, calls: Calls) -> float:
        return sum(times * self._of_call(call) for call, times in calls.items())

    def _of_call(self, call: Call) -> float:
        """What is not known counts 0, split or not."""
        return self._call(*call) if isinstance(call, tuple) else self._table.of_call(call) or 0.0

    def _call(self, shape: KernelShape, tag: str) -> float:
        try:
            return self._table.estimate(shape, tag)
        except UsageError:
            return shape.work * self._mean

    @functools.cached_property
    def _mean(self) -> float:
        rows = self._table.rows
        return sum(getattr(row.work, self._table.figure) for row in rows) / sum(row.shape.work for row in rows)


def _with_stages(figure: str) -> InstructionTable:
    table = load_table("m4")
    return table if figure == table.figure or table.cycles is None else table.cycles


def _call(kernel: str, source: _Shape, target: _Shape, window: Window | None, size: tuple[int, int]) -> KernelShape:
    """The call of a tile of this size; inside the map but along an axis that it has all of."""
    if window is None:
        return KernelShape(kernel, (*size, source[2]), (1, 1, target[2]), kernel=size)
    taps, strides = (window.kernel_height, window.kernel_width), (window.stride_height, window.stride_width)
    pads = (window.pad_top, window.pad_left)
    is_all = [size[axis] == target[axis] for axis in range(2)]
    read = [
        source[axis] if is_all[axis] else min((size[axis] - 1) * strides[axis] + taps[axis], source[axis])
        for axis in range(2)
    ]
    pad = tuple(pads[axis] if is_all[axis] else 0 for axis in range(2))
    return KernelShape(kernel, (*read, source[2]), (*size, target[2]), taps, strides, pad)


@dataclasses.dataclass(frozen=True, eq=False)
class TileSums:
    """Sums over the tiles of one axis, float [choices, tile sizes, maps].

    Attributes:
      summed, seen, kept: pixels that they compute, see, and see of what was kept.
      makers, keepers: tiles that compute any of the map, that see any of what was kept.
      counts: [choices, tile sizes] all tiles, priming ones too.
    """

    summed: np.ndarray
    seen: np.ndarray
    kept: np.ndarray
    makers: np.ndarray
    keepers: np.ndarray
    counts: np.ndarray


@dataclasses.dataclass(frozen=True, eq=False)
class MapFormulas:
    """What making each map of a stage takes, its kernel, its driver and the halos that it keeps, in the figure [maps].

    Attributes:
      call, row, column, pixel: of each call, and each row, column and pixel that it computes.
      whole: of the kernel's call on the whole map: tiles together take no less.
      tile, span, tile_row: of each tile, each whose spans of columns are found, and each row of tiles, whatever they
        compute.
      made: of the driver for each call, what a tile takes without it left out.
      halo, copy, byte: of each halo moved, each run of bytes copied for it, each byte.
    """

    call: np.ndarray
    row: np.ndarray
    column: np.ndarray
    pixel: np.ndarray
    whole: np.ndarray
    tile: np.ndarray
    span: np.ndarray
    tile_row: np.ndarray
    made: np.ndarray
    halo: np.ndarray
    copy: np.ndarray
    byte: np.ndarray

    @staticmethod
    def of(
        times: TileTimes,
        ops: Sequence[LoweredOp],
        maps: Sequence[int],
        shapes: Sequence[_Shape],
        bits_of: Callable[[int], int],
        kernel_of: Callable[[LoweredOp], str],
    ) -> MapFormulas:
        """The times of ops that each write one of a stage's maps.

        Args:
          times: of the core.
          ops: of the stage, in order.
          maps: tensor indices of the stage's maps; the ops write all but those that come in.
          shapes: [map] (height, width, channels).
          bits_of: width of a tensor's values.
          kernel_of: an op's kernel as the table calls it.
        """
        driver, index = times.driver, {t: m for m, t in enumerate(maps)}
        found = {f.name: np.zeros(len(maps)) for f in dataclasses.fields(MapFormulas)}
        for m, t in enumerate(maps):
            run = run_bytes(shapes[m][2], bits_of(t))
            place = "unaligned" if run % 4 else "aligned"
            # To the store and back.
            found["halo"][m] = 2 * driver["halos"]
            found["copy"][m] = 2 * driver[f"{place}_rows"]
            found["byte"][m] = 2 * run * (driver[f"{place}_bytes"] + driver[f"{place}_sixteens"] / 16)
        for op in ops:
            m, source = index[op.output], index[op.inputs[0]]
            kernel = kernel_of(op)
            read, window = (shapes[m], Window()) if op.traits.upsamples else (shapes[source], op.window)
            formula = times.formula(kernel, read, shapes[m], window, _tag(op, bits_of))
            for name, value in zip(("call", "row", "column", "pixel"), formula, strict=True):
                found[name][m] = value
            found["whole"][m] = times.whole(kernel, read, shapes[m], window, _tag(op, bits_of))
            found["made"][m] = driver[calls_feature(op.kind)] + driver["fills"] - driver["empty"]
            found["tile"][m] = driver["empty"] + driver["tiles"] / len(ops)
            found["span"][m] = driver["tile_ops"] + driver["tile_inputs"] * len(op.inputs)
            found["tile_row"][m] = driver["row_ops"]
        return MapFormulas(**found)

    def with_reduction(
        self, times: TileTimes, op: LoweredOp, shape: _Shape, channels: int, bits_of: Callable[[int], int]
    ) -> MapFormulas:
        """The same with an op that sums up the last map as its tiles come.

        Args:
          times: of the core.
          op: the reduction.
          shape: (height, width, channels) of the last map.
          channels: of the reduction's output.
          bits_of: width of a tensor's values.
        """
        driver, kernel = times.driver, op_kind(op.kind).stage_kernels[0]
        call, row, column, pixel = times.formula(kernel, shape, (1, 1, channels), None, _tag(op, bits_of))
        last = np.arange(len(self.tile)) == len(self.tile) - 1
        tile = driver[calls_feature(op.kind)]
        span = driver["tile_ops"] + driver["tile_inputs"]
        return dataclasses.replace(
            self,
            call=self.call + call * last,
            row=self.row + row * last,
            column=self.column + column * last,
            pixel=self.pixel + pixel * last,
            tile=self.tile + tile * last,
            span=self.span + span * last,
        )

    def work(self, rows: TileSums, cols: TileSums) -> np.ndarray:
        """The work, float64 [choices, tile heights, tile widths, maps], of tiles whose rows and columns add up to
        these."""
        kernels = _products(
            (self.call * rows.makers + self.row * rows.summed, cols.makers),
            (self.column * rows.makers + self.pixel * rows.summed, cols.summed),
        )
        return np.maximum(kernels, self.whole) + _products(
            (self.made * rows.makers + self.halo * rows.keepers + self.copy * rows.kept, cols.makers),
            (self.byte * rows.kept, cols.summed),
            (self.halo * rows.makers + self.copy * rows.seen, cols.keepers),
            (self.byte * rows.seen, cols.kept),
            (self.tile * rows.counts[..., None], cols.counts[..., None]),
            (self.span * np.ones_like(rows.counts)[..., None], cols.counts[..., None]),
            (self.span * (rows.counts[..., None] - 1), spans_found_anew(cols.counts, len(self.span))[..., None]),
            (self.tile_row * rows.counts[..., None], np.ones_like(cols.counts)[..., None]),
        )


def _products(*factors: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """The sum of products of [choices, tile heights, maps] with [choices, tile widths, maps]."""
    return sum(along_rows[:, :, None] * along_cols[:, None] for along_rows, along_cols in factors)


def _tag(op: LoweredOp, bits_of: Callable[[int], int]) -> str:
    return f"a{bits_of(op.inputs[0])}" + (f"w{op.filter.bits}" if op.filter else "")
