"""What each layer of a model takes once it is converted: where it runs, at which widths, its MACs, bytes and cycles.

In: the source model, its plan and what it became. Out: LayerCosts, in the source's order.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence

from tflm_quantmcu.cost.calls import stage_calls
from tflm_quantmcu.cost.instructions import InstructionTable, load_table
from tflm_quantmcu.cost.model_time import op_calls
from tflm_quantmcu.cost.network_cost import cost_of
from tflm_quantmcu.cost.plan_work import stage_programs
from tflm_quantmcu.graph.layer_names import layer_of
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.graph.target import Target
from tflm_quantmcu.graph.types import ModelGraph, Op, Tensor
from tflm_quantmcu.law.packing import run_bytes
from tflm_quantmcu.lowering.network import LoweredNetwork
from tflm_quantmcu.stage.build import planned_tensors
from tflm_quantmcu.stage.custom_ops import PATCH_STAGE
from tflm_quantmcu.stage.program import StageProgram


@dataclasses.dataclass(frozen=True)
class LayerCost:
    """What one op of the source model takes.

    Attributes:
      layer: Keras' name of the layer, or the tensor's.
      tensor: name of its output.
      op: kind.
      stage: number of the patch stage that it runs in; None outside.
      shape: of its output, the batch left out.
      map_bits: of its output in each class of patches; one outside stages.
      weight_bits: None without weights.
      macs, converted_macs: before, and with what tiles compute again.
      num_bytes: of RAM: of a map its own, of one inside a stage the largest tile's part.
      cycles: documented ones of its kernels on the target, estimated; None where no table has them.
    """

    layer: str
    tensor: str
    op: str
    stage: int | None
    shape: tuple[int, ...]
    map_bits: tuple[int, ...]
    weight_bits: int | None
    macs: int
    converted_macs: int
    num_bytes: int
    cycles: int | None

    @property
    def num_values(self) -> int:
        """The number of values of the output."""
        return math.prod(self.shape)

    @property
    def bits_text(self) -> str:
        """`a8w8`, `a8|a4 w4`."""
        return "|".join(f"a{bits}" for bits in dict.fromkeys(self.map_bits)) + (
            f" w{self.weight_bits}" if self.weight_bits else ""
        )


def layer_costs(graph: ModelGraph, converted: ModelGraph, plan: PrecisionPlan, target: Target) -> list[LayerCost]:
    """The costs of every layer.

    Args:
      graph: the source, in its canonical form.
      converted: what it became.
      plan: by which.
      target: on which cycles are estimated.
    """
    table = load_table(target.timed_core).cycles
    assert table is not None
    layers = _Layers(graph, converted, plan, target, table)
    return [layers.cost(op) for op in graph.ops]


@dataclasses.dataclass(frozen=True)
class _Place:
    """An op's place in a stage."""

    program: StageProgram
    index: int

    @property
    def map(self) -> int:
        """The one that it writes."""
        return self.program.num_inputs + self.index


class _Layers:
    """A model before and after, and the places of its ops in the stages."""

    def __init__(
        self, graph: ModelGraph, converted: ModelGraph, plan: PrecisionPlan, target: Target, table: InstructionTable
    ) -> None:
        self._graph, self._converted, self._plan = graph, converted, plan
        self._target, self._table = target, table
        self._network = LoweredNetwork.of(graph)
        self._places: dict[int, _Place] = {}
        self._inside: dict[int, int] = {}
        for number, (stage, (ops, program)) in enumerate(zip(plan.stages, stage_programs(graph, plan), strict=True)):
            self._inside |= dict.fromkeys(ops, number)
            tensors = planned_tensors(graph, stage)[program.num_inputs :]
            self._places |= {t: _Place(program, index) for index, t in enumerate(tensors)}
        self._own = {converted.tensors[op.outputs[0]].name: op for op in converted.ops if op.kind != PATCH_STAGE}

    def cost(self, op: Op) -> LayerCost:
        """What one op of the source takes."""
        tensor, place, weights = self._output(op), self._place(op), self._network.weights(op)
        macs, bits = cost_of(self._graph, only={op.index}).macs, self._map_bits(op)
        return LayerCost(
            layer=layer_of(self._graph, tensor),
            tensor=tensor.name,
            op=op.kind,
            stage=self._inside.get(op.index),
            shape=tensor.shape[1:] if len(tensor.shape) > 1 else tensor.shape,
            map_bits=bits,
            weight_bits=None if weights is None else self._plan.weight_bits.get(weights.name, weights.weight_bits),
            macs=macs,
            converted_macs=_stage_macs(place) if place else macs,
            num_bytes=self._num_bytes(op, bits),
            cycles=self._cycles(op),
        )

    def _output(self, op: Op) -> Tensor:
        return self._graph.tensors[op.outputs[0]]

    def _place(self, op: Op) -> _Place | None:
        return self._places.get(op.outputs[0])

    def _map_bits(self, op: Op) -> tuple[int, ...]:
        tensor, place = self._output(op), self._place(op)
        if place is not None:
            return tuple(formats[place.map].bits for formats in place.program.formats)
        format = self._plan.formats.get(tensor.name)
        return (format.bits if format else 8 * max(tensor.num_bytes // max(tensor.num_elements, 1), 1),)

    def _num_bytes(self, op: Op, bits: Sequence[int]) -> int:
        tensor, place = self._output(op), self._place(op)
        inner = 0 if place is None else max(f[place.map].scratch_bytes for f in place.program.formats)
        if inner or (place is None and op.index in self._inside):
            return inner
        if tensor.dtype != "int8" or not tensor.shape:
            return tensor.num_bytes
        return tensor.num_elements // max(tensor.shape[-1], 1) * run_bytes(tensor.shape[-1], bits[0])

    def _cycles(self, op: Op) -> int | None:
        place = self._place(op)
        if place is not None:
            return round(self._table.total(stage_calls(place.program, only=[place.index])))
        found = self._own.get(self._output(op).name)
        if op.index in self._inside or found is None:
            return 0  # folded into another op
        calls = op_calls(self._converted, found, self._target)
        return None if self._table.unknown(calls) else round(self._table.total(calls))


def _stage_macs(place: _Place) -> int:
    program = place.program
    return sum(program.op_macs(program.ops[place.index], row, col) for row, col in program.visits())
