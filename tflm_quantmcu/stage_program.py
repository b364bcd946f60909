"""The patch stage as data: what QMCU_PATCH_STAGE executes, built from a plan and encoded as docs/format.md F4 says.

The oracle, the cost model, the converter and the inspector all work on this one type, so that what is counted is
what runs.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tflm_quantmcu import memory, tiles
from tflm_quantmcu.errors import UnsupportedModelError, UsageError
from tflm_quantmcu.lowering import (
    LoweredOp,
    clamp_range,
    lower_region,
    requantization_table,
)
from tflm_quantmcu.packing import pack, run_bytes
from tflm_quantmcu.types import CHOSEN_AT_RUN_TIME, Format, ModelGraph, Op, OutlierRule, StagePlan, Window

FORMAT_VERSION = 2
REDUCTIONS = ("MEAN", "GLOBAL_AVERAGE_POOL_2D", "FULLY_CONNECTED")
KINDS = ("CONV_2D", "DEPTHWISE_CONV_2D", "ADD", "AVERAGE_POOL_2D", "MAX_POOL_2D", "REQUANTIZE", *REDUCTIONS)
OP_WORDS, MAP_WORDS, FORMAT_WORDS = 16, 10, 6
MAX_MAPS = 64
CACHE_MODES = ("recompute", "rows", "full")
INPUT_MODES = ("resident", "streamed")
SCRATCH_ALIGNMENT = 4
NO_OUTLIERS = OutlierRule(-128, 127, 1 << 16)
SUM_BYTES = 4  # of one int32 sum of a reduction
_WINDOW_FIELDS = [f.name for f in dataclasses.fields(Window)]

Region = tuple[int, int, int, int]  # y0, y1, x0, x1


@dataclasses.dataclass(frozen=True, eq=False)
class StageOp:
    """One op of a stage; `inputs` and `output` are map indices, `filter` the packed bytes."""

    kind: str
    inputs: tuple[int, ...]
    output: int
    window: Window
    weight_bits: int = 0
    depth_multiplier: int = 0
    filter: bytes = b""


@dataclasses.dataclass(frozen=True)
class StageFormat:
    """How one map is stored in one class, and the clamps of the op that writes it."""

    bits: int
    zero_point: int
    clamp_min: int
    clamp_max: int
    scratch_offset: int = -1
    scratch_bytes: int = 0


@dataclasses.dataclass(frozen=True)
class MapCache:
    """What a map keeps from one tile to the next, in the same bytes for all classes.

    Attributes:
      mode: index into CACHE_MODES: 0 nothing, 1 the columns that the next tile of the row reads again, 2 also the rows
        that the next row of tiles reads again.
      left_columns: the most columns that are read again, 0 if none are.
      left_offset, left_bytes: in scratch, of the rows of one tile x left_columns pixels.
      top_rows: the most rows that are read again, 0 if none are.
      top_offset, top_bytes: in scratch, of top_rows x the map's width.
    """

    mode: int = 0
    left_columns: int = 0
    left_offset: int = 0
    left_bytes: int = 0
    top_rows: int = 0
    top_offset: int = 0
    top_bytes: int = 0

    @property
    def keeps_halo(self) -> bool:
        return self.left_columns > 0 or self.top_rows > 0


@dataclasses.dataclass(frozen=True)
class PatchCost:
    """Work of one patch: MACs, and BitOPs = MACs x input bits x weight bits."""

    macs: int
    bit_ops: int


@dataclasses.dataclass(frozen=True, eq=False)
class StageProgram:
    """A patch stage, ready to encode or to run.

    Attributes:
      tile_height, tile_width: of the last map.
      shapes: (height, width, channels) a map; map 0 is the input, the last one the output.
      ops: in execution order.
      formats: [class][map].
      tables: [class][op] int32 requantisation tables.
      patch_classes: rows x cols class indices; CHOSEN_AT_RUN_TIME where `outliers` says 0 or 1.
      caches: [map] what is kept between tiles.
      outliers: the rule by which classes are chosen at run time.
      primed: tiles before the first row and column bring cached maps on their way (`tiles.priming_tiles`); they have
        the indices -1, -2, ... and the class of the nearest tile.
    """

    tile_height: int
    tile_width: int
    shapes: tuple[tuple[int, int, int], ...]
    ops: tuple[StageOp, ...]
    formats: tuple[tuple[StageFormat, ...], ...]
    tables: tuple[tuple[np.ndarray, ...], ...]
    patch_classes: tuple[tuple[int, ...], ...]
    caches: tuple[MapCache, ...]
    outliers: OutlierRule = NO_OUTLIERS
    primed: bool = False

    @property
    def reduces(self) -> bool:
        """Whether the last op makes one pixel of its input, which is then what is cut into tiles."""
        return self.ops[-1].kind in REDUCTIONS

    @property
    def tiled(self) -> int:
        """The map that is cut into tiles."""
        return len(self.shapes) - (2 if self.reduces else 1)

    @property
    def is_streamed(self) -> bool:
        """Whether the input is pulled from a reader, region by region."""
        return self.formats[0][0].scratch_offset >= 0

    @functools.cached_property
    def spans(self) -> tuple[np.ndarray, np.ndarray]:
        """([tile rows, maps, 3], [tile columns, maps, 3]) up to the tiled map: see `tiles.axis_spans`."""
        modes = [cache.mode for cache in self.caches]
        geometry = StageGeometry.of(self.shapes, self.ops)
        return geometry.spans(self.tile_height, self.tile_width, modes, primed=self.primed)

    @property
    def _num_priming(self) -> tuple[int, int]:
        """Rows and columns of tiles before the first."""
        grid = np.shape(self.patch_classes)
        return len(self.spans[0]) - grid[0], len(self.spans[1]) - grid[1]

    def region(self, row: int, col: int, map_index: int) -> Region:
        """The region of a map that one patch's ops read: what it computes and the halo that was kept."""
        return self._region(row, col, map_index, tiles.BEGIN)

    def computed(self, row: int, col: int, map_index: int) -> Region:
        """The region of a map that one patch computes; of the input the region that it reads."""
        return self._region(row, col, map_index, tiles.FRESH)

    def _region(self, row: int, col: int, map_index: int, first: int) -> Region:
        places = (place + before for place, before in zip((row, col), self._num_priming, strict=True))
        rows, cols = (axis[place, map_index].tolist() for axis, place in zip(self.spans, places, strict=True))
        return rows[first], rows[tiles.END], cols[first], cols[tiles.END]

    def classes_of(self, row: int, col: int) -> tuple[int, ...]:
        """The classes that a patch may have."""
        patch_class = self.patch_classes[max(row, 0)][max(col, 0)]
        return (0, 1) if patch_class == CHOSEN_AT_RUN_TIME else (patch_class,)

    def patches(self) -> Iterator[tuple[int, int, int]]:
        """(row, col, class) in execution order."""
        for row, classes in enumerate(self.patch_classes):
            for col, patch_class in enumerate(classes):
                yield row, col, patch_class

    def visits(self) -> Iterator[tuple[int, int]]:
        """(row, col) of all that runs, priming tiles too, in execution order."""
        rows, cols = (
            range(-before, len(axis) - before) for axis, before in zip(self.spans, self._num_priming, strict=True)
        )
        yield from itertools.product(rows, cols)

    @property
    def scratch_bytes(self) -> int:
        inner = (f for c in self.formats for f in c if f.scratch_offset >= 0)
        return max((f.scratch_offset + f.scratch_bytes for f in inner), default=0)

    @property
    def cache_mode(self) -> str:
        """The most that any map keeps."""
        return CACHE_MODES[max(cache.mode for cache in self.caches)]

    def patch_cost(self, row: int, col: int) -> PatchCost:
        """MACs and BitOPs of one patch, as an outlier patch if that is chosen at run time; a MAC is counted for every
        kernel tap of a computed output pixel."""
        formats = self.formats[self.classes_of(row, col)[0]]
        macs = bit_ops = 0
        for op in self.ops:
            op_macs = self.op_macs(op, row, col)
            macs += op_macs
            bit_ops += op_macs * formats[op.inputs[0]].bits * op.weight_bits
        return PatchCost(macs, bit_ops)

    def op_macs(self, op: StageOp, row: int, col: int) -> int:
        """MACs of one op in one patch."""
        y0, y1, x0, x1 = self.computed(row, col, min(op.output, self.tiled))
        channels = (self.shapes[op.inputs[0]][2], self.shapes[op.output][2])
        return (y1 - y0) * (x1 - x0) * macs_per_pixel(op.kind, op.window, *channels)

    @functools.cached_property
    def cost(self) -> PatchCost:
        """Of all patches, recomputed halos included."""
        costs = [self.patch_cost(row, col) for row, col in self.visits()]
        return PatchCost(sum(c.macs for c in costs), sum(c.bit_ops for c in costs))

    def encode(self) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
        """(options, filters int8 [n], program int32 [n]) of the custom op."""
        options = {
            "version": FORMAT_VERSION,
            "tile_height": self.tile_height,
            "tile_width": self.tile_width,
            "cache_mode": self.cache_mode,
            "primed": int(self.primed),
            **{f"outlier_{name}": value for name, value in dataclasses.asdict(self.outliers).items()},
            "num_ops": len(self.ops),
            "num_maps": len(self.shapes),
            "num_classes": len(self.formats),
        }
        filters = bytearray()
        op_words = []
        for op in self.ops:
            inputs = (*op.inputs, -1)[:2]
            window = [getattr(op.window, name) for name in _WINDOW_FIELDS]
            op_words.append(
                [
                    KINDS.index(op.kind),
                    *inputs,
                    op.output,
                    *window,
                    op.weight_bits,
                    op.depth_multiplier,
                ]
                + [len(filters) if op.filter else 0, len(op.filter)]
            )
            filters += op.filter + bytes(-len(op.filter) % 4)
        tables, offsets = _share_tables(self.tables)
        sections = [
            np.array(op_words),
            np.array(
                [(*shape, *dataclasses.astuple(cache)) for shape, cache in zip(self.shapes, self.caches, strict=True)]
            ),
            np.array([dataclasses.astuple(f) for c in self.formats for f in c]),
            np.array(offsets),
            np.array(self.patch_classes),
            tables,
        ]
        program = np.concatenate([s.astype(np.int32).ravel() for s in sections])
        return options, np.frombuffer(bytes(filters), np.int8), program

    @staticmethod
    def decode(options: Mapping[str, Any], filters: np.ndarray, program: np.ndarray) -> StageProgram:
        """The inverse of `encode`.

        Raises:
          UsageError: another version, or a program that its own counts do not describe.
        """
        if options.get("version") != FORMAT_VERSION:
            raise UsageError(f"QMCU_PATCH_STAGE has version {options.get('version')}; supported is {FORMAT_VERSION}")
        try:
            return _Decoder(options, filters, program).program()
        except (IndexError, KeyError, OverflowError, TypeError, ValueError) as error:
            raise UsageError(f"QMCU_PATCH_STAGE holds a malformed program: {error}") from None


class _Decoder:
    """Reads the sections of a program one after the other."""

    def __init__(self, options: Mapping[str, Any], filters: np.ndarray, program: np.ndarray):
        self._options = options
        self._filters = filters
        self._program = program
        self._at = 0

    def _take(self, *shape: int) -> np.ndarray:
        count = int(np.prod(shape))
        words = self._program[self._at : self._at + count]
        self._at += count
        return words.reshape(shape)

    def program(self) -> StageProgram:
        num_ops, num_maps, num_classes = (int(self._options[k]) for k in ("num_ops", "num_maps", "num_classes"))
        ops = tuple(self._op(words.tolist()) for words in self._take(num_ops, OP_WORDS))
        if [op.output for op in ops] != list(range(1, num_maps)):
            raise ValueError(f"its {num_ops} ops do not write {num_maps} maps one after the other")
        maps = self._take(num_maps, MAP_WORDS).tolist()
        shapes = tuple((height, width, channels) for height, width, channels, *_ in maps)
        formats = self._take(num_classes, num_maps, FORMAT_WORDS).tolist()
        offsets = self._take(num_classes, num_ops).tolist()
        tile_height, tile_width = (
            int(self._options["tile_height"]),
            int(self._options["tile_width"]),
        )
        height, width, _ = shapes[-2 if ops[-1].kind in REDUCTIONS else -1]
        rows, cols = len(tiles.split_axis(height, tile_height)), len(tiles.split_axis(width, tile_width))
        grid = self._take(rows, cols).tolist()
        words = self._program[self._at :]
        return StageProgram(
            tile_height=tile_height,
            tile_width=tile_width,
            shapes=shapes,
            ops=ops,
            formats=tuple(tuple(StageFormat(*f) for f in c) for c in formats),
            tables=tuple(
                tuple(_section(words, o, table_words(op, shapes)) for o, op in zip(row, ops, strict=True))
                for row in offsets
            ),
            patch_classes=tuple(tuple(row) for row in grid),
            caches=tuple(MapCache(*words[3:]) for words in maps),
            primed=bool(self._options["primed"]),
            outliers=OutlierRule(*(int(self._options[f"outlier_{name}"]) for name in ("low", "high", "share"))),
        )

    def _op(self, words: list[int]) -> StageOp:
        kind, input0, input1, output = words[:4]
        weight_bits, depth_multiplier, offset, num_bytes = words[12:]
        return StageOp(
            kind=KINDS[kind],
            inputs=(input0,) if input1 < 0 else (input0, input1),
            output=output,
            window=Window(*words[4:12]),
            weight_bits=weight_bits,
            depth_multiplier=depth_multiplier,
            filter=self._filters[offset : offset + num_bytes].tobytes(),
        )


def _section(words: np.ndarray, start: int, count: int) -> np.ndarray:
    section = words[start : start + count]
    if start < 0 or section.size != count:
        raise ValueError(f"a table of {count} words at {start} lies outside its {words.size} words")
    return section


def table_words(op: StageOp, shapes: Sequence[tuple[int, int, int]]) -> int:
    """Length of the op's requantisation table in words."""
    if op.kind in ("CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
        return 3 * shapes[op.output][2]
    return 6 if op.kind == "ADD" else 2


def macs_per_pixel(kind: str, window: Window, input_channels: int, output_channels: int) -> int:
    """Multiply-accumulates of one output pixel, all channels; of FULLY_CONNECTED of one input pixel."""
    taps = window.kernel_height * window.kernel_width * output_channels
    work = {"CONV_2D": taps * input_channels, "DEPTHWISE_CONV_2D": taps, "FULLY_CONNECTED": taps * input_channels}
    return work.get(kind, 0)


def _share_tables(tables: Sequence[Sequence[np.ndarray]]) -> tuple[np.ndarray, list[list[int]]]:
    """All tables in one array, equal ones once, and the word offset of each [class][op]."""
    seen: dict[bytes, int] = {}
    parts: list[np.ndarray] = []
    num_words = 0
    offsets: list[list[int]] = []
    for row in tables:
        offsets.append([])
        for table in row:
            key = table.tobytes()
            if key not in seen:
                seen[key] = num_words
                parts.append(table)
                num_words += table.size
            offsets[-1].append(seen[key])
    return np.concatenate(parts), offsets


@dataclasses.dataclass(frozen=True)
class StageGeometry:
    """Which pixels a stage's ops need: all that tile sizes are judged by."""

    shapes: tuple[tuple[int, int, int], ...]
    ops_y: tuple[tiles.AxisOp, ...]
    ops_x: tuple[tiles.AxisOp, ...]
    reduces: bool = False

    @property
    def tiled(self) -> int:
        """The map that is cut into tiles: the last one, or what the reduction at the end makes it of."""
        return len(self.shapes) - (2 if self.reduces else 1)

    @staticmethod
    def of(shapes: Sequence[tuple[int, int, int]], ops: Sequence[StageOp]) -> StageGeometry:
        steps = [(op.window, op.inputs, op.output) for op in ops]
        return StageGeometry.of_steps(shapes, steps, reduces=ops[-1].kind in REDUCTIONS)

    @staticmethod
    def of_lowered(graph: ModelGraph, ops: Sequence[LoweredOp], source: int) -> StageGeometry:
        tensors = map_tensors(ops, source)
        index = {t: m for m, t in enumerate(tensors)}
        steps = [(op.window, tuple(index[t] for t in op.inputs), index[op.output]) for op in ops]
        shapes = [map_shape(graph, t) for t in tensors]
        return StageGeometry.of_steps(shapes, steps, reduces=ops[-1].kind in REDUCTIONS)

    @staticmethod
    def of_steps(
        shapes: Sequence[tuple[int, int, int]],
        steps: Sequence[tuple[Window, tuple[int, ...], int]],
        *,
        reduces: bool = False,
    ) -> StageGeometry:
        return StageGeometry(
            tuple(shapes),
            tuple(_axis_op(*step, "height", "top") for step in steps),
            tuple(_axis_op(*step, "width", "left") for step in steps),
            reduces,
        )

    def axis_spans(self, axis: int, tile: int, modes: Sequence[int], *, primed: bool = False) -> np.ndarray:
        """Spans [tiles, maps up to the tiled one, 3] along height (axis 0) or width (1); modes as in `MapCache`."""
        extents = [shape[axis] for shape in self.shapes[: self.tiled + 1]]
        ops = (self.ops_y, self.ops_x)[axis][: self.tiled]
        is_cached = [mode >= (2, 1)[axis] for mode in modes]
        before = tiles.priming_tiles(ops, extents, tile, is_cached) if primed else []
        return tiles.axis_spans(ops, extents, before + tiles.split_axis(extents[-1], tile), is_cached)

    def spans(
        self, tile_height: int, tile_width: int, modes: Sequence[int], *, primed: bool = False
    ) -> tuple[np.ndarray, np.ndarray]:
        """Spans along both axes; `primed`: those of priming tiles first."""
        rows = self.axis_spans(0, tile_height, modes, primed=primed)
        return rows, self.axis_spans(1, tile_width, modes, primed=primed)

    def lifetimes(self) -> list[tuple[int, int]]:
        """(first, last) op that touches each map; a map is born with the op that writes it."""
        last_op = len(self.ops_y) - 1
        spans = [(0, last_op)] + [(last_op, 0)] * (len(self.shapes) - 1)
        for time, op in enumerate(self.ops_y):
            spans[op.output] = (time, time)
            for m in op.inputs:
                spans[m] = (spans[m][0], time)
        return spans


def _axis_op(window: Window, inputs: tuple[int, ...], output: int, extent: str, side: str) -> tiles.AxisOp:
    return tiles.AxisOp(
        inputs=inputs,
        output=output,
        kernel=getattr(window, f"kernel_{extent}"),
        stride=getattr(window, f"stride_{extent}"),
        dilation=getattr(window, f"dilation_{extent}"),
        pad=getattr(window, f"pad_{side}"),
    )


def place_scratch(
    geometry: StageGeometry, map_bytes: Sequence[int], base: int = 0, *, is_streamed: bool = False
) -> list[int]:
    """Offsets in scratch, from `base` on, of the buffers of one tile.

    Returns:
      An offset a map; -1 for the output, and for the input unless it is streamed.
    """
    last = len(geometry.shapes) - 1
    buffered = range(0 if is_streamed else 1, last)
    spans = geometry.lifetimes()
    offsets = memory.place([memory.Buffer(map_bytes[m], *spans[m]) for m in buffered], alignment=SCRATCH_ALIGNMENT)
    result = [-1] * (last + 1)
    for m, offset in zip(buffered, offsets, strict=True):
        result[m] = base + offset
    return result


def place_caches(
    shapes: Sequence[tuple[int, int, int]],
    spans: tuple[np.ndarray, np.ndarray],
    modes: Sequence[int],
    bits: Sequence[int],
) -> tuple[tuple[MapCache, ...], int]:
    """What each map keeps, one store behind the other from the start of scratch, and the bytes of all.

    Args:
      shapes: of the maps.
      spans: along both axes.
      modes: [map] index into CACHE_MODES.
      bits: [map] width of those that keep a halo.
    """
    rows, cols = (halos(axis) for axis in spans)
    heights = (spans[0][..., tiles.END] - spans[0][..., tiles.BEGIN]).max(axis=0).tolist()
    caches = []
    end = 0
    for m, (_, width, channels) in enumerate(shapes[: len(rows)]):
        pixel_bytes = run_bytes(channels, bits[m])
        places = []
        for num_bytes in (heights[m] * cols[m] * pixel_bytes, rows[m] * width * pixel_bytes):
            places.append((end if num_bytes else 0, num_bytes))
            end += memory.align(num_bytes, SCRATCH_ALIGNMENT)
        caches.append(MapCache(modes[m], cols[m], *places[0], rows[m], *places[1]))
    # What a reduction makes is no map of tiles.
    return (*caches, *(MapCache() for _ in shapes[len(rows) :])), end


def halos(spans: np.ndarray) -> list[int]:
    """[map] the most pixels that a tile reads of what earlier tiles computed, of spans [tiles, maps, 3]."""
    return (spans[..., tiles.FRESH] - spans[..., tiles.BEGIN]).max(axis=0).tolist()


def stage_ops(graph: ModelGraph, source: int, target: int) -> tuple[Op, ...]:
    """The ops on paths from tensor `source` to tensor `target`, in execution order.

    Raises:
      UnsupportedModelError: the region has another entry or exit.
    """
    names = f"between '{graph.tensors[source].label}' and '{graph.tensors[target].label}'"
    inside: set[int] = set()
    wanted = [target]
    while wanted:
        tensor = wanted.pop()
        op = graph.producer.get(tensor)
        if tensor == source or (op is not None and op.index in inside):
            continue
        if op is None:
            raise UnsupportedModelError(f"the region {names} also reads '{graph.tensors[tensor].label}'")
        inside.add(op.index)
        wanted += graph.feature_maps(op)
    ops = tuple(op for op in graph.ops if op.index in inside)
    for op in ops:
        for t in op.outputs:
            readers = {c.index for c in graph.consumers[t]}
            if t != target and (readers - inside or t in graph.outputs):
                raise UnsupportedModelError(f"'{graph.tensors[t].label}' of the region {names} is read outside it")
    if not ops:
        raise UnsupportedModelError(f"there is no op {names}")
    return ops


def map_tensors(ops: Sequence[LoweredOp], source: int) -> tuple[int, ...]:
    """The tensor index of each map of a lowered stage."""
    return (source, *(op.output for op in ops))


def tiled_tensor(ops: Sequence[LoweredOp]) -> int:
    """The tensor that a lowered stage cuts into tiles: its output, or what the reduction at its end takes."""
    return ops[-1].inputs[0] if ops[-1].kind in REDUCTIONS else ops[-1].output


def map_shape(graph: ModelGraph, tensor: int) -> tuple[int, int, int]:
    """(height, width, channels) of a [1, H, W, C] feature map; a vector is one pixel."""
    shape = graph.tensors[tensor].shape
    return (shape[1], shape[2], shape[3]) if len(shape) == 4 else (1, 1, shape[-1])


def build_program(
    graph: ModelGraph,
    plan: StagePlan,
    *,
    weight_bits: Mapping[str, int],
    formats: Mapping[str, Format],
) -> StageProgram:
    """Lowers a planned stage.

    Args:
      graph: the int8 model.
      plan: the stage.
      weight_bits: weight tensor name -> bits; absent is 8.
      formats: tensor name -> format of maps outside stages; the stage's input and output follow it.

    Raises:
      UnsupportedModelError: an op has no kernel, or the region has another entry or exit.
      UsageError: the plan's names, tile or classes do not fit the model.
    """
    for name in (plan.input, plan.output):
        if name not in graph.by_name:
            raise UsageError(f"the plan's stage names tensor '{name}', which the model does not have")
    source, target = graph.by_name[plan.input].index, graph.by_name[plan.output].index
    region = stage_ops(graph, source, target)
    return program_of(graph, lower_region(graph, region, weight_bits), source, plan, formats=formats)


def program_of(
    graph: ModelGraph,
    lowered: Sequence[LoweredOp],
    source: int,
    plan: StagePlan,
    *,
    formats: Mapping[str, Format],
) -> StageProgram:
    """The program of ops that are lowered already; see `build_program`."""
    tensors = map_tensors(lowered, source)
    if len(tensors) > MAX_MAPS:
        raise UnsupportedModelError(f"the stage has {len(tensors)} feature maps; supported are {MAX_MAPS}")
    shapes = tuple(map_shape(graph, t) for t in tensors)
    index = {t: m for m, t in enumerate(tensors)}
    ops = tuple(_stage_op(op, index) for op in lowered)
    geometry = StageGeometry.of(shapes, ops)
    _check_plan(plan, shapes[geometry.tiled])
    modes = _cache_modes(plan, [graph.tensors[t].name for t in tensors], geometry.tiled)
    spans = geometry.spans(plan.tile_height, plan.tile_width, modes, primed=plan.primed)
    chosen = [
        [
            formats.get(name, graph.tensors[t].format)
            if t in (source, tensors[-1])
            else patch_class.formats.get(name, graph.tensors[t].format)
            for t in tensors
            for name in [graph.tensors[t].name]
        ]
        for patch_class in plan.classes
    ]
    caches, cache_bytes = place_caches(shapes, spans, modes, [f.bits for f in chosen[0]])
    _check_shared_formats(chosen, caches, lowered, geometry)
    layout = _Layout(geometry, spans, cache_bytes, plan.input_mode == "streamed")
    return StageProgram(
        tile_height=plan.tile_height,
        tile_width=plan.tile_width,
        shapes=shapes,
        ops=ops,
        formats=tuple(
            _class_formats(layout, lowered, formats_of, _tiles_of(plan, number, spans))
            for number, formats_of in enumerate(chosen)
        ),
        tables=tuple(
            tuple(
                requantization_table(op, [formats_of[index[t]] for t in op.inputs], formats_of[index[op.output]])
                for op in lowered
            )
            for formats_of in chosen
        ),
        patch_classes=plan.patch_classes,
        caches=caches,
        outliers=plan.outliers or NO_OUTLIERS,
        primed=plan.primed,
    )


def _cache_modes(plan: StagePlan, names: Sequence[str], tiled: int) -> list[int]:
    """[map] index into CACHE_MODES; an input that stands whole in memory and what is cut into tiles keep nothing."""
    modes = [CACHE_MODES.index(plan.map_caches.get(name, plan.cache_mode)) for name in names[:tiled]]
    if plan.input_mode == "resident":
        modes[0] = 0
    return modes + [0] * (len(names) - tiled)


def _check_shared_formats(
    chosen: Sequence[Sequence[Format]],
    caches: Sequence[MapCache],
    lowered: Sequence[LoweredOp],
    geometry: StageGeometry,
) -> None:
    for m, cache in enumerate(caches):
        is_reduced = geometry.reduces and m == geometry.tiled
        if (cache.keeps_halo or is_reduced) and len({formats_of[m] for formats_of in chosen}) > 1:
            shared = "is reduced over" if is_reduced else "keeps a halo for"
            raise UsageError(
                f"the plan gives '{lowered[m - 1].name}' a format a patch class, and it {shared} tiles of all classes; "
                "give it one format, or cache mode 'recompute'"
            )


def _tiles_of(plan: StagePlan, number: int, spans: tuple[np.ndarray, np.ndarray]) -> np.ndarray:
    """Places in `spans` of each tile that may be of a class, int64 [n, 2]."""
    grid = np.array(plan.patch_classes)
    before = [(len(axis) - count, 0) for axis, count in zip(spans, grid.shape, strict=True)]
    classes = np.pad(grid, before, mode="edge")
    return np.argwhere((classes == number) | ((classes == CHOSEN_AT_RUN_TIME) & (number < 2)))


def _check_plan(plan: StagePlan, shape: tuple[int, int, int]) -> None:
    for mode in (plan.cache_mode, *plan.map_caches.values()):
        if mode not in CACHE_MODES:
            raise UsageError(f"the plan's cache mode is '{mode}'; supported are {', '.join(CACHE_MODES)}")
    if plan.input_mode not in INPUT_MODES:
        raise UsageError(f"the plan's input mode is '{plan.input_mode}'; supported are {', '.join(INPUT_MODES)}")
    for axis, tile, extent in (
        ("height", plan.tile_height, shape[0]),
        ("width", plan.tile_width, shape[1]),
    ):
        if not 1 <= tile <= extent:
            raise UsageError(f"the plan's tile {axis} is {tile}; the stage's output has {extent}")
    rows, cols = -(-shape[0] // plan.tile_height), -(-shape[1] // plan.tile_width)
    if len(plan.patch_classes) != rows or any(len(row) != cols for row in plan.patch_classes):
        raise UsageError(f"the plan's patch classes are not {rows} rows of {cols}")
    least = 0 if plan.outliers is None or len(plan.classes) < 2 else CHOSEN_AT_RUN_TIME
    if any(not least <= k < len(plan.classes) for row in plan.patch_classes for k in row):
        raise UsageError(f"the plan names a patch class outside its {len(plan.classes)} classes")


def _stage_op(op: LoweredOp, index: Mapping[int, int]) -> StageOp:
    filter = op.filter
    return StageOp(
        kind=op.kind,
        inputs=tuple(index[t] for t in op.inputs),
        output=index[op.output],
        window=op.window,
        weight_bits=filter.bits if filter else 0,
        depth_multiplier=op.depth_multiplier if op.kind == "DEPTHWISE_CONV_2D" else 0,
        filter=pack(filter.values, filter.bits).tobytes() if filter else b"",
    )


@dataclasses.dataclass(frozen=True, eq=False)
class _Layout:
    """What places in scratch follow from, for all classes.

    Attributes:
      geometry, spans: of the stage.
      cache_bytes: of what maps keep, from the start of scratch.
      is_streamed: the input has a buffer too.
    """

    geometry: StageGeometry
    spans: tuple[np.ndarray, np.ndarray]
    cache_bytes: int
    is_streamed: bool

    @property
    def sum_bytes(self) -> int:
        """Of the int32 sums of a reduction, behind the caches."""
        return SUM_BYTES * self.geometry.shapes[-1][2] if self.geometry.reduces else 0

    def largest_regions(self, patches: np.ndarray) -> list[int]:
        """[map] pixels, over some tiles."""
        heights, widths = (axis[..., tiles.END] - axis[..., tiles.BEGIN] for axis in self.spans)
        areas = heights[patches[:, 0]] * widths[patches[:, 1]]
        largest = areas.max(axis=0, initial=0).tolist()
        return largest + [0] * (len(self.geometry.shapes) - len(largest))


def _class_formats(
    layout: _Layout, lowered: Sequence[LoweredOp], chosen: Sequence[Format], patches: np.ndarray
) -> tuple[StageFormat, ...]:
    """The formats of the class that has these tiles, with clamps and places in scratch."""
    shapes = layout.geometry.shapes
    map_bytes = [
        pixels * run_bytes(shape[2], format.bits)
        for pixels, shape, format in zip(layout.largest_regions(patches), shapes, chosen, strict=True)
    ]
    base = layout.cache_bytes + layout.sum_bytes
    offsets = place_scratch(layout.geometry, map_bytes, base, is_streamed=layout.is_streamed)
    places = [(offset, n) if offset >= 0 else (-1, 0) for offset, n in zip(offsets, map_bytes, strict=True)]
    if layout.geometry.reduces:
        places[-1] = (layout.cache_bytes, layout.sum_bytes)
    writers: list[LoweredOp | None] = [None, *lowered]
    result = []
    for format, writer, place in zip(chosen, writers, places, strict=True):
        clamps = clamp_range(writer, format) if writer else (format.qmin, format.qmax)
        result.append(StageFormat(format.bits, format.zero_point, *clamps, *place))
    return tuple(result)
