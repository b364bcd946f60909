"""Puts the slots' operators into the model and drops the tensors, buffers and operator codes that nothing uses."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tflm_quantmcu.converter.rewrite import Rewrite
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.writer import keep_used, prune_buffers


def prune_unused(rewrite: Rewrite) -> None:
    """Renumbers what is left; TFLM gives arena bytes even to a tensor that nothing uses."""
    model = rewrite.model
    subgraph = rewrite.subgraph
    subgraph.operators = [operator for slot in rewrite.slots for operator in slot]
    _prune_tensors(model, subgraph)
    _prune_opcodes(model, subgraph.operators)
    prune_buffers(model)


def _prune_tensors(model: schema.ModelT, subgraph: schema.SubGraphT) -> None:
    holders = [(subgraph, "inputs"), (subgraph, "outputs")]
    for operator in subgraph.operators:
        holders += [(operator, "inputs"), (operator, "outputs"), (operator, "intermediates")]
    vectors = [getattr(holder, field) for holder, field in holders]
    maps = [
        entry
        for signature in model.signatureDefs or ()
        for entry in (*(signature.inputs or ()), *(signature.outputs or ()))
    ]
    used = {int(t) for vector in vectors if vector is not None for t in vector}
    used |= {entry.tensorIndex for entry in maps}
    subgraph.tensors, index = keep_used(subgraph.tensors, used)
    for (holder, field), vector in zip(holders, vectors, strict=True):
        if vector is not None:
            setattr(holder, field, np.array([index.get(int(t), -1) for t in vector], np.int32))
    for entry in maps:
        entry.tensorIndex = index[entry.tensorIndex]


def _prune_opcodes(model: schema.ModelT, operators: Sequence[schema.OperatorT]) -> None:
    model.operatorCodes, index = keep_used(model.operatorCodes, {o.opcodeIndex for o in operators})
    for operator in operators:
        operator.opcodeIndex = index[operator.opcodeIndex]
