"""What a PAD or PADV2 puts around its map."""

from __future__ import annotations

from tflm_quantmcu.graph.types import ModelGraph, Op


def pads_with_zero_point(graph: ModelGraph, op: Op) -> bool:
    """Whether a PAD or PADV2 puts zeros around its map."""
    if len(op.inputs) <= 2 or op.inputs[2] < 0:
        return True
    value = graph.tensors[op.inputs[2]].data
    return value is not None and int(value.ravel()[0]) == graph.tensors[op.outputs[0]].zero_points[0]
