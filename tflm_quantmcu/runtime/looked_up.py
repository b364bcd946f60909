"""Inputs of a model that choose rows of a table: TFLM reads whatever lies there, which may end the process."""

from __future__ import annotations

import dataclasses

import numpy as np

from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.graph.types import ModelGraph, Op, Tensor

# Ops that give an input's values on as they are.
_GIVEN_ON = ("EXPAND_DIMS", "RESHAPE", "SQUEEZE")


@dataclasses.dataclass(frozen=True)
class Lookup:
    """The op whose indices an input is, and how many rows it has."""

    op: Op
    rows: int

    def check(self, values: np.ndarray, tensor: Tensor) -> None:
        """Checks indices of any integer type and shape.

        Raises:
          UsageError: one of them is no row's.
        """
        least, most = int(values.min(initial=0)), int(values.max(initial=0))
        if least < 0 or most >= self.rows:
            raise UsageError(
                f"input {tensor.name} holds {least if least < 0 else most}; {self.op.kind} (op {self.op.index}) looks "
                f"up rows 0 to {self.rows - 1}"
            )


def lookups(graph: ModelGraph) -> dict[int, Lookup]:
    """The lookup of each input that is an op's indices, by its place among the inputs; the one of fewest rows."""
    origins = {t: place for place, t in enumerate(graph.inputs)}
    found: dict[int, Lookup] = {}
    for op in graph.ops:
        if op.kind in _GIVEN_ON and op.inputs[0] in origins:
            origins[op.outputs[0]] = origins[op.inputs[0]]
        table, indices = _places(op)
        if indices is None or op.inputs[indices] not in origins:
            continue
        place = origins[op.inputs[indices]]
        rows = graph.tensors[op.inputs[table]].shape[int(op.options.get("axis", 0))]
        if place not in found or rows < found[place].rows:
            found[place] = Lookup(op, rows)
    return found


def _places(op: Op) -> tuple[int, int | None]:
    """Where among an op's inputs its table stands, and where its indices; None of ops that look nothing up."""
    if op.kind == "EMBEDDING_LOOKUP":
        return 1, 0
    return 0, 1 if op.kind == "GATHER" else None
