"""Builds the program of a planned stage from an int8 model; refuses plans that do not fit it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from tflm_quantmcu.base.errors import UnsupportedModelError, UsageError
from tflm_quantmcu.graph.layer_names import layer_of
from tflm_quantmcu.graph.precision_plan import CHOSEN_AT_RUN_TIME, PrecisionPlan, RoundedWeights, StagePlan
from tflm_quantmcu.graph.types import Format, ModelGraph
from tflm_quantmcu.law.packing import pack
from tflm_quantmcu.lowering.ops import LoweredOp
from tflm_quantmcu.lowering.regions import lower_region
from tflm_quantmcu.stage import tiles
from tflm_quantmcu.stage.geometry import (
    StageGeometry,
    StageOp,
    is_gated,
    map_shape,
    map_tensors,
    planned_ops,
    planned_sources,
    stage_ops,
)
from tflm_quantmcu.stage.layout import CACHE_MODES, MapCache, ScratchLayout
from tflm_quantmcu.stage.program import MAX_INPUTS, MAX_MAPS, NO_OUTLIERS, StageFormat, StageProgram

INPUT_MODES = ("resident", "streamed")


def build_program(
    graph: ModelGraph,
    plan: StagePlan,
    *,
    weight_bits: Mapping[str, int],
    formats: Mapping[str, Format],
    rounded_weights: Mapping[str, RoundedWeights] = MappingProxyType({}),
) -> StageProgram:
    """Lowers a planned stage.

    Args:
      graph: the int8 model.
      plan: the stage.
      weight_bits: weight tensor name -> bits; absent is 8.
      formats: tensor name -> format of maps outside stages; the stage's input and output follow it.
      rounded_weights: weight tensor name -> values, of those that are not rounded to the nearest.

    Raises:
      UnsupportedModelError: an op has no kernel, or the region has another entry or exit.
      UsageError: the plan's names, tile or classes do not fit the model.
    """
    for name in (*plan.inputs, plan.output):
        if name not in graph.by_name:
            raise UsageError(f"the plan's stage names tensor '{name}', which the model does not have")
    lowered = lower_region(graph, planned_ops(graph, plan), weight_bits, rounded_weights)
    return program_of(graph, lowered, planned_sources(graph, plan), plan, formats=formats)


def planned_program(graph: ModelGraph, plan: PrecisionPlan, stage: StagePlan) -> StageProgram:
    """The program of one of a plan's stages; raises as `build_program`."""
    return build_program(
        graph, stage, weight_bits=plan.weight_bits, formats=plan.formats, rounded_weights=plan.rounded_weights
    )


def stage_tensors(graph: ModelGraph, sources: Sequence[int], target: int) -> tuple[int, ...]:
    """The tensor of each map of a stage between tensors of the model, in the order of its program's maps.

    Raises:
      UnsupportedModelError: as `build_program`.
    """
    return map_tensors(lower_region(graph, stage_ops(graph, sources, target), {}), sources)


def planned_tensors(graph: ModelGraph, stage: StagePlan) -> tuple[int, ...]:
    """The same of a planned stage."""
    return stage_tensors(graph, planned_sources(graph, stage), graph.by_name[stage.output].index)


def stage_layers(graph: ModelGraph, sources: Sequence[int], target: int) -> tuple[str, ...]:
    """A name an op of a stage between tensors: its Keras layer's, or its output's; raises as `stage_tensors`."""
    tensors = [graph.tensors[t] for t in stage_tensors(graph, sources, target)[len(sources) :]]
    return tuple(layer_of(graph, tensor) for tensor in tensors)


def program_of(
    graph: ModelGraph,
    lowered: Sequence[LoweredOp],
    sources: Sequence[int],
    plan: StagePlan,
    *,
    formats: Mapping[str, Format],
) -> StageProgram:
    """The program of ops that are lowered already; see `build_program`."""
    tensors = map_tensors(lowered, sources)
    if len(tensors) > MAX_MAPS or len(sources) > MAX_INPUTS:
        raise UnsupportedModelError(
            f"the stage has {len(tensors)} feature maps, {len(sources)} of them inputs; supported are {MAX_MAPS}, "
            f"{MAX_INPUTS} of them inputs"
        )
    shapes = tuple(map_shape(graph, t) for t in tensors)
    index = {t: m for m, t in enumerate(tensors)}
    ops = tuple(_stage_op(op, index) for op in lowered)
    geometry = StageGeometry.of(shapes, ops)
    _check_gates(graph, lowered, ops, geometry)
    _check_plan(plan, shapes[geometry.tiled])
    modes = _cache_modes(plan, [graph.tensors[t].name for t in tensors], geometry)
    primed = tiles.priming_of(plan.primed, shapes[geometry.tiled][1], plan.tile_width)
    spans = geometry.spans(plan.tile_height, plan.tile_width, modes, primed=primed)
    chosen = _chosen_formats(graph, tensors, {*sources, tensors[-1]}, plan, formats)
    bits = [format.bits for format in chosen[0]]
    layout = ScratchLayout.of(geometry, spans, modes, bits, is_streamed=plan.input_mode == "streamed")
    _check_shared_formats(chosen, layout.caches, lowered, geometry)
    return StageProgram(
        tile_height=plan.tile_height,
        tile_width=plan.tile_width,
        shapes=shapes,
        ops=ops,
        formats=_formats(layout, lowered, chosen, plan),
        tables=tuple(
            tuple(
                op.corrected(patch_class.bias_corrections.get(graph.tensors[op.output].name)).requantization_table(
                    [formats_of[index[t]] for t in op.inputs],
                    formats_of[index[op.output]],
                )
                for op in lowered
            )
            for formats_of, patch_class in zip(chosen, plan.classes, strict=True)
        ),
        patch_classes=plan.patch_classes,
        caches=layout.caches,
        outliers=plan.outliers or NO_OUTLIERS,
        primed=primed,
    )


def _chosen_formats(
    graph: ModelGraph, tensors: Sequence[int], ends: Collection[int], plan: StagePlan, formats: Mapping[str, Format]
) -> list[list[Format]]:
    """[class][map]: the ends have the network's formats, inner maps those of the class."""
    return [
        [
            (formats if t in ends else patch_class.formats).get(graph.tensors[t].name, graph.tensors[t].format)
            for t in tensors
        ]
        for patch_class in plan.classes
    ]


def _cache_modes(plan: StagePlan, names: Sequence[str], geometry: StageGeometry) -> list[int]:
    """[map] index into CACHE_MODES; inputs that stand whole in memory and what is cut into tiles keep nothing."""
    modes = [CACHE_MODES.index(plan.map_caches.get(name, plan.cache_mode)) for name in names[: geometry.tiled]]
    for m in range(plan.input_mode == "streamed", geometry.num_inputs):
        modes[m] = 0
    return modes + [0] * (len(names) - geometry.tiled)


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
            name = lowered[m - geometry.num_inputs].name
            raise UsageError(
                f"the plan gives '{name}' a format a patch class, and it {shared} tiles of all classes; "
                "give it one format, or cache mode 'recompute'"
            )


def _check_gates(
    graph: ModelGraph, lowered: Sequence[LoweredOp], ops: Sequence[StageOp], geometry: StageGeometry
) -> None:
    for op, low in zip(ops, lowered, strict=True):
        if is_gated(op.kind, op.inputs, op.output, geometry.shapes) and not 0 < op.inputs[1] < geometry.num_inputs:
            gate = graph.tensors[low.inputs[1]].label
            raise UnsupportedModelError(
                f"'{low.name}' multiplies by '{gate}', which must be whole before the stage: a further input of it"
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
        depth_multiplier=op.depth_multiplier if op.traits.has_multiplier else len(op.runs),
        filter=pack(filter.values, filter.bits).tobytes() if filter else b"",
    )


def _formats(
    layout: ScratchLayout, lowered: Sequence[LoweredOp], chosen: Sequence[Sequence[Format]], plan: StagePlan
) -> tuple[tuple[StageFormat, ...], ...]:
    """[class][map] formats with clamps and places in scratch."""
    is_chosen_late = any(CHOSEN_AT_RUN_TIME in row for row in plan.patch_classes)
    found: list[tuple[StageFormat, ...]] = []
    for number, formats_of in enumerate(chosen):
        bits, tiles = [format.bits for format in formats_of], _tiles_of(plan, number, layout.spans)
        # A streamed input is read before its tile has a class.
        input_offset = found[0][0].scratch_offset if found and layout.is_streamed and is_chosen_late else None
        found.append(_class_formats(lowered, formats_of, layout.places(bits, tiles, input_offset=input_offset)))
    return tuple(found)


def _class_formats(
    lowered: Sequence[LoweredOp], chosen: Sequence[Format], places: Sequence[tuple[int, int]]
) -> tuple[StageFormat, ...]:
    writers: list[LoweredOp | None] = [*[None] * (len(chosen) - len(lowered)), *lowered]
    result = []
    for format, writer, place in zip(chosen, writers, places, strict=True):
        clamps = writer.clamp_range(format) if writer else (format.qmin, format.qmax)
        result.append(StageFormat(format.bits, format.zero_point, *clamps, *place))
    return tuple(result)
