"""What it costs to run consecutive ops of a model as one patch stage, in any of its ways.

In: a PlannedModel. Out: `UpstreamCosts`, for one tensor the arena and the work (MACs, or cycles by the formulas
of tile_times.py) of every stage that ends in it, for all tile sizes and cache modes at once. Bytes are those of the
kernels that take the most, of those that may run. They are exact but for the places of tile buffers in scratch, where
they are what is live at once, and for what kernels take in some tiles alone: a lower bound that `UpstreamCosts.stage`
makes exact for one way.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence

import numpy as np

from tflm_quantmcu.cost.same_format import measured_kernel_of_lowered
from tflm_quantmcu.law.packing import run_bytes
from tflm_quantmcu.lowering.ops import LoweredOp
from tflm_quantmcu.lowering.regions import lower_region
from tflm_quantmcu.native.kernel_scratch import behind_maps, least_kernel_bytes, stage_kernel_bytes
from tflm_quantmcu.patches.axis_costs import AxisCosts, axis_costs
from tflm_quantmcu.patches.cache_choices import NEVER, cache_choices
from tflm_quantmcu.patches.planned_model import PlannedModel
from tflm_quantmcu.patches.planned_stage import RECOMPUTE, PlannedStage, StageWays
from tflm_quantmcu.patches.region_geometry import RegionGeometry
from tflm_quantmcu.patches.stage_regions import Entries, StageEnd, entries_of
from tflm_quantmcu.patches.tile_times import MapFormulas, TileSums, TileTimes
from tflm_quantmcu.placement.memory import ARENA_ALIGNMENT, align
from tflm_quantmcu.stage import tiles
from tflm_quantmcu.stage.geometry import StageGeometry, lowered_steps, macs_per_pixel, map_shape, unfiltered_ops
from tflm_quantmcu.stage.layout import SCRATCH_ALIGNMENT, SUM_BYTES, ScratchLayout


class UpstreamCosts:
    """The stages that end in one tensor.

    One pass over the longest region serves all: what a tile needs of a map depends only on the ops behind it.
    """

    def __init__(self, model: PlannedModel, last: int, times: TileTimes | None = None, entries: Entries | None = None):
        """Costs of stages that end in op `last`; where it makes one pixel of a map, that map is cut into tiles.

        Args:
          model: whose ops they run.
          last: the op.
          times: whose figure their work is; None is MACs.
          entries: the regions, as of `entries_of`; None is those of one input.
        """
        self._model = model
        self._times = times
        self._graph = model.graph
        self._distances_of: dict[int, np.ndarray] = {}
        self._regions: dict[int, RegionGeometry] = {}
        end = StageEnd.of(model, last)
        self._entries = {} if end is None else entries_of(model, end) if entries is None else entries
        if end is None or not self._entries:
            return
        self._at, self._end, self._last = end, end.end, end.last
        self._output, self._target, self._reduction = end.output, end.target, end.reduction
        first = min(self._entries)
        self._lowered: tuple[LoweredOp, ...] = lower_region(self._graph, self._graph.ops[first : self._last + 1], {})
        produced = [op.output for op in self._lowered]
        read = [t for op in self._lowered for t in op.inputs]
        self._maps = [*dict.fromkeys(t for t in read if t not in produced), *produced]
        self._index = {t: m for m, t in enumerate(self._maps)}
        shapes = [map_shape(self._graph, t) for t in self._maps]
        self._geometry = StageGeometry.of_steps(shapes, lowered_steps(self._lowered, self._maps, shapes))
        self._num_entries = len(self._maps) - len(self._lowered)
        height, width, _ = self._geometry.shapes[-1]
        self._sizes = (tiles.tile_sizes(height), tiles.tile_sizes(width))

    def ways(self) -> list[StageWays]:
        """The ways to run each region that ends here."""
        result = []
        for first, sources in self._entries.items():
            is_torn = sources[0] in self._model.streamed and sources[0] in self._model.live[self._end]
            if self._index.keys() >= {*sources} and not is_torn:
                num_bytes, macs, num_calls = self._costs(first, sources)
                work = self._timed(self._times, first, sources[0]) if self._times else macs
                result.append(StageWays(first, self._end, sources, num_bytes, macs, work, num_calls))
        return result

    @functools.cached_property
    def _work(self) -> np.ndarray:
        """[maps] MACs of one pixel."""
        channels = {t: shape[2] for t, shape in zip(self._maps, self._geometry.shapes, strict=True)}
        work = [0.0] * self._num_entries
        for op in self._lowered:
            work.append(macs_per_pixel(op.kind, op.window, channels[op.inputs[0]], channels[op.output]))
        return np.array(work)

    @functools.cached_property
    def _choices(self) -> list[tuple[np.ndarray, bool]]:
        """Those worth trying, as of `cache_choices`."""
        value_macs = self._work / [shape[2] for shape in self._geometry.shapes]
        entries = self._maps[: self._num_entries]
        value_macs[: self._num_entries] = [np.inf if t in self._model.streamed else NEVER for t in entries]
        value_macs[-1] = NEVER
        return cache_choices(value_macs, self._num_entries, self._geometry.shortcuts())

    @functools.cached_property
    def _axes(self) -> tuple[list[AxisCosts], list[AxisCosts]]:
        """Along height and width, of each choice."""
        known: dict[tuple[int, tuple[bool, bool], tuple[int, ...]], AxisCosts] = {}
        width = int(self._axis(0) != self._axis(1))  # of square maps one axis is like the other

        def costs(axis: int, kept: list[int], primed: tuple[bool, bool]) -> AxisCosts:
            key = (axis, primed, tuple(kept))
            if key not in known:
                known[key] = axis_costs(*self._axis(axis), kept, primed)
            return known[key]

        choices = [(modes.tolist(), primed) for modes, primed in self._choices]
        rows = [costs(0, tiles.kept_along(0, modes), (primed, primed)) for modes, primed in choices]
        return rows, [costs(width, tiles.kept_along(1, modes), (primed, False)) for modes, primed in choices]

    @functools.cached_property
    def _counts(self) -> tuple[np.ndarray, np.ndarray]:
        """[choices, tile sizes] tiles along height and width."""
        rows, cols = (np.stack([costs.counts for costs in axis]) for axis in self._axes)
        return rows, cols

    def _axis(self, axis: int) -> tuple[Sequence[tiles.AxisOp], list[int], list[int]]:
        """(ops, extents, tile sizes) along height (0) or width (1)."""
        ops = (self._geometry.ops_y, self._geometry.ops_x)[axis]
        return ops, [shape[axis] for shape in self._geometry.shapes], self._sizes[axis]

    @functools.cached_property
    def _arrays(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        """[choices, tile heights, tile widths, maps]: tile buffers, halo stores and MACs behind each map, and (over
        ops) the tile buffers live at each."""
        rows, cols = self._axes
        _, widths, channels = np.array(self._geometry.shapes).T
        run = np.array(
            [run_bytes(int(c), self._model.inner_bits(t)) for c, t in zip(channels, self._maps, strict=True)]
        )

        def stack(axis: list[AxisCosts], name: str) -> np.ndarray:
            return np.stack([getattr(costs, name) for costs in axis])

        heights = stack(rows, "largest")[:, :, None]
        buffers = _align(heights * stack(cols, "largest")[:, None] * run)
        stores = _align(heights * stack(cols, "halo")[:, None] * run)
        stores += _align(stack(rows, "halo")[:, :, None] * widths * run)
        macs = stack(rows, "summed")[:, :, None] * stack(cols, "summed")[:, None] * self._work
        if not self._reduction:
            buffers[..., -1] = 0  # tiles are written where they belong
        return buffers, _sums_from(stores), _sums_from(macs), buffers @ self._geometry.liveness()

    @functools.cached_property
    def _live_from(self) -> np.ndarray:
        """The most that is live at an op or behind it, 0 behind the last."""
        live = self._arrays[3]
        most = np.maximum.accumulate(live[..., ::-1], axis=-1)[..., ::-1]
        return np.concatenate([most, np.zeros((*live.shape[:-1], 1))], axis=-1)

    def _position(self, first: int) -> int:
        """The position of the first lowered op of a region."""
        outputs = {op.outputs[0] for op in self._graph.ops[first : self._last + 1]}
        return next(p for p, op in enumerate(self._lowered) if op.output in outputs)

    def _costs(self, first: int, sources: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """(bytes, MACs, kernel calls) of a region."""
        buffers, stores, macs, live = self._arrays
        position, inputs = self._position(first), [self._index[t] for t in sources]
        if sources[0] in self._model.streamed:
            scratch = self._live_from[..., position] + stores[..., inputs[0]]
        else:
            # Without the inputs, which the longer region holds in tile buffers.
            end = max(position, *(self._geometry.lifetimes()[m][1] + 1 for m in inputs))
            held = buffers[..., inputs] @ self._geometry.liveness()[inputs, position:end]
            with_inputs = (live[..., position:end] - held).max(axis=-1, initial=0)
            scratch = np.maximum(with_inputs, self._live_from[..., end]) + stores[..., self._num_entries + position]
        scratch += self._sums_bytes + self._kernel_bytes_from[position]
        num_bytes = self._ends_bytes(sources, first)[:, :, None] + _align(scratch, ARENA_ALIGNMENT)
        rows, cols = self._counts
        calls = rows[:, :, None] * cols[:, None] * (self._end - first)
        reduced = sum(self._model.base_macs[self._last + 1 : self._end])
        return num_bytes.astype(np.int64), macs[..., self._num_entries + position].astype(np.int64) + reduced, calls

    def _timed(self, times: TileTimes, first: int, source: int) -> np.ndarray:
        """int64 [choices, tile heights, tile widths] of a region."""
        rows, cols = self._counts
        stage, line, tile = (times.driver[name] for name in ("stages", "tile_rows", "tiles"))
        driver = stage + line * rows[:, :, None] + tile * (rows[:, :, None] * cols[:, None])
        first_map = self._index[source] if source in self._model.streamed else self._num_entries + self._position(first)
        return (self._map_times[..., first_map] + driver).astype(np.int64)

    @functools.cached_property
    def _map_times(self) -> np.ndarray:
        """[choices, tile heights, tile widths, maps] of making each map and those behind it."""
        assert self._times
        kernel_of = functools.partial(measured_kernel_of_lowered, self._graph)
        shapes, bits_of = self._geometry.shapes, self._model.inner_bits
        found = MapFormulas.of(self._times, self._lowered, self._maps, shapes, bits_of, kernel_of)
        if self._reduction:
            channels = self._graph.tensors[self._output].shape[-1]
            found = found.with_reduction(self._times, self._reduction.op, shapes[-1], channels, bits_of)
        rows, cols = (
            TileSums(*(np.stack([getattr(costs, f.name) for costs in axis]) for f in dataclasses.fields(TileSums)))
            for axis in self._axes
        )
        return _sums_from(found.work(rows, cols))

    @functools.cached_property
    def _kernel_bytes_from(self) -> np.ndarray:
        """[ops] the least that the largest call of an op or of one behind it takes, with the kernels that take most."""
        shapes, bits = self._geometry.shapes, [self._model.inner_bits(t) for t in self._maps]
        ops = unfiltered_ops(self._lowered, self._maps)
        least = [max(least_kernel_bytes(variant, op, shapes, bits) for variant in self._model.variants) for op in ops]
        return np.maximum.accumulate(least[::-1])[::-1]

    @property
    def _sums_bytes(self) -> int:
        return SUM_BYTES * self._graph.tensors[self._output].num_elements if self._reduction else 0

    def _ends_bytes(self, sources: tuple[int, ...], first: int) -> np.ndarray:
        """[choices, tile heights] inputs, output, which may share bytes with the first, and what else is live around
        the stage."""
        model, source = self._model, sources[0]
        held = self._at.bytes_around(model, sources, first)
        x, y = model.tensor_bytes(source), model.tensor_bytes(self._output)
        distances = self._distances(source)
        if not self._at.may_be_over(model, source):
            return np.full_like(distances, held + x + y)
        return held + np.minimum(np.maximum(distances + x, y), x + y)

    def _distances(self, source: int) -> np.ndarray:
        """[choices, tile heights] as `overlap.overlap_distance`."""
        if source in self._distances_of:
            return self._distances_of[source]
        written, row_bytes = self._model.row_bytes(self._target), self._model.row_bytes(source)
        distances = {
            costs: (costs.ends * written - costs.begins[..., self._index[source]] * row_bytes).max(axis=-1)
            for costs in dict.fromkeys(self._axes[0])  # several choices are alike along an axis
        }
        stacked = np.stack([distances[costs] for costs in self._axes[0]])
        self._distances_of[source] = _align(np.maximum(stacked, 0).astype(float), ARENA_ALIGNMENT)
        return self._distances_of[source]

    def _region(self, ways: StageWays) -> RegionGeometry:
        if ways.first not in self._regions:
            self._regions[ways.first] = RegionGeometry(self._graph, ways.first, ways.end, ways.sources)
        return self._regions[ways.first]

    def stage(self, ways: StageWays, way: int) -> PlannedStage:
        """One way, with its exact scratch; `way` counts through the arrays of `ways`."""
        choice, h, w = np.unravel_index(way, ways.macs.shape)
        source = ways.sources[0]
        is_streamed = source in self._model.streamed
        region = self._region(ways)
        geometry, maps = region.geometry, region.maps
        chosen, primed = self._choices[choice]
        modes = {t: int(chosen[self._index[t]]) for t in maps[: geometry.tiled]}
        if not is_streamed:
            modes |= dict.fromkeys(ways.sources, RECOMPUTE)
        height, width = self._sizes[0][h], self._sizes[1][w]
        distance = int(self._distances(source)[choice, h])
        is_shared = self._at.may_be_over(self._model, source) and distance < self._model.tensor_bytes(self._target)
        bits = [self._model.inner_bits(t) for t in maps]
        choices = [*modes.values(), *[RECOMPUTE] * (len(maps) - geometry.tiled)]
        spans = region.spans(height, width, choices, is_primed=primed)
        layout = ScratchLayout.of(geometry, spans, choices, bits, is_streamed=is_streamed)
        map_bytes = max(0, *(offset + n for offset, n in layout.places(bits)))
        kernels = stage_kernel_bytes(self._model.variants, region.ops, geometry.shapes, spans, bits)
        scratch = tuple(behind_maps(map_bytes, num_bytes) for num_bytes in kernels)
        return PlannedStage(
            inputs=ways.sources,
            output=self._output,
            tiled=self._target,
            ops=tuple(range(ways.first, ways.end)),
            tile_height=height,
            tile_width=width,
            modes=modes,
            is_streamed=is_streamed,
            primed=primed,
            map_bytes=map_bytes,
            scratch_bytes=scratch,
            distance=distance if is_shared else None,
            live_bytes=int(self._ends_bytes(ways.sources, ways.first)[choice, h])
            + align(max(scratch), ARENA_ALIGNMENT),
            macs=int(ways.macs[choice, h, w]),
            base_macs=sum(self._model.base_macs[ways.first : ways.end]),
        )


def _align(num_bytes: np.ndarray, alignment: int = SCRATCH_ALIGNMENT) -> np.ndarray:
    return np.ceil(num_bytes / alignment) * alignment


def _sums_from(values: np.ndarray) -> np.ndarray:
    """Sums over each map and all behind it."""
    return np.cumsum(values[..., ::-1], axis=-1)[..., ::-1]
