"""Drops what nothing uses from an object tree: TFLM gives arena bytes even to a tensor that no operator names."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TypeVar

import numpy as np

from tflm_quantmcu.tflite import schema

_Part = TypeVar("_Part")


def prune(model: schema.ModelT) -> None:
    """Drops unused tensors, operator codes and buffers, and renumbers what is left in its old order."""
    subgraph = model.subgraphs[0]
    _prune_tensors(model, subgraph)
    _prune_opcodes(model, subgraph.operators)
    prune_buffers(model)


def prune_buffers(model: schema.ModelT) -> None:
    """Drops the buffers that nothing uses; buffer 0 stays: it is the empty one by convention."""
    holders = [*model.subgraphs[0].tensors, *(model.metadata or ())]
    old = () if model.metadataBuffer is None else model.metadataBuffer
    used = {0, *(int(holder.buffer) for holder in holders), *(int(b) for b in old)}
    model.buffers, index = _keep_used(model.buffers, used)
    for holder in holders:
        holder.buffer = index[int(holder.buffer)]
    if model.metadataBuffer is not None:
        model.metadataBuffer = np.array([index[int(b)] for b in old], np.int32)


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
    subgraph.tensors, index = _keep_used(subgraph.tensors, used)
    for (holder, field), vector in zip(holders, vectors, strict=True):
        if vector is not None:
            setattr(holder, field, np.array([index.get(int(t), -1) for t in vector], np.int32))
    for entry in maps:
        entry.tensorIndex = index[entry.tensorIndex]


def _prune_opcodes(model: schema.ModelT, operators: Sequence[schema.OperatorT]) -> None:
    model.operatorCodes, index = _keep_used(model.operatorCodes, {o.opcodeIndex for o in operators})
    for operator in operators:
        operator.opcodeIndex = index[operator.opcodeIndex]


def _keep_used(parts: Sequence[_Part], used: Iterable[int]) -> tuple[list[_Part], dict[int, int]]:
    """The used parts in their old order, and old index -> new index."""
    kept = sorted(i for i in used if i >= 0)
    return [parts[i] for i in kept], {old: new for new, old in enumerate(kept)}
