"""Ops whose outputs are not determined on TFLM: SPACE_TO_BATCH_ND pads there with a byte that is never set."""

from __future__ import annotations

from tflm_quantmcu.graph.types import ModelGraph, Op


def pads_unset(graph: ModelGraph, op: Op) -> bool:
    """Whether an op is an int8 SPACE_TO_BATCH_ND that pads, on TFLM with a byte that is never set."""
    if op.kind != "SPACE_TO_BATCH_ND":
        return False
    pads, source = graph.tensors[op.inputs[2]].data, graph.tensors[op.inputs[0]]
    return pads is not None and bool(pads.any()) and source.dtype == "int8"


def unset_pads_sentences(graph: ModelGraph) -> list[str]:
    """What to say of each such op."""
    return [
        f"{op.kind} '{graph.tensors[op.outputs[0]].label}' (op {op.index}) pads with a byte that TFLM's "
        "kernel never sets, so that outputs may differ from run to run; put a PAD before it and none in it, or convert "
        "the Keras model, of which that is done"
        for op in graph.ops
        if pads_unset(graph, op)
    ]
