"""Puts the slots' operators into the model and drops the tensors, buffers and operator codes that nothing uses."""

from __future__ import annotations

from tflm_quantmcu.converter.rewrite import Rewrite
from tflm_quantmcu.tflite.prune import prune


def prune_unused(rewrite: Rewrite) -> None:
    """Renumbers what is left; TFLM gives arena bytes even to a tensor that nothing uses."""
    rewrite.subgraph.operators = [operator for slot in rewrite.slots for operator in slot]
    prune(rewrite.model)
