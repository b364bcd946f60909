"""The patch stage as data: what QMCU_PATCH_STAGE executes, encoded as docs/format.md F4 says.

The oracle, the cost model, the converter and the inspector all work on this one type, so that what is counted is
what runs.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.graph.precision_plan import CHOSEN_AT_RUN_TIME, OutlierRule
from tflm_quantmcu.stage import tiles
from tflm_quantmcu.stage.format_version import FORMAT_VERSION, STAGE_REMARKS, check_keys, check_version
from tflm_quantmcu.stage.geometry import Region, StageGeometry, StageOp, macs_per_pixel
from tflm_quantmcu.stage.layout import CACHE_MODES, MapCache
from tflm_quantmcu.stage.op_words import OP_WORDS, decode_op, encode_op, table_words
from tflm_quantmcu.stage.tables import section, share_tables

_KEYS = (
    *("version", "tile_height", "tile_width", "cache_mode", "primed", "outlier_low", "outlier_high", "outlier_share"),
    *("num_ops", "num_maps", "num_classes"),
)
# Optional keys of a stage and the values of each that we know (docs/format.md F3); version 2 has none.
MAX_INPUTS = 8
_OPTIONAL_KEYS = {"num_inputs": range(1, MAX_INPUTS + 1), "num_outputs": (1,), "span_tables": (0,)}
MAP_WORDS, FORMAT_WORDS = 10, 6
MAX_MAPS = 64
NO_OUTLIERS = OutlierRule(-128, 127, 1 << 16)


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
class PatchCost:
    """Work of one patch: MACs, and BitOPs = MACs x input bits x weight bits."""

    macs: int
    bit_ops: int


@dataclasses.dataclass(frozen=True, eq=False)
class StageProgram:
    """A patch stage, ready to encode or to run.

    Attributes:
      tile_height, tile_width: of the last map.
      shapes: (height, width, channels) a map; the first are the inputs, which no op writes, the last is the output.
      ops: in execution order.
      formats: [class][map].
      tables: [class][op] int32 requantisation tables.
      patch_classes: rows x cols class indices; CHOSEN_AT_RUN_TIME where `outliers` says 0 or 1.
      caches: [map] what is kept between tiles.
      outliers: the rule by which classes are chosen at run time.
      primed: `tiles.PRIMED` and its like: whether tiles before the first row and column, or row alone, bring cached
        maps on their way (`tiles.priming_tiles`); they have the indices -1, -2, ... and the class of the nearest tile.
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
    primed: int = tiles.NOT_PRIMED

    @functools.cached_property
    def geometry(self) -> StageGeometry:
        return StageGeometry.of(self.shapes, self.ops)

    @property
    def num_inputs(self) -> int:
        """The maps that come in; all but the first stand whole in memory."""
        return len(self.shapes) - len(self.ops)

    @property
    def reduces(self) -> bool:
        """Whether the last op makes one pixel of its input, which is then what is cut into tiles."""
        return self.geometry.reduces

    @property
    def tiled(self) -> int:
        """The map that is cut into tiles."""
        return self.geometry.tiled

    @property
    def is_streamed(self) -> bool:
        """Whether the input is pulled from a reader, region by region."""
        return self.formats[0][0].scratch_offset >= 0

    @functools.cached_property
    def spans(self) -> tuple[np.ndarray, np.ndarray]:
        """The spans, int64 [tile rows, maps, 3] and [tile columns, maps, 3] in pixels, up to the tiled map: see
        `tiles.axis_spans`."""
        modes = [cache.mode for cache in self.caches]
        return self.geometry.spans(self.tile_height, self.tile_width, modes, primed=self.primed)

    @functools.cached_property
    def num_priming(self) -> tuple[int, int]:
        """Rows and columns of tiles before the first: they prime what is kept."""
        rows, cols = self.spans
        return len(rows) - len(self.patch_classes), len(cols) - len(self.patch_classes[0])

    def region(self, row: int, col: int, map_index: int) -> Region:
        """The region of a map that one patch's ops read: what it computes and the halo that was kept."""
        return self._region(row, col, map_index, tiles.BEGIN)

    def computed(self, row: int, col: int, map_index: int) -> Region:
        """The region of a map that one patch computes; of the input the region that it reads."""
        return self._region(row, col, map_index, tiles.FRESH)

    def _region(self, row: int, col: int, map_index: int, first: int) -> Region:
        places = (place + before for place, before in zip((row, col), self.num_priming, strict=True))
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
            range(-before, len(axis) - before) for axis, before in zip(self.spans, self.num_priming, strict=True)
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

    @property
    def header_words(self) -> tuple[int, ...]:
        """The words of the C++ struct PatchStageHeader."""
        counts = len(self.ops), len(self.shapes), len(self.formats)
        mode = CACHE_MODES.index(self.cache_mode)
        return self.tile_height, self.tile_width, *counts, mode, self.primed, *dataclasses.astuple(self.outliers)

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
        """The cost of all patches, recomputed halos included."""
        costs = [self.patch_cost(row, col) for row, col in self.visits()]
        return PatchCost(sum(c.macs for c in costs), sum(c.bit_ops for c in costs))

    def encode(self) -> tuple[dict[str, Any], np.ndarray, np.ndarray]:
        """(options, filters int8 [n], program int32 [n]) of the custom op."""
        options = {
            "version": FORMAT_VERSION,
            "tile_height": self.tile_height,
            "tile_width": self.tile_width,
            "cache_mode": self.cache_mode,
            "primed": self.primed,
            **{f"outlier_{name}": value for name, value in dataclasses.asdict(self.outliers).items()},
            "num_ops": len(self.ops),
            "num_maps": len(self.shapes),
            "num_classes": len(self.formats),
            **({"num_inputs": self.num_inputs} if self.num_inputs > 1 else {}),
        }
        filters = bytearray()
        op_words = []
        for op in self.ops:
            op_words.append(encode_op(op, len(filters)))
            filters += op.filter + bytes(-len(op.filter) % 4)
        tables, offsets = share_tables(self.tables)
        sections = [
            np.array(op_words),
            np.array([(*shape, *dataclasses.astuple(c)) for shape, c in zip(self.shapes, self.caches, strict=True)]),
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

        Args:
          options: of the operator.
          filters: int8 [bytes], packed, one filter after another.
          program: int32 [words].

        Raises:
          UsageError: another version, something of a later one, or a program that its own counts do not describe.
        """
        check_version("QMCU_PATCH_STAGE", options)
        check_keys("QMCU_PATCH_STAGE", options, _KEYS, _OPTIONAL_KEYS, STAGE_REMARKS)
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
        ops = tuple(decode_op(words.tolist(), self._filters) for words in self._take(num_ops, OP_WORDS))
        num_inputs = int(self._options.get("num_inputs", 1))
        if [op.output for op in ops] != list(range(num_inputs, num_maps)):
            inputs = f" behind {num_inputs} inputs" if num_inputs > 1 else ""
            raise ValueError(f"its {num_ops} ops do not write {num_maps} maps one after the other{inputs}")
        maps = self._take(num_maps, MAP_WORDS).tolist()
        shapes = tuple((height, width, channels) for height, width, channels, *_ in maps)
        formats = self._take(num_classes, num_maps, FORMAT_WORDS).tolist()
        offsets = self._take(num_classes, num_ops).tolist()
        tile_height, tile_width = (
            int(self._options["tile_height"]),
            int(self._options["tile_width"]),
        )
        primed = int(self._options["primed"])
        if primed not in (tiles.NOT_PRIMED, tiles.PRIMED, tiles.ROWS_PRIMED):
            raise ValueError(f"primed is {primed}; supported are 0 to 2")
        height, width, _ = shapes[-2 if ops[-1].traits.is_reduction else -1]
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
                tuple(
                    section(words, o, table_words(op, shapes, formats_of[op.inputs[0]][0]))
                    for o, op in zip(row, ops, strict=True)
                )
                for row, formats_of in zip(offsets, formats, strict=True)
            ),
            patch_classes=tuple(tuple(row) for row in grid),
            caches=tuple(MapCache(*words[3:]) for words in maps),
            primed=primed,
            outliers=OutlierRule(*(int(self._options[f"outlier_{name}"]) for name in ("low", "high", "share"))),
        )
