"""Replaces the ops of every planned stage by one QMCU_PATCH_STAGE."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.converter.rewrite import Rewrite
from tflm_quantmcu.graph.types import Op
from tflm_quantmcu.stage.build import planned_program, stage_layers
from tflm_quantmcu.stage.custom_ops import PATCH_STAGE
from tflm_quantmcu.stage.geometry import planned_ops, planned_sources
from tflm_quantmcu.stage.remarks import remarks_of

_LEFT_OUT = -1  # an input that an op does without


def fuse_stages(rewrite: Rewrite) -> None:
    """Puts each stage at the place of its last op, where all that it reads is there.

    Raises:
      UsageError: a stage does not fit the model, shares an op with another, or streams what is no input.
      UnsupportedModelError: an op of a stage has no kernel, or the region has another entry or exit.
    """
    graph, plan = rewrite.graph, rewrite.plan
    owner: dict[int, str] = {}
    for stage in plan.stages:
        program = planned_program(graph, plan, stage)
        sources, target = planned_sources(graph, stage), graph.by_name[stage.output].index
        region = planned_ops(graph, stage)
        for op in region:
            if op.index in owner:
                raise UsageError(
                    f"{op.kind} (op {op.index}) is in two stages of the plan, up to '{owner[op.index]}' and "
                    f"up to '{stage.output}'"
                )
            owner[op.index] = stage.output
            rewrite.slots[op.index] = []
        options, filters, words = program.encode()
        if not rewrite.strip_metadata:
            options |= remarks_of(program, stage_layers(graph, sources, target))
        if program.is_streamed:
            _drop_input(rewrite, sources[0], region)
            sources = (_LEFT_OUT, *sources[1:])
        # TFLM gives an empty constant no memory, and the kernel wants some.
        filters = filters if filters.size else np.zeros(4, np.int8)
        constants = [
            rewrite.add_constant(f"{stage.output}/filters", filters),
            rewrite.add_constant(f"{stage.output}/program", words),
        ]
        rewrite.slots[region[-1].index] = [rewrite.operator(PATCH_STAGE, [*sources, *constants], target, options)]


def _drop_input(rewrite: Rewrite, source: int, region: Sequence[Op]) -> None:
    """Takes what a stage streams out of the graph, with the QUANTIZE that makes it of the model's input."""
    graph = rewrite.graph
    streamed = graph.tensors[source]
    writer = graph.producer.get(source)
    origin = writer.inputs[0] if writer and writer.kind == "QUANTIZE" else source
    where = f"the plan streams '{streamed.label}'"
    if graph.inputs != (origin,):
        raise UsageError(f"{where}, which is neither the model's one input nor what a QUANTIZE makes of it")
    if rewrite.is_reformatted(source):
        raise UsageError(
            f"{where} at {rewrite.format_of(source).bits} bits; a reader gives the model's own 8-bit format"
        )
    known = {writer.index if writer else _LEFT_OUT, *(op.index for op in region)}
    others = [op for t in (origin, source) for op in graph.consumers[t] if op.index not in known]
    if others:
        raise UsageError(f"{where}, and {others[0].kind} (op {others[0].index}) outside the stage reads it too")
    if {origin, source} & {*graph.outputs}:
        raise UsageError(f"{where}, which is also an output of the model")
    if writer:
        rewrite.slots[writer.index] = []
    rewrite.subgraph.inputs = np.zeros(0, np.int32)
    for signature in rewrite.model.signatureDefs or ():
        signature.inputs = []
