"""The non-persistent arena of a model, stock or converted, as TFLM records it: feature maps and kernels' scratch.

In: a ModelGraph, which variant of our kernels runs it, and whose kernels run the ops that stay TFLite's own. Out:
bytes. Refuses custom ops of others, whose scratch is not known.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from tflm_quantmcu.arena.cmsis_nn import cmsis_nn_scratch_bytes
from tflm_quantmcu.arena.fast_ops import fast_scratch_bytes, filter_params
from tflm_quantmcu.arena.stock_scratch import reference_scratch_bytes
from tflm_quantmcu.arena.subgraphs import whole_arena
from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.graph.op_kinds import OP_KINDS
from tflm_quantmcu.graph.subgraphs import SUBGRAPHS
from tflm_quantmcu.graph.target import CMSIS_NN, KERNEL_VARIANTS, QUANTMCU, REFERENCE
from tflm_quantmcu.graph.types import ModelGraph, Op, Window
from tflm_quantmcu.law.kernel_calls import FeatureMap
from tflm_quantmcu.law.packing import run_bytes
from tflm_quantmcu.lowering.network import LoweredNetwork
from tflm_quantmcu.native.kernel_scratch import kernel_scratch_bytes, stage_scratch_bytes
from tflm_quantmcu.placement import memory
from tflm_quantmcu.placement.memory import ARENA_ALIGNMENT, align
from tflm_quantmcu.stage.custom_ops import PATCH_STAGE, PREFIX, decode_options, program_of
from tflm_quantmcu.tflite import schema

_KNOWN = {name for name in vars(schema.BuiltinOperator) if not name.startswith("_")}


def arena_by_variant(graph: ModelGraph, stock_kernels: str = QUANTMCU) -> dict[str, int]:
    """Variant of our kernels -> `predict_arena`; the largest of these bytes hold the model on every core."""
    return {variant: predict_arena(graph, variant, stock_kernels) for variant in KERNEL_VARIANTS}


def predict_arena(graph: ModelGraph, variant: str = REFERENCE, stock_kernels: str = QUANTMCU) -> int:
    """The non-persistent arena bytes that TFLM records for the model.

    Args:
      graph: the model.
      variant: of our kernels. This machine's is the reference.
      stock_kernels: of the ops that stay TFLite's own, one of STOCK_KERNELS.

    Raises:
      UnsupportedModelError: an op or a tensor whose bytes are not known.
    """
    if graph.subgraphs:
        return _whole_arena(graph, variant, stock_kernels)
    scratch = [op_scratch_bytes(graph, op, variant, stock_kernels) for op in graph.ops]
    return arena_around(graph, scratch, graph.offline_offsets)


def _whole_arena(graph: ModelGraph, variant: str, stock_kernels: str) -> int:
    parts = graph.subgraphs
    scratch = [[op_scratch_bytes(part, op, variant, stock_kernels) for op in part.ops] for part in parts]
    return whole_arena(parts, [placed_bytes(part) for part in parts], scratch)


def arena_around(
    graph: ModelGraph, scratch_bytes: Sequence[tuple[int, ...]], pinned: Sequence[int] | None = None
) -> int:
    """The non-persistent arena bytes that TFLM makes of the model around pinned offsets.

    Args:
      graph: the model.
      scratch_bytes: [op] its scratch buffers.
      pinned: [tensor] offset, -1 where TFLM chooses; None pins nothing, whatever the file says.
    """
    steps = [memory.Step(op.inputs, op.outputs, n) for op, n in zip(graph.ops, scratch_bytes, strict=True)]
    return memory.greedy_arena(placed_bytes(graph), steps, graph.inputs, graph.outputs, pinned=pinned)


def placed_bytes(graph: ModelGraph) -> tuple[int, ...]:
    """Bytes of every tensor that TFLM's planner places; 0 for constants, for handles of resource variables, which point
    to their op's data, and for variables unless they are pinned.

    Raises:
      UnsupportedModelError: a tensor of a type that TFLM cannot place.
    """
    pinned = graph.offline_offsets or (-1,) * len(graph.tensors)
    handles = {t for op in graph.ops if op.kind == "VAR_HANDLE" for t in op.outputs}
    return tuple(
        0 if t.is_constant or t.index in handles or (t.is_variable and offset == -1) else t.num_bytes
        for t, offset in zip(graph.tensors, pinned, strict=True)
    )


def op_scratch_bytes(
    graph: ModelGraph, op: Op, variant: str = REFERENCE, stock_kernels: str = QUANTMCU
) -> tuple[int, ...]:
    """The scratch buffers that the op's kernel requests, in its order; of an op of ours one or none.

    Args:
      graph: the model.
      op: of it.
      variant: of our kernels; it names the core's instructions for CMSIS-NN's too.
      stock_kernels: of the ops that stay TFLite's own, one of STOCK_KERNELS.

    Raises:
      UnsupportedModelError: a custom op that is not ours, an op without the inputs of its kind, one of ours that is
        malformed, or one of which CMSIS-NN's scratch is not known.
    """
    if op.kind in (PATCH_STAGE, *_OURS):
        try:
            return _own_scratch(graph, op, variant)
        except (ArithmeticError, IndexError, KeyError, TypeError, ValueError) as error:
            raise UnsupportedModelError(f"{op.kind} (op {op.index}) is malformed: {error!r}") from None
    if op.kind == SUBGRAPHS:
        ends = sum(align(n, ARENA_ALIGNMENT) for n in placed_bytes(graph))
        return (max(0, _whole_arena(graph, variant, stock_kernels) - ends),)
    if op.kind in _KNOWN:
        try:
            return _stock_scratch(graph, op, variant, stock_kernels)
        except (IndexError, ValueError):
            shapes = [graph.tensors[t].shape for t in op.inputs if t >= 0]
            raise UnsupportedModelError(
                f"{op.kind} (op {op.index}) has inputs of shapes {shapes}, which do not make such an op"
            ) from None
    if op.kind.startswith(PREFIX):
        return ()
    raise UnsupportedModelError(
        f"how much scratch {op.kind} (op {op.index}) takes is not known; supported are {PREFIX} ops and TFLite's own"
    )


def _stock_scratch(graph: ModelGraph, op: Op, variant: str, stock_kernels: str) -> tuple[int, ...]:
    found = None
    if stock_kernels == QUANTMCU:
        found = fast_scratch_bytes(graph, op, variant)
    elif stock_kernels == CMSIS_NN:
        found = cmsis_nn_scratch_bytes(graph, op, variant)
    return reference_scratch_bytes(graph, op) if found is None else found


def lowered_scratch_bytes(graph: ModelGraph, op: Op, variant: str) -> int:
    """Scratch of the op of ours that carries an op of an 8-bit model over, outside of stages."""
    lowered = LoweredNetwork.of(graph).lower(op)
    kind, filter = lowered.traits, lowered.filter
    if variant == REFERENCE or not kind.takes_scratch:
        return 0
    assert filter is not None
    ends = []
    for t in (lowered.inputs[0], lowered.output):
        shape = graph.tensors[t].shape
        height, width, channels = (1, 1, graph.tensors[t].num_elements) if kind.is_vector else shape[1:]
        ends.append(FeatureMap(height, width, channels, width * channels, 8, 0))
    params = filter_params(kind, ends, lowered.window, filter.bits, lowered.depth_multiplier)
    return kernel_scratch_bytes(variant, kind.kernel, params)


def converted_scratch_bytes(
    graph: ModelGraph, op: Op, variants: Sequence[str] = (REFERENCE,), stock_kernels: str = QUANTMCU
) -> tuple[int, ...]:
    """The scratch, as of `op_scratch_bytes`, of an op of a model that is yet to be converted: ours keep INT4 filters as
    they are.

    Args:
      graph: the model.
      op: of it.
      variants: of our kernels; the one that requests the most counts.
      stock_kernels: what runs stock ops, one of STOCK_KERNELS.
    """
    kept, key = graph.derived(_kept_scratch), (op.index, tuple(variants), stock_kernels)
    if key not in kept:
        is_ours = op.traits.has_filter and graph.tensors[op.inputs[1]].dtype == "int4"
        is_ours = is_ours and LoweredNetwork.of(graph).is_ours(op)
        kept[key] = () if is_ours else largest_scratch_bytes(graph, op, stock_kernels, variants)
    return kept[key]


def _kept_scratch(_: ModelGraph) -> dict[tuple[int, tuple[str, ...], str], tuple[int, ...]]:
    """Planning asks again and again."""
    return {}


def largest_scratch_bytes(
    graph: ModelGraph, op: Op, stock_kernels: str = QUANTMCU, variants: Sequence[str] = KERNEL_VARIANTS
) -> tuple[int, ...]:
    """The scratch of the variant that requests the most; arguments as of `op_scratch_bytes`."""
    return max((op_scratch_bytes(graph, op, variant, stock_kernels) for variant in variants), key=sum)


# The kernels of ours that take scratch on some core.
_OURS = {PREFIX + kind.name: kind for kind in OP_KINDS.values() if kind.takes_scratch}


def _own_scratch(graph: ModelGraph, op: Op, variant: str) -> tuple[int, ...]:
    if op.kind == PATCH_STAGE:
        return (stage_scratch_bytes(variant, program_of(graph, op)),)
    num_bytes = 0 if variant == REFERENCE else kernel_scratch_bytes(variant, _OURS[op.kind].kernel, _params(graph, op))
    return (num_bytes,) if num_bytes else ()


def _params(graph: ModelGraph, op: Op) -> Any:
    """What an op of ours with weights calls its kernel with, as its options say (docs/format.md F3)."""
    kind, options = _OURS[op.kind], decode_options(op.custom_options)

    def view(prefix: str, tensor: int) -> FeatureMap:
        height, width = (1, 1) if kind.is_vector else graph.tensors[tensor].shape[1:3]
        channels, bits = options[f"{prefix}_channels"], options[f"{prefix}_bits"]
        return FeatureMap(height, width, channels, width * run_bytes(channels, bits), bits, 0)

    ends = view("input", op.inputs[0]), view("output", op.outputs[0])
    window = Window(**{f.name: options[f.name] for f in dataclasses.fields(Window) if f.name in options})
    return filter_params(kind, ends, window, options["weight_bits"], options.get("depth_multiplier", 1))
