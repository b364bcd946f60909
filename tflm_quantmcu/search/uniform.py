"""One width for every feature map and one for every weight that our kernels can hold: the baseline of all searches."""

from __future__ import annotations

from tflm_quantmcu.graph.precision_plan import PatchClass, PrecisionPlan, StagePlan
from tflm_quantmcu.graph.types import Format, ModelGraph
from tflm_quantmcu.patches.planner import plan_stages
from tflm_quantmcu.search.problem import SearchProblem
from tflm_quantmcu.search.settings.common import PinnedSettings
from tflm_quantmcu.search.settings.uniform import UniformSettings
from tflm_quantmcu.search.widths import free_maps, free_weights
from tflm_quantmcu.stage.geometry import planned_ops


def search_uniform(problem: SearchProblem) -> PrecisionPlan:
    """Gives every map and weight the widths `activation_bits` and `weight_bits`, but those that have one set by hand.

    A feature map keeps 8 bits where no QMCU_ kernel writes it or where none reads it (the network's input and
    output, maps of stock ops), and weights that `pinned_layers` names do. At 8 and 8 bits the model computes what it
    did, in patches.

    Raises:
      BudgetError: no split meets the budget at 8 bits (below 8 bits the converted model is judged).
    """
    graph = problem.graph
    widths = problem.settings.part(UniformSettings)
    wanted = {name: problem.fixed.activation_bits.get(name, widths.activation_bits) for name in free_maps(graph)}
    weights = free_weights(graph, problem.settings.part(PinnedSettings).pinned_layers)
    formats = {name: problem.format_of(name, bits) for name, bits in wanted.items() if bits < 8}
    sram_bytes = problem.budget.sram_bytes
    found = plan_stages(graph, bits={name: format.bits for name, format in formats.items()}, **problem.stage_bounds)
    chosen = found.best
    if sram_bytes and not chosen and found.baseline_arena_bytes > sram_bytes:
        if not formats:
            raise problem.over_budget(found)
        chosen = found.smallest
    stages = [stage_with_formats(graph, stage, formats) for stage in (chosen.plans(graph) if chosen else ())]
    inside = {name for stage in stages for c in stage.classes for name in c.formats}
    return PrecisionPlan(
        model_sha256=graph.sha256,
        search=problem.provenance("uniform"),
        stages=tuple(stages),
        formats={name: f for name, f in formats.items() if name not in inside},
        weight_bits=dict.fromkeys(weights, widths.weight_bits) if widths.weight_bits < 8 else {},
        notes=(found.reason,),
    )


def stage_with_formats(graph: ModelGraph, stage: StagePlan, formats: dict[str, Format]) -> StagePlan:
    """The stage with its one class at these formats; input and output stay with the maps outside."""
    if not formats:
        return stage
    inner = [graph.tensors[op.outputs[0]].name for op in planned_ops(graph, stage)]
    chosen = {name: formats[name] for name in inner if name in formats and name != stage.output}
    return StagePlan(**{**vars(stage), "classes": (PatchClass("ordinary", chosen),)})
