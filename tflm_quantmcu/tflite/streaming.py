"""Models whose input is streamed: what their reader gives, and in which order it is asked (docs/format.md F4).

In: a converted model's object tree, or a stage's program. Out: the input as a Tensor, which the model itself does not
have; the requests, and a sentence about them.
"""

from __future__ import annotations

import dataclasses

import numpy as np

from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.graph.types import ModelGraph, Tensor
from tflm_quantmcu.law.packing import run_bytes
from tflm_quantmcu.stage.custom_ops import PATCH_STAGE, decode_options, program_of
from tflm_quantmcu.stage.geometry import Region
from tflm_quantmcu.stage.program import StageProgram
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.metadata import plan_of, source_input_of

_NO_TENSOR = -1


def find_streamed_input(model: schema.ModelT) -> Tensor | None:
    """The input that a reader gives in place of a tensor, or None if the model has none.

    Returns:
      X of the stage that streams it, packed, with index -1. Its name and scale are those of the plan in the file;
      without one (`--strip_metadata`) it has no scale, so that it takes only samples of its own type. `made_of` is the
      uint8 input of the model that it came from, if that is its type.

    Raises:
      UnsupportedModelError: the stage's constants are missing or malformed.
      UsageError: another format version, or a plan or metadata of the input that cannot be read.
    """
    for operator in model.subgraphs[0].operators or ():
        code = model.operatorCodes[operator.opcodeIndex].customCode
        if code == PATCH_STAGE.encode() and operator.inputs[0] < 0:
            found = _input_tensor(_program(model, operator), plan_of(model))
            return dataclasses.replace(found, made_of=source_input_of(model, found.shape)) if found.scales else found
    return None


def _program(model: schema.ModelT, operator: schema.OperatorT) -> StageProgram:
    tensors = model.subgraphs[0].tensors
    try:
        filters, words = (bytes(model.buffers[tensors[t].buffer].data) for t in operator.inputs[1:] if t >= 0)
        constants = np.frombuffer(filters, np.int8), np.frombuffer(words, "<i4")
    except (TypeError, ValueError):
        raise UnsupportedModelError(f"a {PATCH_STAGE} does not have constant filters and a constant program") from None
    return StageProgram.decode(decode_options(bytes(operator.customOptions)), *constants)


def _input_tensor(program: StageProgram, plan: PrecisionPlan | None) -> Tensor:
    name = plan.streamed_input if plan else None
    format = plan.formats.get(name) if plan and name else None
    height, width, channels = program.shapes[0]
    return Tensor(
        index=_NO_TENSOR,
        name=name or "input",
        shape=(1, height, width, run_bytes(channels, program.formats[0][0].bits)),
        dtype="int8",
        scales=(format.scale,) if format else (),
        zero_points=(format.zero_point,) if format else (),
    )


def input_requests(program: StageProgram) -> list[Region]:
    """What a streaming stage asks its reader for, in order."""
    regions = (program.computed(row, col, 0) for row, col in program.visits())
    return [(y0, y1, x0, x1) for y0, y1, x0, x1 in regions if y0 < y1 and x0 < x1]


def describe_model_requests(graph: ModelGraph) -> str:
    """`describe_requests` of the stage that streams the model's input; empty if none does."""
    stages = (op for op in graph.ops if op.kind == PATCH_STAGE and op.inputs[0] < 0)
    return next((describe_requests(program_of(graph, op)) for op in stages), "")


def describe_requests(program: StageProgram) -> str:
    """What a stage does, in words: they tell whether a camera that gives each line once, in order, can feed it."""
    requests = input_requests(program)
    height, width, _ = program.shapes[0]
    counts = np.zeros((height, width), np.int64)
    for y0, y1, x0, x1 in requests:
        counts[y0:y1, x0:x1] += 1
    if all(before[1] <= after[0] for before, after in zip(requests, requests[1:], strict=False)):
        most = max(y1 - y0 for y0, y1, _, _ in requests)
        return f"reads each input row once, in order, {most} rows at a time at most"
    again = int(counts.sum()) - int(np.count_nonzero(counts))
    share = f"{again / counts.size:.1%} of its pixels again" if again else "each pixel once"
    return f"reads the input in {len(requests)} regions, {share}"
