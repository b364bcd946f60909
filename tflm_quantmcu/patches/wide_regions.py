"""Which regions of several inputs may lower an arena: the few that are worth their price.

In: a PlannedModel, the edges of the paths that are known, and the bytes that are to be lowered. Out: regions, as
`entries_of` names them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Sequence

from tflm_quantmcu.patches.exact_paths import StageEdge
from tflm_quantmcu.patches.planned_model import PlannedModel
from tflm_quantmcu.patches.stage_regions import StageEnd, entries_of
from tflm_quantmcu.stage.program import MAX_INPUTS


@dataclasses.dataclass(frozen=True)
class _Span:
    """Ops [first, end) and the least bytes in which they run; of a region, with its inputs."""

    first: int
    end: int
    num_bytes: int
    sources: tuple[int, ...] = ()


def wide_regions(model: PlannedModel, edges: Sequence[StageEdge], limit: int) -> dict[int, dict[int, tuple[int, ...]]]:
    """The regions that may be part of a path within fewer bytes than the limit, and that it may need.

    What a region's ends hold, and what lives beside it, is less than it takes, and known without a price. Of a region
    whose ops by themselves hold no more than each path must hold somewhere no path has need.

    Args:
      model: whose ops they run.
      edges: of each op by itself, and of stages of one input.
      limit: bytes.

    Returns:
      Last op -> first op -> input tensors.
    """
    regions = [region for region in _regions_of(model) if region.num_bytes < limit]
    spans = [*regions, *(_Span(edge.first, edge.end, int(edge.num_bytes[0])) for edge in edges)]
    num_ops = len(model.graph.ops)
    before = _least_bytes(spans, num_ops)
    turned = [_Span(num_ops - span.end, num_ops - span.first, span.num_bytes) for span in spans]
    behind = _least_bytes(turned, num_ops)[::-1]
    found: dict[int, dict[int, tuple[int, ...]]] = {}
    for region in regions:
        is_reached = max(before[region.first], behind[region.end]) < limit
        if is_reached and max(model.unsplit_bytes[region.first : region.end]) > before[-1]:
            found.setdefault(region.end - 1, {})[region.first] = region.sources
    return found


def _regions_of(model: PlannedModel) -> Iterator[_Span]:
    """All regions of several inputs, and what they take at the least."""
    for op in model.graph.ops:
        end = StageEnd.of(model, op.index)
        entries = entries_of(model, end, MAX_INPUTS) if end else {}
        for first, sources in entries.items():
            if end and len(sources) > 1:
                x, y = model.tensor_bytes(sources[0]), model.tensor_bytes(end.output)
                ends = max(x, y) if end.may_be_over(model, sources[0]) else x + y
                yield _Span(first, end.end, end.bytes_around(model, sources, first) + ends, sources)


def _least_bytes(spans: Iterable[_Span], num_ops: int) -> list[int]:
    """[place between ops] the fewest bytes within which a path gets there."""
    least = [0] + [1 << 62] * num_ops
    for span in sorted(spans, key=lambda span: (span.end, span.first)):
        least[span.end] = min(least[span.end], max(least[span.first], span.num_bytes))
    return least
