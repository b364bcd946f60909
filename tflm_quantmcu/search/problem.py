"""What a search is given, and the parts that all searches share."""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, TypeVar

import numpy as np

from tflm_quantmcu.base.checkpoint import Checkpoint
from tflm_quantmcu.base.errors import BudgetError, UsageError
from tflm_quantmcu.base.progress import track
from tflm_quantmcu.calibration.methods import narrow_format
from tflm_quantmcu.compensation.compensate import compensate, with_room, without_compensation
from tflm_quantmcu.cost.instructions import InstructionTable
from tflm_quantmcu.cost.network_cost import Cost
from tflm_quantmcu.graph.calibration_result import CalibrationResult, TensorStats
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.graph.target import KERNEL_VARIANTS, Target
from tflm_quantmcu.graph.types import Budget, Format, ModelGraph
from tflm_quantmcu.patches.planner import plan_stages
from tflm_quantmcu.patches.split import StageSearch
from tflm_quantmcu.patches.stage_planner import StagePlanner
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.runtime.samples import digest
from tflm_quantmcu.search.overrides import FixedWidths
from tflm_quantmcu.search.settings.base import Settings
from tflm_quantmcu.search.settings.common import CompensationSettings, StageSettings
from tflm_quantmcu.tflite.model_file import ModelFile

# Plans; learning searches come back to the same widths.
KEPT_COMPENSATED = 32
KEPT_ANSWERS = 256  # of `SearchProblem.once`: a few a stage of each split that is tried

_Item = TypeVar("_Item")
_Found = TypeVar("_Found")


@dataclasses.dataclass(frozen=True)
class PlanBytes:
    """What a plan costs once it is converted.

    Attributes:
      arena_bytes: what `sram_bytes` bounds.
      flash_bytes: what `flash_bytes` bounds.
      beside_bytes: of the arena's, what it takes beside maps and scratch.
      loss_bytes: what other cores take more with offsets that are pinned for the target than without.
    """

    arena_bytes: int
    flash_bytes: int
    beside_bytes: int = 0
    loss_bytes: int = 0


class CostModel(Protocol):
    """What plans of one model cost; `plan_costs.PlanCosts` is one."""

    @property
    def model(self) -> ModelFile:
        """The int8 `.tflite`."""

    @property
    def target(self) -> Target:
        """What the plans are for."""

    @property
    def table(self) -> InstructionTable:
        """The table of the core whose instructions are estimated."""

    @property
    def cycles(self) -> InstructionTable:
        """The same of documented cycles, which searches minimise."""

    @property
    def key(self) -> Mapping[str, Any]:
        """What figures depend on beside the model, of JSON's types."""

    def convert(self, plan: PrecisionPlan) -> ModelFile:
        """The converted `.tflite`."""

    def bytes_of(self, plan: PrecisionPlan) -> PlanBytes:
        """Converts the plan and measures."""

    def within(self, sram_bytes: int | None) -> CostModel:
        """The same with another bound on what counts."""

    def work_of(self, plan: PrecisionPlan) -> Cost:
        """MACs, BitOPs and instructions of one inference; nothing is converted."""


def _no_samples(plan: PrecisionPlan) -> float:
    raise UsageError("this search judges plans on samples: pass --evaluation_data, --calibration_data or both")


@dataclasses.dataclass(frozen=True, eq=False)
class SearchProblem:
    """Input of a search: the arguments of every search (see `search.Search`) as one value.

    Attributes:
      graph: the int8 model.
      calibration: statistics of the model's feature maps, or None.
      budget: what the plan must keep to.
      cost: measures plans.
      settings: of all searches, a sum of `settings.Settings` as `options.Options` is; each takes its part.
      evaluate: what a plan is worth, higher is better; see `evaluator.Evaluator`.
      labelled: inputs [N, ...] of the model's type and labels int64 [N], for searches that learn; or None.
      seed: of everything random.
      progress: bars on standard error.
      checkpoint: where a long search keeps its state, or None.
      fixed: widths that the user set.
      suits_all_cores: stages are planned for the core that takes the most, whatever the target is.
      mixed_split: None, or vdqs takes that one of the splits that keep the SRAM bound below 8 bits, the fastest first,
        whether or not one keeps it at 8 bits.
      saved_share: None, or vdqs with objective bit_ops lowers what costs the least error until this share of the BitOPs
        is saved that can be.
    """

    graph: ModelGraph
    calibration: CalibrationResult | None
    budget: Budget
    cost: CostModel
    settings: Settings
    evaluate: Callable[[PrecisionPlan], float] = _no_samples
    labelled: tuple[np.ndarray, np.ndarray] | None = None
    seed: int = 0
    progress: bool = False
    checkpoint: Checkpoint | None = None
    fixed: FixedWidths = dataclasses.field(default_factory=FixedWidths)
    suits_all_cores: bool = False
    mixed_split: int | None = None
    saved_share: float | None = None
    _latest: dict[int, np.ndarray] = dataclasses.field(default_factory=dict)
    _found: list[tuple[object, Any]] = dataclasses.field(default_factory=list)
    _latest_compensated: list[tuple[PrecisionPlan, PrecisionPlan]] = dataclasses.field(default_factory=list)

    def changed(self, **settings: Any) -> SearchProblem:
        """The problem with some settings changed."""
        return dataclasses.replace(self, settings=dataclasses.replace(self.settings, **settings))

    def once(self, question: object, find: Callable[[], _Found]) -> _Found:
        """What `find` finds; of a question that equals an earlier one, what was found then. Problems that are changed
        from one another share it, so the question names all settings that the answer depends on."""
        for asked, found in self._found:
            if asked == question:
                answer: _Found = found
                return answer
        answer = find()
        self._found.append((question, answer))
        del self._found[:-KEPT_ANSWERS]
        return answer

    def planned_stages(self) -> StageSearch:
        """What the planner finds at 8 bits within the bounds."""
        bounds = self.stage_bounds
        return self.once(("stages", bounds), lambda: plan_stages(self.graph, make=self.stage_planner, **bounds))

    def stage_planner(self, graph: ModelGraph, **options: Any) -> StagePlanner:
        """The planner of a graph, one for all bounds that are asked of it: it knows what it found."""
        return self.once(("planner", graph.sha256, options), lambda: StagePlanner(graph, **options))

    def samples_of(self, tensor: int, count: int | None = None) -> np.ndarray:
        """Values of a feature map for the first `count` calibration samples, None is all, int8 [N, H, W, C]; those of
        the latest map are kept.

        Raises:
          UsageError: there is no calibration.
        """
        if self.calibration is None:
            raise UsageError("this search needs calibration: pass --calibration_data or --calibration")
        samples = self.calibration.samples[:count]
        if tensor in self.graph.inputs:
            return samples
        if len(self._latest.get(tensor, ())) < len(samples):
            interpreter = Interpreter(self.cost.model, preserve_all_tensors=True)
            values = []
            for sample in self.track(samples, "running the samples"):
                interpreter.invoke(sample)
                values.append(interpreter.tensor(tensor)[0])
            self._latest.clear()
            self._latest[tensor] = np.stack(values)
        return self._latest[tensor][:count]

    def stats(self, name: str) -> TensorStats:
        """Calibration statistics of a feature map.

        Raises:
          UsageError: there is no calibration, or it does not know the tensor.
        """
        if self.calibration is None:
            raise UsageError("widths below 8 bits need calibration: pass --calibration_data or --calibration")
        if name not in self.calibration.stats:
            raise UsageError(f"the calibration has no statistics of tensor '{name}'; calibrate this model anew")
        return self.calibration.stats[name]

    def format_of(self, name: str, bits: int) -> Format:
        """The format of a whole feature map by the calibration's method; raises as `stats`."""
        return narrow_format(self.stats(name), bits)

    def compensated(self, plan: PrecisionPlan) -> PrecisionPlan:
        """The plan with what makes up for its widths, by the flag `compensation`: what becomes of a search's result.

        Those of the latest plans are kept.
        """
        if self.calibration is None:
            return without_compensation(plan)
        samples = self.samples_of(self.graph.inputs[0])
        mode = self.settings.part(CompensationSettings).compensation
        decisive = {"compensation": mode, "calibration_sha256": self._calibration_sha256}
        asked = dataclasses.replace(without_compensation(plan), search=decisive, notes=())
        found = next((compensated for known, compensated in self._latest_compensated if known == asked), None)
        if found is None:
            found = compensate(self.graph, asked, samples, mode=mode)
            self._latest_compensated.append((asked, found))
            del self._latest_compensated[:-KEPT_COMPENSATED]
        return dataclasses.replace(found, search=plan.search, notes=plan.notes, layers=plan.layers)

    def bytes_of(self, plan: PrecisionPlan) -> PlanBytes:
        """What the plan takes once it is compensated; nothing is run for it."""
        if self.calibration is not None:
            plan = with_room(self.graph, plan, mode=self.settings.part(CompensationSettings).compensation)
        return self.cost.bytes_of(plan)

    def track(self, items: Iterable[_Item], what: str, *, total: int | None = None) -> Iterable[_Item]:
        """The items with a progress bar."""
        return track(items, what, progress=self.progress, total=total)

    def provenance(self, method: str, **found: Any) -> dict[str, Any]:
        """The plan's `search` entry: the method and all that it depends on beside the model."""
        flags = {**self.settings.parameters, **(self.calibration.method.flags if self.calibration else {})}
        return {"method": method, **flags, "calibration_sha256": self._calibration_sha256, **found}

    @functools.cached_property
    def _calibration_sha256(self) -> str | None:
        return None if self.calibration is None else digest(self.calibration.samples)

    @property
    def stage_bounds(self) -> dict[str, Any]:
        """What `plan_stages` must keep to."""
        chosen = self.settings.part(StageSettings)
        return {
            "sram_bytes": self.budget.sram_bytes,
            "max_macs_ratio": chosen.max_macs_ratio,
            "max_slowdown": chosen.max_slowdown,
            "table": self._planning_table,
            "input_mode": chosen.input,
            "variants": self.variants,
            "stock_kernels": self.cost.target.stock_kernels,
        }

    @property
    def variants(self) -> tuple[str, ...]:
        """The variants of our kernels that stages are planned for."""
        return KERNEL_VARIANTS if self.suits_all_cores else self.cost.target.variants

    @property
    def _planning_table(self) -> InstructionTable | None:
        """None, the Cortex-M4's, where the core has no table."""
        try:
            return self.cost.table
        except UsageError:
            return None

    def standard_error(self, accuracy: float) -> float:
        """The standard error of an accuracy on the labelled samples; without labels nothing is left to chance."""
        return 0.0 if self.labelled is None else math.sqrt(max(accuracy * (1 - accuracy), 0) / len(self.labelled[1]))

    def out_of_reach(self, nearest: PrecisionPlan, attempt: str) -> BudgetError:
        """The refusal of bounds that no plan keeps, given the nearest one and a sentence that the bounds end."""
        bounds = [f"--{flag} {bound:,}" for flag, bound in self.budget.flags.items() if bound is not None]
        work, found = self.cost.work_of(nearest), self.bytes_of(nearest)
        return BudgetError(
            f"{attempt} {' and '.join(bounds)}; the smallest work reached is {work.bit_ops:,} BitOPs and "
            f"{work.instructions:,} instructions, with an arena of {found.arena_bytes:,} and "
            f"{found.flash_bytes:,} bytes of flash; raise the bound that this exceeds"
        )

    def over_budget(
        self, found: StageSearch, smallest_bytes: int | None = None, *, more: Sequence[str] = ()
    ) -> BudgetError:
        """The refusal of a budget that no split reaches; `more` helps beside what always does."""
        smallest = min(found.smallest_arena_bytes, smallest_bytes or found.smallest_arena_bytes)
        remedy = ", ".join([*more, "raise --sram_bytes or shrink the model's input or channels"])
        if self.graph.subgraphs:
            remedy = "raise --sram_bytes: the network runs stock as a whole"
        return BudgetError(
            f"--sram_bytes is {self.budget.sram_bytes:,} and the smallest arena reached is {smallest:,} bytes "
            f"({found.reason}); {remedy}",
            smallest_bytes=smallest,
            remedy=remedy,
        )


Strategy = Callable[[SearchProblem], PrecisionPlan]
