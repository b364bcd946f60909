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
from tflm_quantmcu.placement.memory import ARENA_ALIGNMENT

# Of as much work the path is taken that holds the least, summed over its edges: it is the easiest one to place.
WORK_UNIT = 1 << 24


def stage_edges(
    model: PlannedModel, base_work: Sequence[float], times: TileTimes | None, stage_work: int
) -> list[StageEdge]:
    """All edges of a model.

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
        upstream = UpstreamCosts(model, op.index, times)
        edges += [edge for ways in upstream.ways() if (edge := _stage_edge(model, upstream, ways, stage_work))]
    return edges


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
