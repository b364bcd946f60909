"""The widths of a candidate, and which maps and weights may have others than 8 bits: shared by all searches."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence

from tflm_quantmcu.graph.types import ModelGraph, Op
from tflm_quantmcu.lowering.network import LoweredNetwork

_VALUES_A_BYTE = 4  # of 2 bits


class Widths(Mapping[int, int]):
    """Tensor index -> bits, of all maps and weights of a network; never changed, so that it can be a key."""

    def __init__(self, bits: Mapping[int, int]) -> None:
        self._bits = dict(bits)

    def __getitem__(self, tensor: int) -> int:
        return self._bits[tensor]

    def __iter__(self) -> Iterator[int]:
        return iter(self._bits)

    def __len__(self) -> int:
        return len(self._bits)

    def __eq__(self, other: object) -> bool:
        return self._bits == (other._bits if isinstance(other, Widths) else other)

    def __hash__(self) -> int:
        return hash(frozenset(self._bits.items()))

    def with_bits(self, changed: Mapping[int, int]) -> Widths:
        """These, but for some tensors."""
        return Widths({**self._bits, **changed})


def free_maps(graph: ModelGraph, *, alone: bool = False) -> list[str]:
    """Maps that a QMCU_ kernel writes and at least one reads, the network's outputs left out, in execution order.

    Args:
      graph: the int8 model.
      alone: all readers have QMCU_ kernels, so that the map needs no 8-bit twin for stock ops.
    """
    network = LoweredNetwork.of(graph)
    left_out = {*graph.outputs, *network.folded}
    enough: Callable[..., bool] = all if alone else any
    return [
        graph.tensors[t].name
        for op in graph.ops
        for t in op.outputs
        if network.is_ours(op)
        and t not in left_out
        and graph.consumers[t]
        and enough(map(network.is_ours, graph.consumers[t]))
    ]


def free_weights(graph: ModelGraph, pinned_layers: str) -> list[str]:
    """Weights of the ops that have QMCU_ kernels, but for those that the flag `pinned_layers` keeps at 8 bits, and for
    those of flattened maps that no patch stage could take pixel by pixel below 8 bits."""
    ops, network = weighted_ops(graph), LoweredNetwork.of(graph)
    pinned = {"none": [], "first": ops[:1], "last": ops[-1:], "both": [*ops[:1], *ops[-1:]]}[pinned_layers]
    kept = {op.inputs[1] for op in pinned}
    kept |= {op.inputs[1] for op in ops if _has_gaps(graph, op)}
    names = [graph.tensors[op.inputs[1]].name for op in ops if op.inputs[1] not in kept and network.is_ours(op)]
    return list(dict.fromkeys(names))


def _has_gaps(graph: ModelGraph, op: Op) -> bool:
    """Whether a pixel's weights fill no whole bytes at 2 bits, of a fully connected op that reads a flattened map."""
    flatten = graph.producer.get(op.inputs[0]) if op.traits.is_vector else None
    shape = graph.tensors[flatten.inputs[0] if flatten and flatten.traits.is_reshape else op.inputs[0]].shape
    is_map = op.traits.is_vector and len(shape) == 4 and shape[1:3] != (1, 1)
    return is_map and shape[3] % _VALUES_A_BYTE != 0


def weighted_ops(graph: ModelGraph) -> Sequence[Op]:
    """Convolutions and fully connected ops with constant weights, in execution order."""
    return [op for op in graph.ops if op.traits.has_filter and graph.tensors[op.inputs[1]].is_constant]
