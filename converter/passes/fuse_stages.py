"""Replaces the ops of every planned stage by one QMCU_PATCH_STAGE."""

from __future__ import annotations

import numpy as np

from tflm_quantmcu.converter.rewrite import Rewrite
from tflm_quantmcu.custom_ops import PATCH_STAGE
from tflm_quantmcu.errors import UsageError
from tflm_quantmcu.stage_program import build_program, stage_ops


def fuse_stages(rewrite: Rewrite) -> None:
    """Puts each stage at the place of its last op, where all that it reads is there.

    Raises:
      UsageError: a stage does not fit the model, or shares an op with another.
      UnsupportedModelError: an op of a stage has no kernel, or the region has another entry or exit.
    """
    graph, plan = rewrite.graph, rewrite.plan
    owner: dict[int, str] = {}
    for stage in plan.stages:
        program = build_program(graph, stage, weight_bits=plan.weight_bits, formats=plan.formats)
        source, target = graph.by_name[stage.input].index, graph.by_name[stage.output].index
        region = stage_ops(graph, source, target)
        for op in region:
            if op.index in owner:
                raise UsageError(
                    f"{op.kind} (op {op.index}) is in two stages of the plan, up to '{owner[op.index]}' and "
                    f"up to '{stage.output}'"
                )
            owner[op.index] = stage.output
            rewrite.slots[op.index] = []
        options, filters, words = program.encode()
        # TFLM gives an empty constant no memory, and the kernel wants some.
        filters = filters if filters.size else np.zeros(4, np.int8)
        constants = [
            rewrite.add_constant(f"{stage.output}/filters", filters),
            rewrite.add_constant(f"{stage.output}/program", words),
        ]
        rewrite.slots[region[-1].index] = [rewrite.operator(PATCH_STAGE, [source, *constants], target, options)]
