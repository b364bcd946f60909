"""One way to run consecutive ops as a patch stage, with its exact scratch."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np

from tflm_quantmcu.cost.network_cost import PlacedStage
from tflm_quantmcu.graph.precision_plan import PatchClass, StagePlan
from tflm_quantmcu.graph.types import ModelGraph
from tflm_quantmcu.lowering.regions import lower_region
from tflm_quantmcu.patches.planned_model import PlannedModel
from tflm_quantmcu.stage.build import INPUT_MODES, build_program
from tflm_quantmcu.stage.geometry import map_tensors
from tflm_quantmcu.stage.layout import CACHE_MODES
from tflm_quantmcu.stage.program import StageProgram

RECOMPUTE, ROWS, FULL, AHEAD = range(len(CACHE_MODES))


@dataclasses.dataclass(frozen=True, eq=False)
class PlannedStage:
    """One stage of a split, at one class of patches.

    Attributes:
      inputs, output: tensor indices; the first input may be streamed, or share bytes with the output.
      tiled: tensor index of the map that is cut into tiles: the output, or what a reduction makes it of.
      ops: op indices.
      tile_height, tile_width: of the tiled map.
      modes: tensor index -> index into CACHE_MODES, of the inputs and the maps between it and the tiled one.
      is_streamed: the first input is not in the arena but given by a reader.
      primed: tiles before the first bring cached maps on their way.
      map_bytes: of scratch, for halo stores, sums and tile buffers.
      scratch_bytes: of each variant of our kernels that may run, what its calls take behind the maps included.
      distance: the least bytes by which the input must begin behind the output where both may share bytes, else None.
      live_bytes: of the arena while the stage runs, with the kernels that take the most.
      macs: recomputation included.
      base_macs: of the same ops unsplit.
    """

    inputs: tuple[int, ...]
    output: int
    tiled: int
    ops: tuple[int, ...]
    tile_height: int
    tile_width: int
    modes: Mapping[int, int]
    is_streamed: bool
    primed: bool
    map_bytes: int
    scratch_bytes: tuple[int, ...]
    distance: int | None
    live_bytes: int
    macs: int
    base_macs: int

    @property
    def input(self) -> int:
        """The first of them."""
        return self.inputs[0]

    @property
    def extra_macs(self) -> int:
        return self.macs - self.base_macs

    @property
    def cache_mode(self) -> str:
        """The most that any map keeps."""
        return CACHE_MODES[max(self.modes.values(), default=RECOMPUTE)]

    @property
    def placed(self) -> PlacedStage:
        return PlacedStage(self.ops, self.inputs, self.output, self.scratch_bytes, self.distance)

    def plan(self, graph: ModelGraph) -> StagePlan:
        """The stage with all patches in one class at the model's own formats."""
        _, height, width, _ = graph.tensors[self.tiled].shape
        rows, cols = -(-height // self.tile_height), -(-width // self.tile_width)
        return StagePlan(
            input=graph.tensors[self.input].name,
            output=graph.tensors[self.output].name,
            other_inputs=tuple(graph.tensors[t].name for t in self.inputs[1:]),
            tile_height=self.tile_height,
            tile_width=self.tile_width,
            patch_classes=((0,) * cols,) * rows,
            classes=(PatchClass("outlier", {}),),
            cache_mode=self.cache_mode,
            map_caches={
                graph.tensors[t].name: CACHE_MODES[mode]
                for t, mode in self.modes.items()
                if CACHE_MODES[mode] != self.cache_mode
            },
            primed=self.primed,
            input_mode=INPUT_MODES[self.is_streamed],
        )

    def program(self, model: PlannedModel) -> StageProgram:
        """The program that `plan` runs, its maps of the planned widths."""
        program = build_program(model.graph, self.plan(model.graph), weight_bits={}, formats={})
        lowered = lower_region(model.graph, [model.graph.ops[i] for i in self.ops], {})
        widths = [model.inner_bits(t) for t in map_tensors(lowered, self.inputs)]
        if set(widths) == {8}:
            return program
        formats = tuple(dataclasses.replace(f, bits=b) for f, b in zip(program.formats[0], widths, strict=True))
        return dataclasses.replace(program, formats=(formats,))


@dataclasses.dataclass(frozen=True, eq=False)
class StageWays:
    """All ways to run the ops [first, end) as one stage, arrays [cache choices, tile heights, tile widths].

    Attributes:
      first, end: op indices.
      sources: tensor indices of the inputs.
      num_bytes: arena bytes live while the stage runs, a lower bound.
      macs: recomputation included.
      work: what the planner minimises: MACs, or estimated cycles.
      num_calls: of kernels, over all tiles.
    """

    first: int
    end: int
    sources: tuple[int, ...]
    num_bytes: np.ndarray
    macs: np.ndarray
    work: np.ndarray
    num_calls: np.ndarray
