"""One stage in VDQS: its patches classified, then widths for those that are ordinary, and for weights.

In: a planned stage at 8 bits. Out: it with classes and formats, at any lambda; vdqs.py chooses the stages and lambda.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from types import MappingProxyType

from tflm_quantmcu.graph.precision_plan import PatchClass, StagePlan
from tflm_quantmcu.graph.types import ModelGraph
from tflm_quantmcu.oracle.run_time_classes import bit_ops_on
from tflm_quantmcu.search.branch import Branch
from tflm_quantmcu.search.problem import SearchProblem
from tflm_quantmcu.search.settings.common import PinnedSettings
from tflm_quantmcu.search.settings.vdqs import VdqsSettings
from tflm_quantmcu.search.vdpc import Classification, classify
from tflm_quantmcu.search.vdqs_widths import search_bits
from tflm_quantmcu.stage.build import build_program
from tflm_quantmcu.stage.program import StageProgram


@dataclasses.dataclass(frozen=True, eq=False)
class QuantizedStage:
    """A stage with classes and widths.

    Attributes:
      stage: as planned.
      weight_bits: weight tensor name -> bits, of those below 8.
      note: a sentence for the user.
      scores: of its maps and weights by name and width.
    """

    stage: StagePlan
    weight_bits: Mapping[str, int]
    note: str
    scores: Mapping[str, Mapping[str, float]]


@dataclasses.dataclass(frozen=True, eq=False)
class ClassifiedStage:
    """A stage before widths are chosen: all that does not depend on lambda."""

    problem: SearchProblem
    whole: StagePlan
    fixed_bytes: int
    classes: Classification
    branch: Branch

    @staticmethod
    def of(problem: SearchProblem, whole: StagePlan, fixed_bytes: int) -> ClassifiedStage:
        """See `quantize_stage`."""
        chosen = problem.settings.part(VdqsSettings)
        rule = (chosen.vdpc, chosen.vdpc_phi, chosen.vdpc_outlier_fraction)
        program = problem.once(("program", whole), lambda: stage_program(problem.graph, whole))
        classes = problem.once(("classes", whole, rule), lambda: classify(problem, whole, program))
        pinned = problem.settings.part(PinnedSettings).pinned_layers
        widths = (chosen.vdqs_min_bits, chosen.vdqs_min_weight_bits, pinned)
        branch = problem.once(
            ("branch", whole, rule, fixed_bytes, widths),
            lambda: Branch.of(problem, whole, program, classes, fixed_bytes),
        )
        return ClassifiedStage(problem, whole, fixed_bytes, classes, branch)

    def quantized(self, weight: float) -> QuantizedStage:
        """The widths at a value of lambda.

        Where classes at run time would lower no map (halos that are kept have one format for both), positions are
        classified in their place.
        """
        branch, classes = self.branch, self.classes
        bits = search_bits(branch, weight, branch.memory_bound(self.problem.budget.sram_bytes))
        chosen = {n: branch.formats[m][bits[n]] for m in branch.free if bits[n := branch.names[m]] < 8}
        weight_bits = {name: b for name, b in bits.items() if b < 8 and name not in branch.names}
        stage = dataclasses.replace(
            self.whole,
            vdpc=self.problem.settings.part(VdqsSettings).vdpc,
            patch_classes=classes.patch_classes,
            classes=(PatchClass("outlier", {}), PatchClass("ordinary", chosen)),
            outliers=classes.rule,
        )
        found = QuantizedStage(stage, weight_bits, classes.summary, branch.scores(weight))
        if stage.vdpc != "dynamic":
            return dataclasses.replace(found, stage=_drop_unused_classes(stage))
        if classes.rule is None:
            return dataclasses.replace(found, stage=dataclasses.replace(_drop_unused_classes(stage), vdpc="off"))
        if not chosen:
            found = self._by_position.quantized(weight)
            why = "no map has fewer bits in ordinary patches alone, so that positions are classified instead"
            return dataclasses.replace(found, note=f"{classes.summary}; {why}. {found.note}")
        return dataclasses.replace(found, note=f"{classes.summary}; {_bit_ops_note(self.problem, found)}")

    @functools.cached_property
    def _by_position(self) -> ClassifiedStage:
        return ClassifiedStage.of(self.problem.changed(vdpc="static"), self.whole, self.fixed_bytes)


def _bit_ops_note(problem: SearchProblem, found: QuantizedStage) -> str:
    program = stage_program(problem.graph, found.stage, found.weight_bits)
    mean = bit_ops_on(program, problem.samples_of(problem.graph.by_name[found.stage.input].index))
    return (
        f"the stage takes {round(mean):,} BitOPs on average over the calibration samples, and "
        f"{program.cost.bit_ops:,} at worst, which the report counts"
    )


def _drop_unused_classes(stage: StagePlan) -> StagePlan:
    used = sorted({k for row in stage.patch_classes for k in row})
    return dataclasses.replace(
        stage,
        classes=tuple(stage.classes[k] for k in used),
        patch_classes=tuple(tuple(used.index(k) for k in row) for row in stage.patch_classes),
    )


def stage_program(
    graph: ModelGraph, stage: StagePlan, weight_bits: Mapping[str, int] = MappingProxyType({})
) -> StageProgram:
    """The stage, its maps of the plan's own formats."""
    return build_program(graph, stage, weight_bits=weight_bits, formats={})
