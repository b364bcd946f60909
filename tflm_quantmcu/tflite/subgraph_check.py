"""Refuses subgraphs that are not there, that run themselves, or that nest without end, before anything walks them.

In: the object tree of a whole file whose ops have the options that they need. Out: nothing, or UnsupportedModelError.
"""

from __future__ import annotations

from collections.abc import Sequence

from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.graph.subgraphs import INNER
from tflm_quantmcu.tflite import schema

_MOST_RUNS = 10_000  # of subgraphs in one inference as TFLM plans it, which runs through all of them in turn


def check_subgraphs(model: schema.ModelT, kinds: Sequence[str]) -> None:
    """Checks which subgraphs the ops run.

    Args:
      model: the object tree.
      kinds: of its operator codes.

    Raises:
      UnsupportedModelError: see above.
    """
    inner = [_inner(graph, kinds) for graph in model.subgraphs]
    count = len(inner)
    for number, indices in enumerate(inner):
        for index in indices:
            if not 0 <= index < count:
                raise UnsupportedModelError(
                    f"the .tflite file is damaged: an op of subgraph {number} runs subgraph {index}, and there are "
                    f"{count}"
                )
    if 0 in {index for indices in inner for index in indices}:
        raise UnsupportedModelError("the .tflite file is damaged: an op runs the model that it stands in")
    runs = _count_runs(inner)
    if runs is None:
        raise UnsupportedModelError("the .tflite file is damaged: a subgraph runs itself")
    if runs > _MOST_RUNS:
        raise UnsupportedModelError(f"the model's ops run {runs:,} subgraphs; supported are {_MOST_RUNS:,}")


def _inner(graph: schema.SubGraphT, kinds: Sequence[str]) -> list[int]:
    """The subgraphs that a subgraph's ops run."""
    found = []
    for op in graph.operators or ():
        found += [int(getattr(op.builtinOptions, name)) for name in INNER.get(kinds[op.opcodeIndex], ())]
    return found


def _count_runs(inner: Sequence[Sequence[int]]) -> int | None:
    """How many subgraphs run inside the first; None where one, reached or not, runs itself."""
    runs: dict[int, int] = {}
    while len(runs) < len(inner):
        ready = [n for n in range(len(inner)) if n not in runs and all(i in runs for i in inner[n])]
        if not ready:
            return None
        runs.update({n: sum(1 + runs[i] for i in inner[n]) for n in ready})
    return runs[0]
