"""Makes ops outside stages ours where the target's arena gets smaller by it and the target no slower.

TFLM keeps 8 bytes of RAM a channel for a stock convolution, its data and parsed options; ours keep their tables in
flash (docs/memory.md, "The persistent part").
"""

from __future__ import annotations

from collections.abc import Mapping

from tflm_quantmcu.arena.machine import CORTEX_M, HOST, Machine
from tflm_quantmcu.arena.persistent import op_bytes, own_op_bytes
from tflm_quantmcu.arena.predict import op_scratch_bytes
from tflm_quantmcu.converter.emit.calls import calls_of
from tflm_quantmcu.converter.passes.quantize_ops import replace_op
from tflm_quantmcu.converter.rewrite import Rewrite
from tflm_quantmcu.graph import target as targets
from tflm_quantmcu.graph.op_kinds import Table
from tflm_quantmcu.graph.target import Target
from tflm_quantmcu.graph.types import Op


def take_ops(rewrite: Rewrite) -> None:
    """Replaces all ops that keep more bytes as stock ops, so far as these outweigh the scratch that ours ask for."""
    if not rewrite.keeps_stock_ops and has_faster_kernels(rewrite.target):
        for op in _worthwhile(rewrite, _gains(rewrite)):
            replace_op(rewrite, op)


def has_faster_kernels(target: Target) -> bool:
    """Whether no op of ours is slower on TFLM than the stock one.

    Kernels for DSP and MVE beat TFLM's reference on every shape, our reference kernels do not; CMSIS-NN's for MVE are
    ahead of ours on some shapes.
    """
    if target.runtime != targets.TFLM or targets.REFERENCE in target.variants:
        return False
    return target.stock_kernels != targets.CMSIS_NN or target.variants == (targets.DSP,)


def _gains(rewrite: Rewrite) -> dict[int, int]:
    """Op -> bytes that TFLM keeps less for the op of ours; ops that keep no less are left out."""
    machine: Machine = HOST if rewrite.target.core == targets.HOST else CORTEX_M
    graph, network = rewrite.graph, rewrite.network
    gains = {}
    for op in graph.ops:
        if not rewrite.is_untouched(op.index) or not network.is_ours(op) or op.kind not in machine.op_data:
            continue
        if network.lower(op).traits.table is not Table.CHANNEL_ENTRIES:  # 256 bytes of flash a channel are too dear
            gains[op.index] = op_bytes(graph, op, machine) - own_op_bytes(graph, op, machine)
    return {index: num_bytes for index, num_bytes in gains.items() if num_bytes > 0}


def _worthwhile(rewrite: Rewrite, gains: Mapping[int, int]) -> list[Op]:
    """Of these the ops whose scratch is no more than what all of them gain: the arena cannot grow by the scratch of the
    op that it is fullest at and shrinks by what is kept."""
    ops = [rewrite.graph.ops[index] for index in gains]
    more = {op.index: _extra_scratch_bytes(rewrite, op) for op in ops}
    ops.sort(key=lambda op: more[op.index])
    while ops and more[ops[-1].index] > sum(gains[op.index] for op in ops):
        ops.pop()
    return ops


def _extra_scratch_bytes(rewrite: Rewrite, op: Op) -> int:
    """What the op of ours asks for beyond the stock one, with the variant for which that is the most."""
    stock = sum(op_scratch_bytes(rewrite.graph, op))
    own = [
        sum(call.scratch_bytes or 0 for call in calls_of(rewrite.graph, op, variant=variant))
        for variant in rewrite.target.variants
    ]
    return max(own) - stock
