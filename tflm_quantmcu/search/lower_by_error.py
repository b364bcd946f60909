"""Lowers, of all that VDQS may lower in the stages, what changes the scores least for the BitOPs that it saves.

In: a search's problem, a plan with all of that lowered, and how much of its saving is wanted. Out: the plan with a part
of it lowered. Entropy, by which VDQS scores widths, tells what a map holds, not what later layers make of it; here each
map and each weights are lowered alone, made up for as the plan will be, and the network is run on other samples.

Source: sensitivities measured one tensor at a time, as of HAWQ (arXiv 1905.03696) and ZeroQ (arXiv 2001.00281); ours is
the order by error over BitOPs saved.
"""

from __future__ import annotations

import bisect
import dataclasses
from collections.abc import Collection

from tflm_quantmcu.compensation.compensate import compensate, without_compensation
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.lowering.network import LoweredNetwork
from tflm_quantmcu.search.evaluator import Evaluator
from tflm_quantmcu.search.problem import SearchProblem
from tflm_quantmcu.search.settings.common import CompensationSettings

# Samples that each tensor is tried with: at most so many, and fewer as long as all take more MACs than this.
MAX_SAMPLES, MAX_MACS, MIN_SAMPLES = 128, 1 << 36, 8


def lowered_by_error(problem: SearchProblem, lowest: PrecisionPlan, share: float) -> PrecisionPlan:
    """The plan with as few of its tensors lowered as save a share of the BitOPs that all of them save.

    Args:
      problem: of the search, with a calibration.
      lowest: with every map and all weights lowered that may be.
      share: 0 to 1.
    """
    lowest = without_compensation(lowest)
    widths = (lowest.stages, tuple(sorted(lowest.weight_bits.items())))
    order = problem.once(("by error", widths), lambda: _order(problem, lowest))

    def bit_ops(count: int) -> int:
        return problem.cost.work_of(_only(lowest, order[:count])).bit_ops

    most, least = bit_ops(0), bit_ops(len(order))
    count = bisect.bisect_left(range(len(order)), share * (most - least), key=lambda n: most - bit_ops(n))
    return _only(lowest, order[:count])


def _order(problem: SearchProblem, lowest: PrecisionPlan) -> list[str]:
    """The lowered tensors: those first that cost the least error for what they save."""
    maps = {name for stage in lowest.stages for c in stage.classes for name in c.formats}
    names = [*sorted(maps), *sorted(lowest.weight_bits)]
    macs = LoweredNetwork.of(problem.graph).total_macs * (len(names) + 1)
    count = min(MAX_SAMPLES, max(MIN_SAMPLES, MAX_MACS // max(macs, 1)))
    samples = problem.samples_of(problem.graph.inputs[0], count)
    evaluator = Evaluator(problem.graph, problem.cost, samples[1::2])
    mode = problem.settings.part(CompensationSettings).compensation
    whole = problem.cost.work_of(_only(lowest, ())).bit_ops

    def error_per_bit_op(name: str) -> float:
        alone = _only(lowest, (name,))
        saved = whole - problem.cost.work_of(alone).bit_ops
        error = 1.0 - evaluator(compensate(problem.graph, alone, samples[::2], mode=mode))
        return error / saved if saved > 0 else float("inf")

    ratios = {name: error_per_bit_op(name) for name in problem.track(names, "vdqs")}
    return sorted(names, key=lambda name: ratios[name])


def _only(plan: PrecisionPlan, names: Collection[str]) -> PrecisionPlan:
    """The plan with none but these tensors lowered in its stages."""
    stages = tuple(
        dataclasses.replace(
            stage,
            classes=tuple(
                dataclasses.replace(c, formats={name: f for name, f in c.formats.items() if name in names})
                for c in stage.classes
            ),
        )
        for stage in plan.stages
    )
    return dataclasses.replace(
        plan, stages=stages, weight_bits={name: bits for name, bits in plan.weight_bits.items() if name in names}
    )
