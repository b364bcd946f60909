"""What becomes of the arena where an op of ours carries a stock one over: bytes kept less, and scratch asked for more.

In: ops of an 8-bit model, a Machine and a Target, whose kernels would run the stock ops. Out: bytes an op.
"""

from __future__ import annotations

from collections.abc import Iterable

from tflm_quantmcu.arena.machine import Machine
from tflm_quantmcu.arena.predict import lowered_scratch_bytes, op_scratch_bytes
from tflm_quantmcu.arena.prepare_steps import prepare_steps
from tflm_quantmcu.graph.target import Target
from tflm_quantmcu.graph.types import ModelGraph, Op
from tflm_quantmcu.lowering.network import LoweredNetwork
from tflm_quantmcu.placement.memory import ARENA_ALIGNMENT, align
from tflm_quantmcu.stage.custom_ops import PREFIX


def op_bytes(graph: ModelGraph, op: Op, machine: Machine, target: Target) -> int:
    """What TFLM keeps for one stock op, padding and the constants that no other op reads included.

    Where cores of the target differ, the bytes are those of the one that keeps the least.

    Args:
      graph: the model.
      op: of it.
      machine: sizes of TFLM's structs on the core.
      target: where the model runs.
    """
    stock_kernels = target.stock_kernels
    kinds = machine.with_kernels(stock_kernels)
    kept = align(kinds.op_data.get(op.kind, 0), ARENA_ALIGNMENT) + kinds.options.get(op.kind, (0, 1))[0]
    constants = {t for t in op.inputs if t >= 0 and graph.tensors[t].is_constant}
    kept += machine.eval_tensor * sum(len(graph.consumers[t]) == 1 for t in constants)

    def of(variant: str) -> int:
        steps = [step for step in prepare_steps(graph, op, variant, stock_kernels) if isinstance(step, int)]
        requests = op_scratch_bytes(graph, op, variant, stock_kernels)
        return sum(align(step, ARENA_ALIGNMENT) for step in steps) + machine.pointer * len(requests)

    return kept + min(map(of, target.variants))


def own_op_bytes(graph: ModelGraph, op: Op, machine: Machine) -> int:
    """What TFLM would keep for the op of ours that carries this one over, with a handle of scratch."""
    traits = LoweredNetwork.of(graph).lower(op).traits
    num_constants = 2 if traits.has_filter else int(traits.has_entries)
    kept = align(machine.op_data[PREFIX + traits.name], ARENA_ALIGNMENT)
    return kept + machine.eval_tensor * num_constants + machine.pointer * traits.takes_scratch


def saved_bytes(graph: ModelGraph, ops: Iterable[Op], machine: Machine, target: Target) -> dict[int, int]:
    """Index of an op -> what TFLM keeps less if the op of ours carries it over; only those for which it does.

    Args:
      graph: the model.
      ops: of it, that ours could carry over.
      machine, target: as of `op_bytes`.
    """
    known = [op for op in ops if op.kind in machine.op_data]
    saved = {op.index: op_bytes(graph, op, machine, target) - own_op_bytes(graph, op, machine) for op in known}
    return {index: num_bytes for index, num_bytes in saved.items() if num_bytes > 0}


def extra_scratch_bytes(graph: ModelGraph, indices: Iterable[int], target: Target) -> dict[int, int]:
    """Index of an op -> what the op of ours asks for beyond the stock one, on the core for which that is most."""

    def more(op: Op, variant: str) -> int:
        stock = sum(op_scratch_bytes(graph, op, variant, target.stock_kernels))
        return lowered_scratch_bytes(graph, op, variant) - stock

    return {index: max(more(graph.ops[index], v) for v in target.variants) for index in indices}
