"""The Python interface: plan and convert. Each is one straight line through the other modules.

How the user's model is read and calibrated stands in source.py, whose two public functions have their names here too.
"""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Callable, Mapping
from typing import Any, Union

import numpy as np

from tflm_quantmcu.app import report as reports
from tflm_quantmcu.app.budget_check import check_budget
from tflm_quantmcu.app.front import front_of
from tflm_quantmcu.app.labelled import labelled_inputs, read_labelled
from tflm_quantmcu.app.peak import why_not_smaller
from tflm_quantmcu.app.plan_costs import PlanCosts
from tflm_quantmcu.app.source import Source, calibrate_model, keras_from_tflite, read_source
from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.base.files import read_bytes, write_atomically
from tflm_quantmcu.base.progress import stages
from tflm_quantmcu.calibration.unified_scale import layerwise_plan
from tflm_quantmcu.converter.verify import verify_conversion
from tflm_quantmcu.graph.calibration_result import CalibrationResult
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.native.handshake import load_op_library
from tflm_quantmcu.native.op_library import find_op_library
from tflm_quantmcu.patches.pareto import Point
from tflm_quantmcu.runtime.sample_sources import SampleSource
from tflm_quantmcu.search.guard import keep_accuracy
from tflm_quantmcu.search.options import Options
from tflm_quantmcu.search.overrides import FixedWidths, fixed_widths, read_overrides
from tflm_quantmcu.search.problem import SearchProblem
from tflm_quantmcu.search.registry import SEARCHES, find_search, finish_plan, refuse_unused

__all__ = ["ConversionResult", "calibrate_model", "convert", "keras_from_tflite", "pareto_front", "plan", "timed_plan"]

Path = Union[str, "os.PathLike[str]"]
VERIFY_SAMPLES = 4
# Stages of a call, as progress shows them.
_READ, _SEARCH, _WRITE = "reading and calibrating", "planning and searching", "writing and verifying"


@dataclasses.dataclass(frozen=True, eq=False)
class ConversionResult:
    """A converted model and its proof.

    Attributes:
      model: the `.tflite` bytes.
      plan: what was decided.
      report: bytes, work and checks before and after; printable, `save_html(path)`.
    """

    model: bytes
    plan: PrecisionPlan
    report: reports.ConversionReport

    def save(self, path: Path) -> None:
        """Writes the `.tflite` under a temporary name and renames it."""
        write_atomically(path, self.model)


def plan(
    model: Any,
    *,
    calibration: CalibrationResult | Path | None = None,
    calibration_data: SampleSource | Path | None = None,
    evaluation_data: tuple[np.ndarray, np.ndarray] | Path | None = None,
    checkpoint: Path | None = None,
    **options: Any,
) -> PrecisionPlan:
    """Decides stages and bit widths.

    Args:
      model: a keras.Model, a path (.keras, .h5, SavedModel folder, .tflite) or the bytes of a full-integer int8
        `.tflite`.
      calibration: what `ActivationCalibrator.result` or `calibrate` gave, or its saved file.
      calibration_data: representative inputs [N, H, W, C], an .npz with them as `x`, or what gives them: a list, a dict
        by the input's name, a TFLite representative_dataset, a tf.data.Dataset, a generator (of what has no known end
        the first `max_samples`); calibrated on when there is no `calibration`.
      evaluation_data: labelled samples (x, y), or an .npz with them, by which the loss of accuracy is measured and some
        searches judge plans; judge the result by others. x: [N, ...], as of `to_model_input`; y: integers [N]. Without
        them the calibration samples' scores are compared with the unchanged model's.
      checkpoint: file of a long search's state: a call that was killed goes on from it if it is made again. It stays.
        That of the calibration lies beside it while it runs.
      **options: see `tflm_quantmcu.search.options.Options`; those of another search are refused.

    Raises:
      UsageError, UnsupportedModelError, BudgetError: see `tflm_quantmcu.base.errors`.
    """
    return timed_plan(
        model,
        calibration=calibration,
        calibration_data=calibration_data,
        evaluation_data=evaluation_data,
        checkpoint=checkpoint,
        **options,
    )[0]


def timed_plan(
    model: Any,
    *,
    calibration: CalibrationResult | Path | None = None,
    calibration_data: SampleSource | Path | None = None,
    evaluation_data: tuple[np.ndarray, np.ndarray] | Path | None = None,
    checkpoint: Path | None = None,
    **options: Any,
) -> tuple[PrecisionPlan, Callable[[], list[str]]]:
    """The plan as of `plan`, with a function that tells in words what an inference takes, unsplit and as planned, and
    what keeps the arena from being smaller; arguments and errors as of `plan`."""
    chosen = _chosen(options, calibration, calibration_data)
    find_op_library()  # what is missing is said before the long work
    labelled = None if evaluation_data is None else read_labelled(evaluation_data)
    with stages({_READ: 0.5, _SEARCH: 0.5}, progress=chosen.progress) as enter:
        enter(_READ)
        source = read_source(model, calibration, calibration_data, chosen, checkpoint)
        costs = _costs(source, chosen)
        enter(_SEARCH)
        found = _search(source, chosen, costs, labelled, checkpoint)
        check_budget(costs, found, chosen.budget)
    is_bounded = chosen.sram_bytes is not None

    def told() -> list[str]:
        return [
            costs.time_text(found),
            *why_not_smaller(source.graph, costs.convert(found).graph, is_bounded=is_bounded),
        ]

    return found, told


def pareto_front(
    model: Any,
    *,
    calibration: CalibrationResult | Path | None = None,
    calibration_data: SampleSource | Path | None = None,
    **options: Any,
) -> list[Point]:
    """What fewer bytes of arena cost in time, over all ways to split the model; with `max_macs_ratio` in MACs.

    Feature maps have 8 bits, of search uniform `activation_bits`; bounds do not count.

    Args:
      model, calibration, calibration_data, **options: as of `plan`.

    Raises:
      UsageError, UnsupportedModelError: see `tflm_quantmcu.base.errors`.
    """
    chosen = _chosen(options, calibration, calibration_data)
    return front_of(read_source(model, calibration, calibration_data, chosen).graph, chosen)


def convert(
    model: Any,
    *,
    calibration: CalibrationResult | Path | None = None,
    calibration_data: SampleSource | Path | None = None,
    evaluation_data: tuple[np.ndarray, np.ndarray] | Path | None = None,
    checkpoint: Path | None = None,
    plan: PrecisionPlan | Path | None = None,
    **options: Any,
) -> ConversionResult:
    """Converts a model, verifies it on TFLM and reports.

    Args:
      model, calibration, calibration_data, evaluation_data, checkpoint, **options: as of `plan`.
      plan: use this plan (or its file) instead of searching.

    Raises:
      UsageError, UnsupportedModelError, BudgetError: see `tflm_quantmcu.base.errors`.
      VerificationError: the converted model does not compute what it must; nothing is returned.
    """
    chosen = _chosen(options, calibration, calibration_data)
    load_op_library(find_op_library())  # what is missing is said before the long work
    labelled = None if evaluation_data is None else read_labelled(evaluation_data)
    with stages({_READ: 0.4, _SEARCH: 0.4, _WRITE: 0.2}, progress=chosen.progress) as enter:
        enter(_READ)
        source = read_source(model, calibration, calibration_data, chosen, checkpoint)
        costs = _costs(source, chosen)
        enter(_SEARCH)
        if plan is None:
            plan = _search(source, chosen, costs, labelled, checkpoint)
        else:
            if not isinstance(plan, PrecisionPlan):
                plan = PrecisionPlan.from_json(read_bytes(plan, "--plan").decode("utf-8", "replace"))
            plan = _finished(source, chosen, costs, plan, labelled)
        check_budget(costs, plan, chosen.budget)
        enter(_WRITE)
        return _converted(source, costs, plan, chosen)


def _converted(source: Source, costs: PlanCosts, plan: PrecisionPlan, options: Options) -> ConversionResult:
    """The model rewritten as the plan says, verified on TFLM, with its report."""
    converted = costs.convert(plan)
    samples = source.calibration.samples[:VERIFY_SAMPLES] if source.calibration else None
    verification = verify_conversion(source.model, converted, plan, samples, target=options.target)
    report = reports.build_report(
        source.model, converted, plan, verification, options=options, calibration=source.calibration
    )
    return ConversionResult(converted.data, plan, report)


def _chosen(options: Mapping[str, Any], calibration: Any, calibration_data: Any) -> Options:
    """The options of keywords, none of which is without effect on their search; and of these arguments one."""
    chosen = Options.of(options)
    find_search(chosen.search)
    refuse_unused(options, [chosen.search])
    if calibration is not None and calibration_data is not None:
        raise UsageError("--calibration has been made, and --calibration_data is to make one; give one of them")
    if chosen.calibration_method != "own" and calibration is None and calibration_data is None:
        raise UsageError(
            f"--calibration_method {chosen.calibration_method} chooses ranges from a calibration: pass "
            "--calibration_data or --calibration"
        )
    return chosen


def _costs(source: Source, options: Options) -> PlanCosts:
    return PlanCosts(
        source.model,
        options.target,
        options.sram_scope,
        options.sram_bytes,
        options.strip_metadata,
        options.keep_stock_ops,
        options.flash_bytes,
        flash_scope=options.flash_scope,
    )


def _fixed(source: Source, options: Options) -> FixedWidths:
    rules = options.precision_overrides
    return fixed_widths(source.graph, read_overrides(rules)) if rules else FixedWidths()


def _finished(
    source: Source,
    options: Options,
    costs: PlanCosts,
    plan: PrecisionPlan,
    labelled: tuple[np.ndarray, np.ndarray] | None,
) -> PrecisionPlan:
    """A plan of the user's, with widths set by rules; a bound on accuracy counts if it is given."""
    problem = SearchProblem(
        source.graph,
        source.calibration,
        options.budget,
        costs,
        options,
        labelled=None if labelled is None else labelled_inputs(labelled, source.graph),
        fixed=_fixed(source, options),
    )
    finished = finish_plan(problem, plan)
    if options.max_accuracy_drop is None:
        return finished
    return keep_accuracy(problem, lambda _: finished, (), is_by_hand=True)


def _search(
    source: Source,
    options: Options,
    costs: PlanCosts,
    labelled: tuple[np.ndarray, np.ndarray] | None,
    checkpoint: Path | None,
) -> PrecisionPlan:
    def refine(plan: PrecisionPlan) -> PrecisionPlan:
        if source.calibration is None or source.calibration.method.name != "uspiq":
            return plan
        return layerwise_plan(source.model, plan, source.calibration.samples, progress=options.progress)

    return SEARCHES[options.search](
        source.graph,
        source.calibration,
        options.budget,
        costs,
        labelled=None if labelled is None else labelled_inputs(labelled, source.graph),
        seed=options.seed,
        progress=options.progress,
        checkpoint=checkpoint,
        fixed=_fixed(source, options),
        refine=refine,
        **options.search_flags,
    )
