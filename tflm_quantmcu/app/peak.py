"""Which op keeps the arena as large as it is, why no stage holds it, and what would help, with the bytes.

In: a model before and after its conversion. Out: sentences for reports and `inspect --why`.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

from tflm_quantmcu.arena.plan import PlacedBuffer, tflm_plan
from tflm_quantmcu.graph.layer_names import layer_of, op_place
from tflm_quantmcu.graph.types import ModelGraph, Op
from tflm_quantmcu.patches.planned_model import PlannedModel
from tflm_quantmcu.stage.custom_ops import PATCH_STAGE, PREFIX

_MAX_TENSORS = 3
_REMEDIES: Mapping[str, str] = {
    "BATCH_MATMUL": "reduce the positions before the attention, by a strided convolution or a pool",
    "DEQUANTIZE": "let the model's outputs be int8 (inference_output_type=tf.int8)",
    "FULLY_CONNECTED": "put a GlobalAveragePooling or a pool before the Flatten",
    "QUANTIZE": "let the model's input be int8 (inference_input_type=tf.int8), or convert with --input streamed",
    "RESIZE_BILINEAR": "resize by nearest neighbours, or let your program resize",
    "RESIZE_NEAREST_NEIGHBOR": "resize in fewer channels, behind a 1x1 convolution",
    "SOFTMAX": "let the model give logits, and compute the softmax of the values that you look at",
    "TRANSPOSE": "train with channels last, so that nothing is transposed",
}
# Types of maps -> what would make them int8.
_WIDE_MAPS: Mapping[str, str] = {
    "float32": "replace the layers that TensorFlow's converter left in float32, of four bytes a value",
    "int16": "let maps have 8 bits (target_spec.supported_ops = [TFLITE_BUILTINS_INT8])",
}
_SMALLER_BOUND = "a smaller --sram_bytes, which is met in the fewest cycles; or none"
_STREAMED = "convert with --input streamed, if your program can give the input part by part"
_OTHER = (
    "replace the layer by one that a stage holds (docs/reference/ops.md), or reduce rows, columns or channels before it"
)


@dataclasses.dataclass(frozen=True)
class Peak:
    """The moment at which a model's arena is largest.

    Attributes:
      op: that runs then.
      num_bytes: of feature maps and scratch that are held.
      held: (name, bytes) of these, the largest first.
      next_op, next_bytes: the op that would keep the most without it; None and 0 of a model with one op.
    """

    op: Op
    num_bytes: int
    held: tuple[tuple[str, int], ...]
    next_op: Op | None
    next_bytes: int


def peak_of(graph: ModelGraph) -> Peak:
    """The moment of a model, stock or converted, at which most bytes of TFLM's arena are taken; of equal ones the
    first. Bytes that an op writes over its input are counted once."""
    buffers = tflm_plan(graph).buffers
    live = [[b for b in buffers if b.first <= op.index + 1 <= b.last] for op in graph.ops]
    num_bytes = [_occupied(found) for found in live]
    order = sorted(range(len(num_bytes)), key=lambda i: -num_bytes[i])
    op = graph.ops[order[0]]
    held = sorted(live[op.index], key=lambda b: -b.num_bytes)
    names = [layer_of(graph, graph.tensors[b.tensors[0]]) if b.tensors else "scratch" for b in held]
    other = order[1] if len(order) > 1 else None
    return Peak(
        op,
        num_bytes[op.index],
        tuple((name, b.num_bytes) for name, b in zip(names, held, strict=True)),
        None if other is None else graph.ops[other],
        0 if other is None else num_bytes[other],
    )


def _occupied(buffers: Sequence[PlacedBuffer]) -> int:
    """Bytes of the arena that any of them takes."""
    total = end = 0
    for buffer in sorted(buffers, key=lambda b: b.offset):
        total += max(0, buffer.offset + buffer.num_bytes - max(end, buffer.offset))
        end = max(end, buffer.offset + buffer.num_bytes)
    return total


def why_not_smaller(source: ModelGraph, converted: ModelGraph, *, is_bounded: bool = False) -> list[str]:
    """Sentences on what keeps the arena of a converted model.

    Args:
      source: the model that it came from, in its canonical form.
      converted: what it became; `source` itself where nothing is converted yet.
      is_bounded: a bound on RAM was given, which is met in the fewest cycles and not in the fewest bytes.
    """
    if source.subgraphs:
        return []  # the planner has said why
    peak = peak_of(converted)
    maps = ", ".join(f"'{name}' {n:,}" for name, n in peak.held[:_MAX_TENSORS])
    lines = [f"{op_place(converted, peak.op)} holds the most, {peak.num_bytes:,} bytes: {maps}"]
    if peak.op.kind == PATCH_STAGE:
        return [*lines, f"what would help: {_stage_remedy(source, converted, peak, is_bounded)}"]
    reason = _reason(source, converted, peak.op)
    if reason:
        lines.append(f"it is outside a patch stage, for {reason}")
    lines.append(f"what would help: {_remedy(source, converted, peak, is_bounded)}{_gain(converted, peak)}")
    return lines


def _reason(source: ModelGraph, converted: ModelGraph, op: Op) -> str:
    """Why no stage holds the op; "" where one could."""
    tensor = source.by_name.get(converted.tensors[op.outputs[0]].name)
    original = source.producer.get(tensor.index) if tensor else None
    if original is None:
        return ""
    return PlannedModel(source, {}, {}).why_not_in_stage(original) or ""


def _reads_input(graph: ModelGraph, op: Op) -> bool:
    return any(t in graph.inputs for t in op.inputs)


def _stage_remedy(source: ModelGraph, converted: ModelGraph, peak: Peak, is_bounded: bool) -> str:
    if _reads_input(converted, peak.op) and len(source.inputs) == 1:
        held = sum(source.tensors[t].num_bytes for t in source.inputs)
        return f"{_STREAMED}: the input's {held:,} bytes then leave the arena"
    return _SMALLER_BOUND if is_bounded else "a larger --max_slowdown lets its tiles be smaller"


def _remedy(source: ModelGraph, converted: ModelGraph, peak: Peak, is_bounded: bool) -> str:
    kind = peak.op.kind.removeprefix(PREFIX)
    dtypes = {converted.tensors[t].dtype for t in (*converted.feature_maps(peak.op), *peak.op.outputs)}
    is_at_end = {*peak.op.inputs, *peak.op.outputs} & {*converted.inputs, *converted.outputs}
    wide = [remedy for dtype, remedy in _WIDE_MAPS.items() if dtype in dtypes]
    if wide and not (kind in _REMEDIES and is_at_end):
        return wide[0]
    if kind in _REMEDIES:
        return _REMEDIES[kind]
    if not _reason(source, converted, peak.op):
        if is_bounded:
            return _SMALLER_BOUND
        if _reads_input(converted, peak.op):
            return _STREAMED
        return "a larger --max_slowdown, which lets more ops run tile by tile"
    return _OTHER


def _gain(graph: ModelGraph, peak: Peak) -> str:
    if peak.next_op is None or peak.next_bytes >= peak.num_bytes:
        return ""
    gained = peak.num_bytes - peak.next_bytes
    return f"; up to {gained:,} bytes less, for {op_place(graph, peak.next_op)} then holds {peak.next_bytes:,}"
