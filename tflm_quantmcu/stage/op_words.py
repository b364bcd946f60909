"""An op of a stage as the words of a program, and the length of its table (docs/format.md F4)."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.graph.op_kind import Table
from tflm_quantmcu.graph.op_kinds import STAGE_KINDS
from tflm_quantmcu.graph.types import BIT_WIDTHS, Window
from tflm_quantmcu.stage.geometry import StageOp

OP_WORDS = 16
LUT_WORDS = {bits: (1 << bits) // 4 for bits in BIT_WIDTHS}  # of an int8 entry for every input value
MAX_GATHERED = 8  # inputs of one op
_WINDOW_FIELDS = [f.name for f in dataclasses.fields(Window)]


def encode_op(op: StageOp, filter_offset: int) -> list[int]:
    """The op's words; `filter_offset` counts if it has a filter."""
    inputs, window = _input_words(op)
    place = (filter_offset if op.filter else 0, len(op.filter))
    return [op.traits.stage or 0, *inputs, op.output, *window, op.weight_bits, op.depth_multiplier, *place]


def decode_op(words: Sequence[int], filters: np.ndarray) -> StageOp:
    """The inverse of `encode_op`.

    Args:
      words: of the op.
      filters: int8 [n], of all ops.

    Raises:
      UsageError: a kind or a layout that we do not know.
    """
    kind, input0, input1, output = words[:4]
    weight_bits, depth_multiplier, offset, num_bytes = words[12:]
    if not 0 <= kind < len(STAGE_KINDS):
        raise UsageError(f"QMCU_PATCH_STAGE has an op of kind {kind}; supported are 0 to {len(STAGE_KINDS) - 1}")
    if weight_bits >> 8:
        raise UsageError(f"QMCU_PATCH_STAGE has a filter of layout {weight_bits >> 8}; supported is 0")
    is_gather = STAGE_KINDS[kind].table is Table.CHANNEL_RUNS
    others = words[4 : MAX_GATHERED + 2] if is_gather else ()
    return StageOp(
        kind=STAGE_KINDS[kind].name,
        inputs=tuple(m for m in (input0, input1, *others) if m >= 0),
        output=output,
        window=Window() if is_gather else Window(*words[4:12]),
        weight_bits=weight_bits,
        depth_multiplier=depth_multiplier,
        filter=filters[offset : offset + num_bytes].tobytes(),
    )


def _input_words(op: StageOp) -> tuple[tuple[int, int], list[int]]:
    """(input0, input1), and the 8 words behind the output: the window, of a gather its further inputs."""
    first, second, *others = (*op.inputs, -1)[: max(2, len(op.inputs))]
    if op.traits.table is Table.CHANNEL_RUNS:
        return (first, second), [*others, *[-1] * (MAX_GATHERED - 2 - len(others)), 0, 0]
    return (first, second), [getattr(op.window, name) for name in _WINDOW_FIELDS]


def table_words(op: StageOp, shapes: Sequence[tuple[int, int, int]], input_bits: int) -> int:
    """Length of the op's table in words, its (first) input being of `input_bits`."""
    if op.traits.table is Table.CHANNELS:
        return 3 * shapes[op.output][2]
    if op.traits.table is Table.ENTRIES:
        return LUT_WORDS[input_bits]
    if op.traits.table is Table.CHANNEL_ENTRIES:
        return shapes[op.output][2] * LUT_WORDS[input_bits]
    if op.traits.table is Table.CHANNEL_RUNS:
        return 2 * (len(op.inputs) + op.depth_multiplier)
    return 6 if op.traits.table is Table.SUM else 2
