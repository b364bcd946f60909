"""QuantMCU: patch classification (VDPC) and value-driven quantisation search (VDQS) of patch stages.

The paper's abstract (arXiv 2401.13714) fixes the two classes, the score S = -lambda * Omega + (1 - lambda) * Phi and
the iterative choice under a memory bound; the normalisations, the entropy's bins and the outlier rule are ours, as are
several stages, halos that are kept, weights, which all classes share and which are scored like maps, and bounds on
work. What tiles of both classes share has one format: such a map is chosen a width only in stages without outliers.
"""

from __future__ import annotations

import bisect
import dataclasses
import itertools
from collections.abc import Iterable, Iterator, Sequence

from tflm_quantmcu.graph.precision_plan import PrecisionPlan, StagePlan
from tflm_quantmcu.native.kernel_scratch import stage_scratch_bytes
from tflm_quantmcu.patches.split import Split
from tflm_quantmcu.patches.stage_planner import StagePlanner
from tflm_quantmcu.patches.work_bound import planning_table, work_ratio
from tflm_quantmcu.search.branch import candidate_widths
from tflm_quantmcu.search.budget import BudgetKeeper, flash_cuts
from tflm_quantmcu.search.lower_by_error import lowered_by_error
from tflm_quantmcu.search.network import Network
from tflm_quantmcu.search.problem import SearchProblem
from tflm_quantmcu.search.quantized_stage import ClassifiedStage, QuantizedStage, stage_program
from tflm_quantmcu.search.settings.vdqs import VdqsSettings
from tflm_quantmcu.search.widths import Widths

MIXED_CANDIDATES = 16  # splits tried at each width when none meets the budget at 8 bits


def search_vdqs(problem: SearchProblem) -> PrecisionPlan:
    """Splits the network and lowers the feature maps of ordinary patches, and weights of the stages.

    Parameters:
      objective: cycles lowers nothing but what a bound needs, and what costs the least entropy of that: lambda is 1.
        bit_ops is the paper's trade.
      vdqs_min_bits, vdqs_min_weight_bits: candidate widths are those of 8, 4 and 2 from it up.
      vdqs_lambda: of objective bit_ops, 0 to 1; at 0 only BitOPs count, at 1 only entropy. Bounds on BitOPs or
        instructions lower it as far as needed, of either objective.
      pinned_layers: layers whose weights keep 8 bits.
      vdpc: when patches are classified, see `vdpc.classify`; off, all are ordinary.
      vdpc_phi: coverage of the fitted Gaussian beyond which a value is an outlier.
      vdpc_outlier_fraction: share of outliers above which a patch is one; None is twice that of the whole map.

    Where the model then exceeds the flash budget, weights of the whole network are cut in the order of memory-driven
    precision, to `vdqs_min_bits` at the least.

    Raises:
      BudgetError: neither at 8 bits nor below does a split meet the budget, or the weights do not meet theirs.
    """
    plan = _split_plan(problem)
    if problem.budget.flash_bytes is None:
        return plan
    network = Network.of(problem)

    def with_weights(cut: Widths) -> PrecisionPlan:
        cuts = {t.name: cut[t.index] for t in network.weights.values() if cut[t.index] < 8}
        chosen = {name: min(cuts.get(name, 8), plan.weight_bits.get(name, 8)) for name in {**cuts, **plan.weight_bits}}
        return dataclasses.replace(plan, weight_bits=chosen)

    min_bits = problem.settings.part(VdqsSettings).vdqs_min_bits
    *_, cut = flash_cuts(BudgetKeeper(network, with_weights), network.uncut, min_bits=min_bits)
    return cut


def _split_plan(problem: SearchProblem) -> PrecisionPlan:
    """The plan that meets the SRAM budget."""
    budget = problem.budget.sram_bytes
    found = problem.planned_stages()
    reason = found.reason
    if problem.mixed_split is not None:
        reason = "patches with fewer bits can be larger within --sram_bytes, which buys time"
    elif found.best:
        whole = _at_eight_bits(problem, found.best, reason, "vdqs")
        is_enough = problem.settings.part(VdqsSettings).trade is None and _meets(problem, whole)
        return whole if is_enough else _plan(problem, found.best, reason)
    elif not budget or found.baseline_arena_bytes <= budget:
        return _unsplit(problem, reason, "vdqs")
    assert budget
    if problem.calibration is None:
        raise problem.over_budget(found, more=["give --calibration_data, with which maps can have fewer bits"])
    if problem.saved_share is not None:
        raise problem.over_budget(found)  # what the bound needs comes before what saves BitOPs
    smallest: int | None = None
    passed_over = problem.mixed_split or 0
    for planner, split in _mixed_splits(problem, budget):
        plan = _plan(problem, split, reason)
        arena_bytes = planner.arena_of(split, [_scratch_bytes(problem, plan, stage) for stage in plan.stages])
        if arena_bytes <= budget and not passed_over:
            return plan
        passed_over -= arena_bytes <= budget
        smallest = min(arena_bytes, smallest or arena_bytes)
    if problem.settings.part(VdqsSettings).vdpc == "dynamic":
        reason = f"{found.reason}; with --vdpc dynamic there is room for 8 bits in every patch"
        found = dataclasses.replace(found, reason=reason)
    raise problem.over_budget(found, smallest)


def plan_at_eight_bits(problem: SearchProblem, method: str) -> PrecisionPlan | None:
    """The split, or no split, that keeps the SRAM bound with nothing lowered; None where there is none."""
    found = problem.planned_stages()
    if found.best:
        return _at_eight_bits(problem, found.best, found.reason, method)
    bound = problem.budget.sram_bytes
    return _unsplit(problem, found.reason, method) if not bound or found.baseline_arena_bytes <= bound else None


def keeps_all_bounds(problem: SearchProblem, plan: PrecisionPlan) -> bool:
    """Whether a plan that keeps the SRAM bound keeps those of flash and work too."""
    flash = problem.budget.flash_bytes
    return _meets(problem, plan) and (flash is None or problem.bytes_of(plan).flash_bytes <= flash)


def _unsplit(problem: SearchProblem, reason: str, method: str) -> PrecisionPlan:
    return PrecisionPlan(problem.graph.sha256, problem.provenance(method), notes=(reason,))


def _at_eight_bits(problem: SearchProblem, split: Split, reason: str, method: str) -> PrecisionPlan:
    note = "the bounds hold at 8 bits, so that no width is lowered (--objective bit_ops trades accuracy for BitOPs)"
    return PrecisionPlan(
        problem.graph.sha256,
        problem.provenance(method),
        stages=tuple(split.plans(problem.graph)),
        notes=(reason, note),
    )


def _given_lambda(problem: SearchProblem) -> float:
    """The largest lambda tried: at 1 widths are lowered for memory alone, at the least loss of entropy."""
    given = problem.settings.part(VdqsSettings).trade
    return 1.0 if given is None else given


def _mixed_splits(problem: SearchProblem, budget: int) -> Iterator[tuple[StagePlanner, Split]]:
    """Splits that meet the budget if all maps inside stages have 4 bits, then 2."""
    bounds = problem.stage_bounds
    table = planning_table(bounds["table"], bounds["max_macs_ratio"])
    ratio = work_ratio(budget, table, bounds["max_macs_ratio"], bounds["max_slowdown"])
    names = [t.name for t in problem.graph.tensors if not t.is_constant]
    for bits in candidate_widths(problem.settings.part(VdqsSettings).vdqs_min_bits)[1:]:
        inner_bits = dict.fromkeys(names, bits)
        planner = problem.stage_planner(
            problem.graph,
            table=table,
            inner_bits=inner_bits,
            **{name: bounds[name] for name in ("input_mode", "variants", "stock_kernels")},
        )
        for split in itertools.islice(planner.within(budget, ratio), MIXED_CANDIDATES):
            yield planner, split


def _scratch_bytes(problem: SearchProblem, plan: PrecisionPlan, stage: StagePlan) -> tuple[int, ...]:
    """The scratch of each variant of our kernels that may run."""
    program = stage_program(problem.graph, stage, plan.weight_bits)
    return tuple(stage_scratch_bytes(variant, program) for variant in problem.variants)


def _plan(problem: SearchProblem, split: Split, reason: str) -> PrecisionPlan:
    """The plan at the largest lambda, not above the given one, at which the bounds on work hold, or else at 0."""
    stages = [
        ClassifiedStage.of(problem, planned.plan(problem.graph), planned.live_bytes - planned.map_bytes)
        for planned in split.stages
    ]
    if problem.saved_share is not None:
        lowest = _plan_at(problem, stages, 0.0, reason)
        note = f"lowered by measured error, for {problem.saved_share:.0%} of the BitOPs that can be saved"
        return dataclasses.replace(
            lowered_by_error(problem, lowest, problem.saved_share), notes=(*lowest.notes[:1], note)
        )
    given = _given_lambda(problem)
    weights = [given, *_smaller_lambdas(given, [t for stage in stages for t in stage.branch.turning_points()])]
    plans = [lambda w=w: _plan_at(problem, stages, w, reason) for w in weights]  # each is made when it is asked for
    if problem.budget.bit_ops is None and problem.budget.instructions is None:
        return plans[0]()
    first = bisect.bisect_left(plans, True, hi=len(plans) - 1, key=lambda plan: _meets(problem, plan()))
    return plans[first]()


def _smaller_lambdas(given: float, turning_points: Iterable[float]) -> list[float]:
    """One between each two turning points below the given lambda, falling, and 0."""
    below = sorted({given, 0.0, *(t for t in turning_points if 0 < t < given)}, reverse=True)
    return [(a + b) / 2 for a, b in itertools.pairwise(below)] + [0.0]


def _meets(problem: SearchProblem, plan: PrecisionPlan) -> bool:
    work = problem.cost.work_of(plan)
    bounds = (work.bit_ops, problem.budget.bit_ops), (work.instructions, problem.budget.instructions)
    return all(bound is None or value <= bound for value, bound in bounds)


def _plan_at(problem: SearchProblem, stages: Sequence[ClassifiedStage], weight: float, reason: str) -> PrecisionPlan:
    found = [stage.quantized(weight) for stage in stages]
    notes = [reason, *(stage.note for stage in found)]
    given = _given_lambda(problem)
    if weight < given:
        notes.append(f"lambda is {weight:.4g} instead of {given:g}, for the bounds on work")
    scores = {name: by_bits for stage in found for name, by_bits in stage.scores.items()}
    provenance = problem.provenance("vdqs", **({"scores": scores} if scores else {}))
    return PrecisionPlan(
        problem.graph.sha256,
        provenance,
        stages=tuple(stage.stage for stage in found),
        weight_bits={name: bits for stage in found for name, bits in stage.weight_bits.items()},
        notes=tuple(notes),
    )


def quantize_stage(problem: SearchProblem, whole: StagePlan, *, fixed_bytes: int = 0) -> QuantizedStage:
    """Classifies the patches of one stage and chooses the widths of the ordinary ones, and of weights.

    Args:
      problem: the search's.
      whole: with all patches in one class, at 8 bits.
      fixed_bytes: of the budget that the stage takes beside its maps.
    """
    return ClassifiedStage.of(problem, whole, fixed_bytes).quantized(_given_lambda(problem))
