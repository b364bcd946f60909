"""Puts a table in the place of each op that TFLM has no int8 kernel for and that no pass before has made ours."""

from __future__ import annotations

from tflm_quantmcu.converter.rewrite import Rewrite
from tflm_quantmcu.tflite.missing_ops import is_missing, table_operators


def table_missing(rewrite: Rewrite) -> None:
    """The tables are of 8 bits, and of maps of every shape; what stands around the op in its slot stays there."""
    for op in rewrite.graph.ops:
        own = rewrite.subgraph.operators[op.index]
        slot = rewrite.slots[op.index]
        places = [i for i, operator in enumerate(slot) if operator is own]
        if places and op.traits.is_missing and is_missing(rewrite.graph, op):
            slot[places[0] : places[0] + 1] = table_operators(rewrite, rewrite.graph, op)
