"""VDPC: which patches of a stage are ordinary, once for all inputs, input by input, or always.

Our reading of QuantMCU (arXiv 2401.13714): the paper does not say when patches are classified. `static` judges
positions over the calibration, `dynamic` every patch of every input by the same bounds and the same share, `off` none.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping

import numpy as np

from tflm_quantmcu.calibration.outliers import OutlierReport, classify_patches, outlier_rule
from tflm_quantmcu.graph.precision_plan import CHOSEN_AT_RUN_TIME, OutlierRule, StagePlan
from tflm_quantmcu.oracle.run_time_classes import classes_on
from tflm_quantmcu.search.problem import SearchProblem
from tflm_quantmcu.search.settings.vdqs import VdqsSettings
from tflm_quantmcu.stage.program import StageProgram

OUTLIER, ORDINARY = range(2)


@dataclasses.dataclass(frozen=True, eq=False)
class Classification:
    """Classes of a stage's patches.

    Attributes:
      grid: int [rows, cols]: OUTLIER, ORDINARY or CHOSEN_AT_RUN_TIME.
      ordinary: bool [N, rows, cols]: which patches of the calibration samples are ordinary; N is 1 where samples do
        not matter.
      summary: for the user.
      rule: by which classes are chosen at run time, or None.
    """

    grid: np.ndarray
    ordinary: np.ndarray
    summary: str
    rule: OutlierRule | None = None

    @property
    def can_be_ordinary(self) -> np.ndarray:
        """bool [rows, cols]"""
        return self.grid != OUTLIER

    @property
    def has_outliers(self) -> bool:
        """Whether patches may be outliers."""
        return bool((self.grid != ORDINARY).any())

    @property
    def patch_classes(self) -> tuple[tuple[int, ...], ...]:
        return tuple(map(tuple, self.grid.tolist()))


def classify(problem: SearchProblem, stage: StagePlan, program: StageProgram) -> Classification:
    """Classes of the patches of a stage, by the flags `vdpc`, `vdpc_phi` and `vdpc_outlier_fraction`.

    Args:
      problem: the search's.
      stage: with all patches in one class.
      program: of the stage.

    Raises:
      UsageError: there is no calibration.
    """
    return _CLASSIFIERS[problem.settings.part(VdqsSettings).vdpc](problem, stage, program)


def _static(problem: SearchProblem, stage: StagePlan, program: StageProgram) -> Classification:
    report = _report(problem, stage, program)
    count = int(report.is_outlier.sum())
    summary = (
        f"{_name(stage)}: {count} of {report.is_outlier.size} patches are outliers (more than "
        f"{report.threshold:.2%} of their values beyond phi = {report.phi} of a Gaussian fitted to that map)"
    )
    return Classification(np.where(report.is_outlier, OUTLIER, ORDINARY), ~report.is_outlier[None], summary)


def _dynamic(problem: SearchProblem, stage: StagePlan, program: StageProgram) -> Classification:
    """Where calibration saw one class only, it is the only one."""
    report = _report(problem, stage, program)
    histogram = problem.stats(stage.input).histogram
    rule = outlier_rule(histogram, phi=report.phi, threshold=report.threshold)
    grid = np.full(report.is_outlier.shape, CHOSEN_AT_RUN_TIME)
    chosen = dataclasses.replace(program, patch_classes=tuple(map(tuple, grid.tolist())), outliers=rule)
    ordinary = classes_on(chosen, problem.samples_of(problem.graph.by_name[stage.input].index)) == ORDINARY
    share = float(ordinary.mean())
    summary = (
        f"{_name(stage)}, at run time: {share:.1%} of the patches of the calibration samples are ordinary (at most "
        f"{report.threshold:.2%} of their values outside [{rule.low}, {rule.high}], phi = {report.phi} of a Gaussian "
        "fitted to that map)"
    )
    if ordinary.all() or not ordinary.any():
        only = ORDINARY if ordinary.all() else OUTLIER
        return Classification(np.full(grid.shape, only), ordinary, f"{summary}, so that all patches have one class")
    return Classification(grid, ordinary, summary, rule)


def _off(problem: SearchProblem, stage: StagePlan, program: StageProgram) -> Classification:
    grid = np.full(np.shape(program.patch_classes), ORDINARY)
    return Classification(grid, grid[None] == ORDINARY, f"{_name(stage)}: off, all patches are ordinary")


_CLASSIFIERS: Mapping[str, Callable[[SearchProblem, StagePlan, StageProgram], Classification]] = {
    "static": _static,
    "dynamic": _dynamic,
    "off": _off,
}


def _report(problem: SearchProblem, stage: StagePlan, program: StageProgram) -> OutlierReport:
    rows, cols = (range(n) for n in np.shape(program.patch_classes))
    regions = [[program.region(row, col, 0) for col in cols] for row in rows]
    chosen = problem.settings.part(VdqsSettings)
    return classify_patches(
        problem.stats(stage.input),
        regions,
        phi=chosen.vdpc_phi,
        outlier_fraction=chosen.vdpc_outlier_fraction,
    )


def _name(stage: StagePlan) -> str:
    return f"VDPC, the stage that reads '{stage.input.split(';')[0]}'"
