"""What one inference of a model takes on a core, from its ops as they stand in the file, converted or not.

In: a graph and the core's table. Out: ModelTime: the whole, and the longest span in which nobody is called back
(docs/emit.md, "A hook"): an op, or a tile of a patch stage.
"""

from __future__ import annotations

import dataclasses
from collections import Counter
from collections.abc import Sequence

from tflm_quantmcu.cost.calls import Calls, UnknownCall, graph_calls, largest_tiles, own_op_call, stage_calls
from tflm_quantmcu.cost.instructions import InstructionTable
from tflm_quantmcu.graph.layer_names import op_place
from tflm_quantmcu.graph.target import AOT, QUANTMCU, Target
from tflm_quantmcu.graph.types import ModelGraph, Op
from tflm_quantmcu.stage.custom_ops import PATCH_STAGE, PREFIX, program_of
from tflm_quantmcu.stage.program import StageProgram


@dataclasses.dataclass(frozen=True)
class Span:
    """What runs between two calls of a hook.

    Attributes:
      label: the op, or the tile of one.
      instructions, cycles: estimated; cycles are documented ones.
      unknown: ops that no table knows, whose spans may be longer.
    """

    label: str
    instructions: int
    cycles: int
    unknown: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class ModelTime:
    """One inference.

    Attributes:
      instructions, cycles: estimated, of all ops that are known; cycles are documented ones.
      longest: span between two calls of a hook; None of a model without ops.
      unknown: ops that no table knows, as messages name them.
    """

    instructions: int
    cycles: int
    longest: Span | None
    unknown: tuple[str, ...] = ()


def time_of_model(graph: ModelGraph, target: Target, table: InstructionTable) -> ModelTime:
    """What a model, stock or converted, takes on our kernels.

    Args:
      graph: the model; patch stages need their constants.
      target: whose stock kernels run what stays a stock op: of others than ours no table knows anything.
      table: of its core, with cycles.
    """
    assert table.cycles
    tables = (table, table.cycles)
    spans: list[Span] = []
    totals, unknown = [0.0, 0.0], []
    for op in graph.ops:
        if op.kind == PATCH_STAGE:
            program = program_of(graph, op)
            counts = [t.total(stage_calls(program)) + t.beside_kernels(program) for t in tables]
            spans.append(_longest_tile(program, tables, f"a tile of {op_place(graph, op)}"))
        else:
            calls = op_calls(graph, op, target)
            counts = [t.total(calls) for t in tables]
            spans.append(Span(op_place(graph, op), *_rounded(counts)))
            unknown += table.unknown(calls)
        totals = [total + count for total, count in zip(totals, counts, strict=True)]
    longest = max(spans, key=lambda span: span.cycles, default=None)
    if longest and unknown:
        longest = dataclasses.replace(longest, unknown=tuple(unknown))
    return ModelTime(*_rounded(totals), longest, tuple(unknown))


def op_calls(graph: ModelGraph, op: Op, target: Target) -> Calls:
    """The kernel calls of an op of a model, converted or not, that is no patch stage."""
    if op.kind.startswith(PREFIX):
        return Counter([own_op_call(graph, op)])
    if target.runtime == AOT or target.stock_kernels == QUANTMCU:
        return graph_calls(graph, only=[op.index])
    return Counter([UnknownCall(f"{op_place(graph, op)} on {target.stock_kernels} kernels")])


def _longest_tile(program: StageProgram, tables: Sequence[InstructionTable], label: str) -> Span:
    """The driver's share is that of a mean tile."""
    num_tiles = len(program.spans[0]) * len(program.spans[1])
    tiles = largest_tiles(program)
    counts = [max(map(t.total, tiles)) + t.beside_kernels(program) / num_tiles for t in tables]
    return Span(label, *_rounded(counts))


def _rounded(counts: Sequence[float]) -> tuple[int, int]:
    instructions, cycles = counts
    return round(instructions), round(cycles)
