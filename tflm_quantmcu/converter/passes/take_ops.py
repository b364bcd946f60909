"""Makes ops outside stages ours where the target's arena gets smaller by it and the target no slower.

TFLM keeps 8 bytes of RAM a channel for a stock convolution, its data and parsed options; ours keep their tables in
flash (docs/memory.md, "The persistent part").
"""

from __future__ import annotations

from tflm_quantmcu.arena.gains import extra_scratch_bytes, saved_bytes
from tflm_quantmcu.arena.machine import CORTEX_M, HOST
from tflm_quantmcu.converter.passes.quantize_ops import replace_op
from tflm_quantmcu.converter.rewrite import Rewrite
from tflm_quantmcu.graph import target as targets
from tflm_quantmcu.graph.op_kind import Table
from tflm_quantmcu.graph.target import has_faster_kernels
from tflm_quantmcu.graph.types import Op


def take_ops(rewrite: Rewrite) -> None:
    """Replaces all ops that keep more bytes as stock ops, so far as these outweigh the scratch that ours ask for."""
    if not rewrite.keeps_stock_ops and has_faster_kernels(rewrite.target):
        for op in _worthwhile(rewrite):
            replace_op(rewrite, op)


def _candidates(rewrite: Rewrite) -> list[Op]:
    """Ops of ours in all but name, that no pass has changed; a table a channel takes too much flash to be one."""
    network = rewrite.network
    return [
        op
        for op in rewrite.graph.ops
        if rewrite.is_untouched(op.index)
        and network.is_ours(op)
        and network.lower(op).traits.table is not Table.CHANNEL_ENTRIES
    ]


def _worthwhile(rewrite: Rewrite) -> list[Op]:
    """The ops that keep fewer bytes as ours, and whose scratch is no more than what all of them save: the arena cannot
    grow by the scratch of the op that it is fullest at and shrinks by what is kept."""
    graph, target = rewrite.graph, rewrite.target
    machine = HOST if target.core == targets.HOST else CORTEX_M
    saved = saved_bytes(graph, _candidates(rewrite), machine, target)
    more = extra_scratch_bytes(graph, saved, target)
    order = sorted(saved, key=lambda index: more[index])
    while order and more[order[-1]] > sum(saved[index] for index in order):
        order.pop()
    return [graph.ops[index] for index in order]
