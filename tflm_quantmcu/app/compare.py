"""Compares searches on one model: every search at every budget and seed, judged on labelled samples on TFLM.

In: a model, calibration, labelled samples to search by and others to judge by. Out: one table, one plot, every plan.
Searches and judging run in parallel (see `base/parallel.py`); a comparison that was killed goes on where it was.
"""

from __future__ import annotations

import dataclasses
import itertools
import os
import pathlib
import time
from collections.abc import Sequence
from typing import Any, Union

import numpy as np

from tflm_quantmcu.app import api
from tflm_quantmcu.app.comparison import BASELINE, Comparison, Row
from tflm_quantmcu.app.evaluation import right_answers
from tflm_quantmcu.app.figures import Figures
from tflm_quantmcu.app.labelled import labelled_inputs, read_labelled
from tflm_quantmcu.app.source import Source, read_source
from tflm_quantmcu.base.byte_sizes import parse_bytes
from tflm_quantmcu.base.checkpoint import Checkpoint
from tflm_quantmcu.base.errors import BudgetError, UsageError
from tflm_quantmcu.base.parallel import parallel_map
from tflm_quantmcu.compensation.compensate import has_low_widths
from tflm_quantmcu.graph.accuracy_loss import AccuracyLoss
from tflm_quantmcu.graph.calibration_result import CalibrationResult
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.runtime.sample_sources import SampleSource
from tflm_quantmcu.runtime.samples import digest
from tflm_quantmcu.search.options import Options
from tflm_quantmcu.search.registry import SEARCHES, find_search, refuse_unused

Path = Union[str, "os.PathLike[str]"]


def compare(
    model: Any,
    *,
    searches: Sequence[str],
    data: tuple[np.ndarray, np.ndarray] | Path,
    output_dir: Path,
    calibration: CalibrationResult | Path | None = None,
    calibration_data: SampleSource | Path | None = None,
    evaluation_data: tuple[np.ndarray, np.ndarray] | Path | None = None,
    sram_bytes: Sequence[int | None] = (None,),
    flash_bytes: Sequence[int | None] = (None,),
    seeds: Sequence[int] = (0,),
    **options: Any,
) -> Comparison:
    """Runs every search at every pair of budgets with every seed.

    Args:
      model, calibration, calibration_data: as of `plan`.
      searches: names.
      data: labelled samples (x, y), or an .npz with them, that the plans are judged on.
      output_dir: made if it is not there; finished parts are kept here until all are done, and then the result.
      evaluation_data: labelled samples that searches may judge by, none of `data`; for those that do.
      sram_bytes, flash_bytes: bounds; None is no bound.
      seeds: of the searches.
      **options: the rest of `tflm_quantmcu.search.options.Options`, for all that use them.

    Raises:
      UsageError, UnsupportedModelError: see `tflm_quantmcu.base.errors`. A budget that a search cannot meet is a row.
    """
    for name in searches:
        find_search(name)
    common = Options.of(options)
    refuse_unused(options, searches)
    judging = read_labelled(data, "--data")
    searching = None if evaluation_data is None else read_labelled(evaluation_data)
    folder = pathlib.Path(output_dir).absolute()  # worker processes may stand in another folder
    folder.mkdir(parents=True, exist_ok=True)
    source = read_source(model, calibration, calibration_data, common, folder / "checkpoint")
    x, y = labelled_inputs(judging, source.graph, "--data")
    labelled = None if searching is None else labelled_inputs(searching, source.graph)
    rows = [Row(*cell) for cell in itertools.product(searches, sram_bytes, flash_bytes, seeds)]
    tasks = [_Task(source, row, labelled, options, str(folder)) for row in [Row(BASELINE, None, None, 0), *rows]]
    cells = list(
        parallel_map(_run_task, tasks, n_jobs=common.n_jobs, what="searching and converting", progress=common.progress)
    )
    models = {c.content: c.model for c in cells if c.model}  # of plans that seeds agree on one
    judged = right_answers(list(models.values()), x, y, n_jobs=common.n_jobs, progress=common.progress)
    found = dict(zip(models, judged, strict=True))
    rows = [_judged(c, found[c.content], found[cells[0].content]) if c.model else c.row for c in cells]
    comparison = Comparison(rows, {c.row.name: c.plan for c in cells if c.plan}, common.target)
    comparison.save(folder)
    for task in tasks:
        task.checkpoint.remove()
        task.search_checkpoint.unlink(missing_ok=True)
    return comparison


_TARGET_OPTIONS = ("core", "board", "runtime", "stock_kernels", "keep_stock_ops", "sram_scope", "flash_scope")


@dataclasses.dataclass(frozen=True, eq=False)
class _Task:
    """One row to be had, as a process is given it."""

    source: Source
    row: Row
    labelled: tuple[np.ndarray, np.ndarray] | None
    options: dict[str, Any]
    folder: str

    @property
    def own_options(self) -> dict[str, Any]:
        """The options without those that only other searches use."""
        own = find_search(self.row.search).own_flags
        others = {flag for search in SEARCHES.values() for flag in search.own_flags if flag not in own}
        return {name: value for name, value in self.options.items() if name not in others}

    @property
    def checkpoint(self) -> Checkpoint:
        """The file that keeps the finished cell."""
        options = {name: value for name, value in self.options.items() if name not in ("progress", "n_jobs")}
        calibration = self.source.calibration
        key = {
            "model": self.source.graph.sha256,
            "calibration": None if calibration is None else digest(calibration.samples),
            "evaluation_data": None if self.labelled is None else digest(*self.labelled),
            "options": {name: str(value) for name, value in options.items()},
            "row": dataclasses.asdict(self.row),
        }
        return Checkpoint(pathlib.Path(self.folder) / f"{self.row.name}.checkpoint", key)

    @property
    def search_checkpoint(self) -> pathlib.Path:
        return pathlib.Path(self.folder) / f"{self.row.name}.search.checkpoint"


@dataclasses.dataclass(frozen=True, eq=False)
class _Cell:
    """A row without its accuracy, with what was made for it."""

    row: Row
    model: bytes | None = None
    plan: PrecisionPlan | None = None

    @property
    def content(self) -> str:
        """All of the plan that decides what its model computes."""
        return "" if self.plan is None else dataclasses.replace(self.plan, search={}, notes=()).to_json()


def _run_task(task: _Task) -> _Cell:
    """The cell, from its checkpoint if it was finished before."""
    state = task.checkpoint.load()
    if state is None:
        cell = _baseline(task) if task.row.search == BASELINE else _search(task)
        values = {"row": dataclasses.asdict(cell.row), "plan": cell.plan and cell.plan.to_json()}
        task.checkpoint.save(values, {} if cell.model is None else {"model": np.frombuffer(cell.model, np.uint8)})
        return cell
    plan = state.values["plan"]
    return _Cell(
        Row(**state.values["row"]),
        state.arrays["model"].tobytes() if "model" in state.arrays else None,
        plan and PrecisionPlan.from_json(plan),
    )


def _baseline(task: _Task) -> _Cell:
    plan = PrecisionPlan(task.source.graph.sha256, {})
    on_target = {name: task.options[name] for name in _TARGET_OPTIONS if name in task.options}
    report = api.convert(task.source.model, plan=plan, progress=False, **on_target).report
    return _Cell(_measured(task.row, report.baseline), task.source.model.origin.data)


def _search(task: _Task) -> _Cell:
    row = task.row
    options = {**task.own_options, "progress": False, "n_jobs": 1}
    bounds = {"sram_bytes": row.sram_bytes, "flash_bytes": row.flash_bytes}
    inputs: dict[str, Any] = {"calibration": task.source.calibration, **options, **bounds, "search": row.search}
    start = time.process_time()
    try:
        plan = api.plan(
            task.source.model,
            evaluation_data=task.labelled,
            checkpoint=task.search_checkpoint,
            seed=row.seed,
            **inputs,
        )
    except BudgetError as error:
        return _Cell(dataclasses.replace(row, refused=str(error)))
    row = dataclasses.replace(row, seconds=round(time.process_time() - start, 2))
    result = api.convert(task.source.model, plan=plan, **inputs)
    return _Cell(_measured(row, result.report.converted), result.model, result.plan)


def _judged(cell: _Cell, right: np.ndarray, of_int8: np.ndarray) -> Row:
    """The cell's row with what it has right, bool [N], and what it loses against int8."""
    row = dataclasses.replace(cell.row, accuracy=float(right.mean()))
    if cell.plan is None:
        return row
    loss = AccuracyLoss("equality", 0)
    if has_low_widths(cell.plan):
        loss = AccuracyLoss.of_samples("labels", of_int8.astype(float) - right, 0)
    return dataclasses.replace(row, points=loss.points, limit_points=loss.upper_points)


def _measured(row: Row, figures: Figures) -> Row:
    return dataclasses.replace(
        row,
        arena_bytes=figures.arena_bytes,
        model_bytes=figures.flash_bytes,
        macs=figures.cost.macs,
        bit_ops=figures.cost.bit_ops,
        instructions=figures.instructions,
        cycles=figures.cycles,
        milliseconds=figures.milliseconds,
    )


def parse_numbers(values: Sequence[str], flag: str) -> list[Any]:
    """Numbers of the command line; `none` is None.

    Raises:
      UsageError: neither a number nor `none`.
    """
    for value in values:
        if value != "none" and not value.isdigit():
            raise UsageError(f"--{flag} has '{value}'; supported are numbers, and none for no bound")
    return [None if value == "none" else int(value) for value in values]


def parse_sizes(values: Sequence[str], flag: str) -> list[int | None]:
    """Sizes of the command line (`byte_sizes.parse_bytes`); `none` is None.

    Raises:
      UsageError: neither a size nor `none`.
    """
    return [None if value == "none" else parse_bytes(value, flag) for value in values]
