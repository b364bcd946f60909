"""A model as the planner of stages sees it: widths of its maps, what is live between ops, and what stages can hold."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence

from tflm_quantmcu.arena.in_place import eight_bit_overlays, reshape_sources
from tflm_quantmcu.arena.predict import converted_scratch_bytes, placed_bytes
from tflm_quantmcu.graph.target import KERNEL_VARIANTS, QUANTMCU
from tflm_quantmcu.graph.types import ModelGraph, Op, Tensor
from tflm_quantmcu.law.packing import run_bytes
from tflm_quantmcu.lowering.network import LoweredNetwork
from tflm_quantmcu.placement.memory import ARENA_ALIGNMENT, align


class PlannedModel:
    """A model with the widths of its maps, and what is live before and after each op.

    Attributes:
      graph: the int8 model.
      map_bits: tensor name -> width of a map outside stages, or at their ends; absent is 8.
      network: it, as our kernels see it.
      variants: of our kernels, those that may run it; bytes are those of the one that takes the most.
      live: [boundary] tensors live between op boundary - 1 and op boundary; boundary 0 is before the first op.
      streamed: tensors that a reader gives instead of the arena: the input, and what a QUANTIZE makes of it.
      folded: tensors that no converted model has.
    """

    def __init__(
        self,
        graph: ModelGraph,
        bits: Mapping[str, int],
        inner_bits: Mapping[str, int],
        *,
        is_streamed: bool = False,
        variants: Sequence[str] = KERNEL_VARIANTS,
        stock_kernels: str = QUANTMCU,
    ):
        """Args:
        bits: tensor name -> width of a map outside stages, or at their ends; absent is 8.
        inner_bits: the same of maps inside stages.
        is_streamed: the input is no tensor of the arena; a stage reads it, part by part.
        variants: of our kernels.
        stock_kernels: what runs the ops outside of stages, one of STOCK_KERNELS.
        """
        self.graph = graph
        self.network = LoweredNetwork.of(graph)
        self.variants = tuple(variants)
        self.stock_kernels = stock_kernels
        self.map_bits = bits
        self._inner_bits = inner_bits
        self.streamed = _streamed_tensors(graph) if is_streamed else frozenset()
        self.folded = self.network.folded
        self._bytes = [
            0 if t.index in self.streamed | self.folded else align(self._map_bytes(t, own), ARENA_ALIGNMENT)
            for t, own in zip(graph.tensors, placed_bytes(graph), strict=True)
        ]
        self.live = _live_tensors(self.network)

    def _map_bytes(self, tensor: Tensor, own: int) -> int:
        bits = self.map_bits.get(tensor.name, 8)
        return own if bits == 8 else own // tensor.shape[-1] * run_bytes(tensor.shape[-1], bits)

    @property
    def all_bytes(self) -> tuple[int, ...]:
        """[tensor] in the arena, as its planner rounds them."""
        return tuple(self._bytes)

    def tensor_bytes(self, tensor: int) -> int:
        """Bytes in the arena, as its planner rounds them."""
        return self._bytes[tensor]

    def row_bytes(self, tensor: int) -> int:
        """Bytes of a row of a [1, H, W, C] map in the arena."""
        shape = self.graph.tensors[tensor].shape
        return shape[2] * run_bytes(shape[3], self.map_bits.get(self.graph.tensors[tensor].name, 8))

    def inner_bits(self, tensor: int) -> int:
        """Width of a map inside a stage."""
        return self._inner_bits.get(self.graph.tensors[tensor].name, 8)

    @functools.cached_property
    def base_macs(self) -> tuple[int, ...]:
        """[op] unsplit."""
        return tuple(map(self.network.macs, self.graph.ops))

    def why_not_in_stage(self, op: Op) -> str | None:
        """The reason why no stage can hold the op, or None if one can."""
        return "it has no spatial axes" if op.traits.is_vector else self.network.stage_refusal(op)

    def may_part_at(self, tensor: int) -> bool:
        """Whether a stage may begin or end at a tensor: it stands not inside of what a stage holds as one op."""
        writer = self.graph.producer.get(tensor)
        is_between = writer is not None and writer.index in self.network.shuffled
        return tensor not in self.folded and not is_between

    def can_run_unsplit(self, op: Op) -> bool:
        """Whether all that the op reads is in the arena; a QUANTIZE of a streamed input is the reader's work."""
        return self.streamed.isdisjoint(op.inputs) or self.streamed.issuperset(op.outputs)

    @functools.cached_property
    def held_bytes(self) -> tuple[int, ...]:
        """[op] arena bytes live while the op runs by itself, if its output shares none with its input."""
        result = []
        for op in self.graph.ops:
            live = self.live[op.index] | self.live[op.index + 1] | set(op.outputs)
            scratch = converted_scratch_bytes(self.graph, op, self.variants, self.stock_kernels)
            result.append(sum(map(self.tensor_bytes, live)) + sum(align(n, ARENA_ALIGNMENT) for n in scratch))
        return tuple(result)

    @functools.cached_property
    def unsplit_bytes(self) -> tuple[int, ...]:
        """[op] arena bytes live while the op runs by itself, in place where it can."""
        sources = reshape_sources(self.graph)
        return tuple(
            held - self._shared_bytes(op, sources) for held, op in zip(self.held_bytes, self.graph.ops, strict=True)
        )

    def _shared_bytes(self, op: Op, sources: Mapping[int, int]) -> int:
        """What the output of an op by itself shares with an input that nothing reads any more, or is the same as."""
        output = op.outputs[0]
        if output in sources:
            return min(self.tensor_bytes(output), self.tensor_bytes(sources[output]))
        for source, distance in eight_bit_overlays(self.graph, op, self._bytes).items():
            if source not in self.live[op.index + 1]:
                return max(0, min(self.tensor_bytes(source), self.tensor_bytes(output) - distance))
        return 0


def _live_tensors(network: LoweredNetwork) -> tuple[frozenset[int], ...]:
    graph = network.graph
    first = dict.fromkeys(graph.inputs, 0) | {t: op.index + 1 for op in graph.ops for t in op.outputs}
    last = {t: max((op.index for op in graph.consumers[t]), default=-1) for t in first}
    last |= {t: max(last[t], op.index) for op in graph.ops for t in network.reads(op) if t in last}
    last |= {t: len(graph.ops) for t in graph.outputs}
    return tuple(
        frozenset(t for t in first if first[t] <= boundary <= last[t]) for boundary in range(len(graph.ops) + 1)
    )


def _streamed_tensors(graph: ModelGraph) -> frozenset[int]:
    (source,) = graph.inputs if len(graph.inputs) == 1 else (-1,)
    readers = graph.consumers.get(source, ())
    if len(readers) == 1 and readers[0].kind == "QUANTIZE" and graph.tensors[source].dtype != "int8":
        return frozenset({source, *readers[0].outputs})
    return frozenset({source})
