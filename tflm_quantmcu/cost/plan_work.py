"""What a plan makes of a network's work: its stages as programs, and MACs, BitOPs and instructions of the whole."""

from __future__ import annotations

from tflm_quantmcu.cost.instructions import InstructionTable
from tflm_quantmcu.cost.network_cost import Cost, cost_of
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.graph.types import ModelGraph
from tflm_quantmcu.stage.build import planned_program
from tflm_quantmcu.stage.geometry import planned_ops
from tflm_quantmcu.stage.program import StageProgram


def stage_programs(graph: ModelGraph, plan: PrecisionPlan) -> list[tuple[frozenset[int], StageProgram]]:
    """(op indices, program) of each stage of the plan."""
    programs = []
    for stage in plan.stages:
        program = planned_program(graph, plan, stage)
        programs.append((frozenset(op.index for op in planned_ops(graph, stage)), program))
    return programs


def work_of(graph: ModelGraph, plan: PrecisionPlan, table: InstructionTable | None = None) -> Cost:
    """MACs and BitOPs of one inference as planned, and instructions by the table of a core; 0 without one."""
    map_bits = {name: f.bits for name, f in plan.formats.items()}
    return cost_of(graph, stage_programs(graph, plan), map_bits=map_bits, weight_bits=plan.weight_bits, table=table)
