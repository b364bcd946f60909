"""A model as our kernels see it: which ops run on one of ours, on none, or are folded into another, asked once an op.

In: a ModelGraph. Out: LoweredNetwork, which planner, costs, searches, compensation, converter and oracle ask in place
of the graph.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping

from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.graph.layer_names import op_place
from tflm_quantmcu.graph.precision_plan import PrecisionPlan, RoundedWeights
from tflm_quantmcu.graph.types import ModelGraph, Op, Tensor
from tflm_quantmcu.law.joined import inner_ops_of
from tflm_quantmcu.lowering.lower import lower_op
from tflm_quantmcu.lowering.ops import LoweredOp
from tflm_quantmcu.lowering.stage_only import lower_in_stage_alone, shuffle_of
from tflm_quantmcu.lowering.support import why_unsupported


class LoweredNetwork:
    """A model's ops as our kernels see them; every answer is found once and kept.

    Attributes:
      graph: the int8 model.
    """

    def __init__(self, graph: ModelGraph) -> None:
        self.graph = graph
        self._refusals: dict[int, str | None] = {}
        self._lowered: dict[tuple[int, int], LoweredOp] = {}
        self._stage_only: dict[int, LoweredOp | None] = {}

    @staticmethod
    def of(graph: ModelGraph) -> LoweredNetwork:
        """The one network of a graph, which lives as long as that. For functions that are given a graph: they ask here,
        at their beginning, and hand on the network."""
        return graph.derived(LoweredNetwork)

    def refusal(self, op: Op) -> str | None:
        """The reason why none of our kernels can run the op, so that it stays a stock op; None if one can."""
        if op.index not in self._refusals:
            self._refusals[op.index] = why_unsupported(self.graph, op, self.inner_ops(op))
        return self._refusals[op.index]

    def is_ours(self, op: Op) -> bool:
        """Whether one of our kernels can run the op."""
        return self.refusal(op) is None

    def stage_refusal(self, op: Op) -> str | None:
        """The reason why no patch stage can hold the op, which is of no reduction; None if one can."""
        if op.index in self.shuffled or op.outputs[0] in self.folded:
            return None
        if any(self.graph.tensors[t].is_variable for t in (*op.inputs, *op.outputs) if t >= 0):
            return "it reads or writes a variable, which TFLM keeps outside of what stages share"
        reason = self.refusal(op)
        return None if reason is None or self._in_stage_alone(op) is not None else reason

    def lower_in_stage(self, op: Op, *, weight_bits: int = 8, rounded: RoundedWeights | None = None) -> LoweredOp:
        """The op as one of a stage; as `lower`, with kinds that run in stages alone."""
        return self._in_stage_alone(op) or self.lower(op, weight_bits=weight_bits, rounded=rounded)

    @functools.cached_property
    def shuffled(self) -> Mapping[int, tuple[int, ...]]:
        """Op -> all ops of the shuffle of channels of which it is one but not the last, which a stage holds as one."""
        chains = (shuffle_of(self.graph, op) for op in self.graph.ops if op.traits.is_reshape)
        return {op.index: tuple(link.index for link in chain) for chain in chains for op in chain[:-1]}

    def _in_stage_alone(self, op: Op) -> LoweredOp | None:
        is_candidate = op.traits.in_stage or op.traits.is_reshape or op.traits.is_pad
        if is_candidate and not self.is_ours(op) and op.index not in self._stage_only:
            self._stage_only[op.index] = lower_in_stage_alone(self.graph, op)
        return self._stage_only.get(op.index)

    def inner_ops(self, op: Op) -> tuple[Op, ...]:
        """The ops, in order, that the op's table stands for beside it: the LOGISTIC in x * LOGISTIC(x), SiLU."""
        return self._inner.get(op.index, ())

    @functools.cached_property
    def _inner(self) -> Mapping[int, tuple[Op, ...]]:
        if any(op.kind.startswith("QMCU_") for op in self.graph.ops):
            return {}  # a converted model: all that can be one table is one already
        return {op.index: inner for op in self.graph.ops if (inner := inner_ops_of(self.graph, op))}

    @functools.cached_property
    def folded(self) -> frozenset[int]:
        """Tensors that no converted model has: what inner ops give to one that becomes a table with them."""
        ops = (op for i, inner in self._inner.items() if self.is_ours(self.graph.ops[i]) for op in inner)
        return frozenset(op.outputs[0] for op in ops)

    def reads(self, op: Op) -> tuple[int, ...]:
        """Tensors that the op reads, and what its table reads in place of inner ops."""
        inner = self.inner_ops(op)
        return (*op.inputs, *self.graph.feature_maps(inner[0])[:1]) if inner and self.is_ours(op) else op.inputs

    def weights(self, op: Op) -> Tensor | None:
        """The weights of a convolution or fully connected op, else None."""
        return self.graph.tensors[op.inputs[1]] if op.traits.has_filter else None

    def macs(self, op: Op) -> int:
        """Multiply-accumulates of an op of the model; 0 for ops without weights."""
        weights, output = self.weights(op), self.graph.tensors[op.outputs[0]]
        return output.num_elements * (weights.num_elements // output.shape[-1]) if weights else 0

    @functools.cached_property
    def total_macs(self) -> int:
        """The MACs of the whole model."""
        return sum(map(self.macs, self.graph.ops))

    def lower(self, op: Op, *, weight_bits: int = 8, rounded: RoundedWeights | None = None) -> LoweredOp:
        """The op as one of ours.

        Args:
          op: of the graph.
          weight_bits: 8 keeps the model's weights, INT4 ones at 4 bits; less re-quantises, one scale an output channel.
          rounded: the weights of that width, if they are others; of 8 bits with as many scales as the model's have.

        Raises:
          UnsupportedModelError: our kernels cannot run the op exactly.
          UsageError: `rounded` does not fit the op.
        """
        if reason := self.refusal(op):
            raise UnsupportedModelError(f"{op_place(self.graph, op)} cannot become a QMCU_ op: {reason}")
        if rounded is not None:
            return lower_op(self.graph, op, self.inner_ops(op), weight_bits=weight_bits, rounded=rounded)
        key = (op.index, weight_bits)
        if key not in self._lowered:
            self._lowered[key] = lower_op(self.graph, op, self.inner_ops(op), weight_bits=weight_bits)
        return self._lowered[key]

    def lower_planned(self, op: Op, plan: PrecisionPlan) -> LoweredOp:
        """An op outside stages with the weights and the bias that a plan gives it; raises as `lower`."""
        weights = self.weights(op)
        name = weights.name if weights else ""
        rounded = plan.rounded_weights.get(name)
        lowered = self.lower(op, weight_bits=plan.weight_bits.get(name, 8), rounded=rounded)
        return lowered.corrected(plan.bias_corrections.get(self.graph.tensors[lowered.output].name))
