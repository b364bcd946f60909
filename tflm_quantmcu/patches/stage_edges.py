"""The edges of the graph of paths: each op by itself, and each stage in the ways that take less than its ops do.

In: a PlannedModel and what splits of it take. Out: StageEdges, for `exact_paths.py`.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tflm_quantmcu.patches.exact_paths import StageEdge
from tflm_quantmcu.patches.planned_model import PlannedModel
from tflm_quantmcu.patches.planned_stage import StageWays
from tflm_quantmcu.patches.stage_costs import UpstreamCosts
from tflm_quantmcu.patches.stage_path import Edge
from tflm_quantmcu.patches.tile_times import TileTimes
from tflm_quantmcu.patches.wide_regions import wide_regions
from tflm_quantmcu.placement.memory import ARENA_ALIGNMENT

# Of as much work the path is taken that holds the least, summed over its edges: it is the easiest one to place.
WORK_UNIT = 1 << 24


def stage_edges(
    model: PlannedModel, base_work: Sequence[float], times: TileTimes | None, stage_work: int
) -> list[StageEdge]:
    """All edges of a model but stages of several inputs.

    Args:
      model: whose ops they run.
      base_work: [op] of what is minimised, by itself.
      times: its formulas, or None where it is MACs.
      stage_work: what each stage counts beside its work.

    Returns:
      Edges; their work is in `WORK_UNIT`s and, below one, in what they hold.
    """
    edges: list[StageEdge] = []
    for op in model.graph.ops:
        if model.can_run_unsplit(op):
            num_bytes = np.array([model.unsplit_bytes[op.index]])
            work = np.array([int(base_work[op.index]) * WORK_UNIT]) + num_bytes // ARENA_ALIGNMENT
            edges.append(Edge.of(op.index, op.index + 1, num_bytes, work, [None]))
        edges += _edges_into(model, UpstreamCosts(model, op.index, times), stage_work)
    return edges


def wide_edges(
    model: PlannedModel, edges: Sequence[StageEdge], limit: int, times: TileTimes | None, stage_work: int
) -> list[StageEdge]:
    """Edges of several inputs beside those of `stage_edges`: the few that may take a path to fewer bytes than a limit;
    the rest as of `stage_edges`."""
    regions = wide_regions(model, edges, limit)
    found = [UpstreamCosts(model, last, times, entries) for last, entries in regions.items()]
    return [edge for upstream in found for edge in _edges_into(model, upstream, stage_work)]


def _edges_into(model: PlannedModel, upstream: UpstreamCosts, stage_work: int) -> list[StageEdge]:
    return [edge for ways in upstream.ways() if (edge := _stage_edge(model, upstream, ways, stage_work))]


def _stage_edge(model: PlannedModel, upstream: UpstreamCosts, ways: StageWays, stage_work: int) -> StageEdge | None:
    """The ways that take less than the ops one by one, none of them in place; of a streamed input all."""
    is_needed = ways.sources[0] in model.streamed
    unsplit = max(model.held_bytes[ways.first : ways.end])
    useful = np.flatnonzero((ways.num_bytes < unsplit) | is_needed)
    if not useful.size:
        return None
    num_bytes = ways.num_bytes.ravel()[useful]
    held = (ways.end - ways.first) * num_bytes // ARENA_ALIGNMENT + stage_work * WORK_UNIT
    payload = [(upstream, ways, way) for way in useful.tolist()]
    return Edge.of(ways.first, ways.end, num_bytes, ways.work.ravel()[useful] * WORK_UNIT + held, payload)
