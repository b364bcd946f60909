"""What TFLM's planner is given of a network of several subgraphs, whose memory it plans together.

In: the subgraphs, bytes of their tensors and scratch. Out: steps as placement/memory.py takes them. A subgraph runs
inside the op that names it: that op's maps are held meanwhile.
Source: AllocationInfoBuilder::MarkAllocationLifetimes at the pinned version.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Sequence

from tflm_quantmcu.graph.subgraphs import INNER
from tflm_quantmcu.graph.types import ModelGraph
from tflm_quantmcu.placement import memory


def whole_arena(
    subgraphs: Sequence[ModelGraph],
    tensor_bytes: Sequence[Sequence[int]],
    scratch_bytes: Sequence[Sequence[tuple[int, ...]]],
) -> int:
    """The non-persistent arena bytes that TFLM records.

    Args:
      subgraphs: of the model, the first its own.
      tensor_bytes: [subgraph][tensor], 0 of what TFLM does not place.
      scratch_bytes: [subgraph][op] its scratch buffers.
    """
    walk = _Walk(subgraphs, scratch_bytes)
    walk.run(0)
    steps = [memory.Step(tuple(read), tuple(written)) for read, written in walk.steps]
    num_bytes = [*itertools.chain(*tensor_bytes), *walk.scratch]
    pins = [graph.offline_offsets or (-1,) * len(graph.tensors) for graph in subgraphs]
    return memory.greedy_arena(num_bytes, steps, (), (), pinned=[*itertools.chain(*pins), *[-1] * len(walk.scratch)])


class _Walk:
    """All steps of one inference in TFLM's order; scratch buffers are numbered behind the tensors.

    Attributes:
      steps: (tensors read, tensors written) each.
      scratch: bytes of every scratch buffer, in the order in which they are requested.
    """

    def __init__(self, subgraphs: Sequence[ModelGraph], scratch_bytes: Sequence[Sequence[tuple[int, ...]]]) -> None:
        self._subgraphs = subgraphs
        self._starts = list(itertools.accumulate((len(graph.tensors) for graph in subgraphs), initial=0))
        self.steps: list[tuple[list[int], list[int]]] = [([], [])]
        self.scratch = [n for ops in scratch_bytes for buffers in ops for n in buffers if n]
        numbers = itertools.count(self._starts[-1])
        self._requests = [[[next(numbers) for n in buffers if n] for buffers in ops] for ops in scratch_bytes]

    def run(self, number: int) -> None:
        """Adds the steps of a subgraph; those inside of an op follow its own."""
        graph, start = self._subgraphs[number], self._starts[number]
        self._write(start + t for t in graph.inputs)
        for op, requests in zip(graph.ops, self._requests[number], strict=True):
            written = [*(start + t for t in op.outputs), *requests]
            self.steps.append(([], []))
            self._write(written)
            for option in INNER.get(op.kind, ()):
                self.steps.append(([], []))
                self.run(int(op.options[option]))
            self.steps[-1][0].extend(start + t for t in op.inputs if t >= 0)
            self._write(written)
        self._write(start + t for t in graph.outputs)

    def _write(self, tensors: Iterable[int]) -> None:
        self.steps[-1][1].extend(tensors)
