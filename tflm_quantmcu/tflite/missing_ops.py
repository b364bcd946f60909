"""Ops that TFLM has no int8 kernel for: GELU, EXP, LOG and NEG, as the table of what they give (law A39), and SELECT as
SELECT_V2.

In: a `.tflite`. Out: the one that TFLM runs in its place, or the operators that stand in the place of one op.
"""

from __future__ import annotations

from collections.abc import Sequence

from tflm_quantmcu.graph.op_kinds import OP_KINDS
from tflm_quantmcu.graph.types import ModelGraph, Op, Tensor, Window
from tflm_quantmcu.law.lookups import Lookup
from tflm_quantmcu.lowering.ops import LoweredOp
from tflm_quantmcu.placement.memory import OFFLINE_METADATA
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.canonical.float_islands import quantize_islands
from tflm_quantmcu.tflite.canonical.names import named_tree
from tflm_quantmcu.tflite.canonical.selects import is_renamed, rename_selects
from tflm_quantmcu.tflite.model_builder import ModelBuilder
from tflm_quantmcu.tflite.model_file import ModelFile
from tflm_quantmcu.tflite.op_check import kind_of
from tflm_quantmcu.tflite.operators import QmcuOp
from tflm_quantmcu.tflite.writer import write_model

_MISSING = frozenset(kind.name for kind in OP_KINDS.values() if kind.is_missing)
_IN_FLOAT_TOO = "GELU"
_RENAMED = "SELECT"


def missing_kinds(model: ModelFile) -> tuple[str, ...]:
    """The kinds of ops that TFLM lacks and that `runnable` puts others in the place of, sorted."""
    if _MISSING.isdisjoint(map(kind_of, model.tree.operatorCodes)) or model.graph.subgraphs:
        return ()
    graph = model.graph
    questions = (is_missing, _is_missing_float, is_renamed)
    return tuple(sorted({op.kind for op in graph.ops if any(is_it(graph, op) for is_it in questions)}))


def stand_ins(kinds: Sequence[str]) -> str:
    """What `runnable` puts in the place of such kinds of ops, in words."""
    tables = ", ".join(kind for kind in kinds if kind != _RENAMED)
    parts = [f"tables of ours for {tables}"] * bool(tables) + [f"SELECT_V2 for {_RENAMED}"] * (_RENAMED in kinds)
    return " and ".join(parts)


def tables_sentence(kinds: Sequence[str]) -> list[str]:
    """What a report says of a model with such kinds of ops; nothing of others."""
    if not kinds:
        return []
    return [
        f"stock TFLM does not run this model, it has no int8 kernel for {', '.join(kinds)}: where it is compared with, "
        f"that is the unsplit network on TFLM with {stand_ins(kinds)}, which give TensorFlow Lite's values"
    ]


def runnable(model: ModelFile) -> ModelFile:
    """What TFLM runs in the place of a model: it, or where it has ops that TFLM lacks, the same with others.

    Tensors keep their indices; new ones stand behind them. Memory offsets of the file go.

    Raises:
      UnsupportedModelError: the file is damaged, or the model is not one static graph.
    """
    if not missing_kinds(model):
        return model
    rewrites = [rename_selects]
    if any(_is_missing_float(model.graph, op) for op in model.graph.ops):
        rewrites.append(quantize_islands)
    found = model
    for rewrite in rewrites:
        if (rewritten := rewrite(found)) is not None:
            found = ModelFile(write_model(rewritten), model.origin)
    tree = named_tree(found)
    builder = ModelBuilder(tree)
    operators: list[schema.OperatorT] = []
    for op, operator in zip(found.graph.ops, builder.subgraph.operators, strict=True):
        operators += table_operators(builder, found.graph, op) if is_missing(found.graph, op) else [operator]
    builder.subgraph.operators = operators
    tree.metadata = [m for m in tree.metadata or () if m.name != OFFLINE_METADATA.encode()]
    return ModelFile(write_model(tree), model.origin)


def is_missing(graph: ModelGraph, op: Op) -> bool:
    """Whether TFLM lacks the op, and a table can hold it: one int8 map in, one out, with a scale each."""
    tensors = [graph.tensors[t] for t in (*op.inputs, *op.outputs) if t >= 0]
    are_maps = all(t.dtype == "int8" and len(t.scales) == 1 and not t.is_constant for t in tensors)
    return op.traits.is_missing and len(tensors) == 2 and are_maps


def _is_missing_float(graph: ModelGraph, op: Op) -> bool:
    return op.kind == _IN_FLOAT_TOO and graph.tensors[op.inputs[0]].dtype == "float32"


def table_operators(builder: ModelBuilder, graph: ModelGraph, op: Op) -> Sequence[schema.OperatorT]:
    """A QMCU_LUT between the op's own tensors, in the model's formats; of shapes that it does not take between two
    RESHAPEs.

    Args:
      builder: of the model; its tensors have the graph's indices.
      graph: the model as read.
      op: of it, one that `is_missing`.
    """
    source, output = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    lookup = Lookup.of(graph, op)
    if _is_taken(source):
        return [_lut(builder, output.label, lookup, (source.index, output.index), source.shape[-1])]
    count = source.num_elements
    row = builder.add_map(f"{source.name}/row", (1, count), source.format)
    values = builder.add_map(f"{output.name}/row", (1, count), output.format)
    return [
        builder.reshape(source.index, row),
        _lut(builder, output.label, lookup, (row, values), count),
        builder.reshape(values, output.index),
    ]


def _is_taken(tensor: Tensor) -> bool:
    return len(tensor.shape) in (2, 4) and tensor.shape[0] == 1


def _lut(builder: ModelBuilder, name: str, lookup: Lookup, ends: tuple[int, int], channels: int) -> schema.OperatorT:
    op = LoweredOp("LUT", name, ends[:1], ends[1], Window(), "NONE", lookup=lookup)
    made = QmcuOp.of(op, [lookup.source], lookup.output, [channels, channels])
    return made.operator(builder, name, ends[:1], ends[1])
