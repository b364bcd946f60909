"""Why none of our kernels can run an op of an int8 model exactly, in words.

In: an op of a ModelGraph. Out: the reason, or None. `LoweredNetwork` asks once an op; all others ask it.
"""

from __future__ import annotations

from collections.abc import Sequence

from tflm_quantmcu.graph.op_kind import Formats
from tflm_quantmcu.graph.types import ModelGraph, Op
from tflm_quantmcu.law.lookups import Lookup, is_lookup
from tflm_quantmcu.lowering.filters import why_filter_unsupported
from tflm_quantmcu.lowering.pads import pads_with_zero_point


def why_unsupported(graph: ModelGraph, op: Op, inner: Sequence[Op]) -> str | None:
    """The reason why our kernels cannot run `op` of an int8 model, or None if they can.

    Args:
      graph: the model.
      op: of it.
      inner: what `inner_ops_of` gives of the op.
    """
    try:
        return _why_unsupported(graph, op, inner)
    except (ArithmeticError, LookupError, TypeError, ValueError) as error:
        return f"its tensors or options contradict each other ({error})"


def _why_unsupported(graph: ModelGraph, op: Op, inner: Sequence[Op]) -> str | None:
    kind = op.traits
    maps = graph.feature_maps(inner[0])[:1] if inner else graph.feature_maps(op)
    tensors = [graph.tensors[t] for t in (*maps, *op.outputs)]
    has_table = bool(inner) or is_lookup(graph, op)
    if not kind.becomes and not has_table:
        return f"{op.kind} has no QMCU_ kernel"
    if not maps:
        return "its input is a constant"
    if any(t.dtype != "int8" or len(t.scales) != 1 for t in tensors):
        return "its feature maps are not int8 with one scale each"
    if kind.is_vector:
        return why_filter_unsupported(graph, op) or (
            "its batch is not 1" if tensors[-1].num_elements != tensors[-1].shape[-1] else None
        )
    if any(len(t.shape) != 4 or t.shape[0] != 1 for t in tensors):
        return "its feature maps are not [1, H, W, C]"
    if kind.has_filter:
        return why_filter_unsupported(graph, op)
    if has_table:
        return None if inner else _why_no_table(graph, op)
    if kind.num_maps == 2:
        same = len(maps) == 2 and len({t.shape for t in tensors}) == 1
        return None if same else "it adds a constant or broadcasts"
    if kind.is_pad:
        return _why_pad_unsupported(graph, op)
    if kind.formats is Formats.SHARED and tensors[0].format != tensors[1].format:
        return "it changes the scale, which TFLM's kernel ignores"
    return None


def _why_pad_unsupported(graph: ModelGraph, op: Op) -> str | None:
    if not op.pads or op.pads[0] != (0, 0) or op.pads[3] != (0, 0):
        return "it pads other axes than height and width, or by amounts that are not constant"
    if not pads_with_zero_point(graph, op):
        return "it pads with a value other than the zero point"
    if graph.tensors[op.inputs[0]].format != graph.tensors[op.outputs[0]].format:
        return "its input and output formats differ"
    return None


def _why_no_table(graph: ModelGraph, op: Op) -> str | None:
    try:
        Lookup.of(graph, op)
    except ValueError as error:
        return str(error)
    return None
