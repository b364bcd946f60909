"""What a conversion did, in figures: before and after, predicted and recorded, as text and as one HTML page."""

from __future__ import annotations

import dataclasses
import io
import json
import os
from collections.abc import Mapping, Sequence
from typing import Any

import rich.box
import rich.console
import rich.table

from tflm_quantmcu.app.accuracy_lines import accuracy_lines, accuracy_of
from tflm_quantmcu.app.figures import Figures, Work, figures_of, memory_of
from tflm_quantmcu.app.headline import Headline, headline_of
from tflm_quantmcu.app.layer_table import layers_as_text
from tflm_quantmcu.app.page.front_picture import front_picture
from tflm_quantmcu.app.page.render import render
from tflm_quantmcu.app.peak import why_not_smaller
from tflm_quantmcu.app.report_details import ReportDetails
from tflm_quantmcu.app.reserve import (
    NONPERSISTENT,
    less_with_reference_kernels,
    losses_of_other_cores,
    stack_sentence,
)
from tflm_quantmcu.app.stage_sentences import describe_stage
from tflm_quantmcu.base.files import write_atomically
from tflm_quantmcu.converter.verify import VerificationResult
from tflm_quantmcu.cost.boards import board_of, time_text
from tflm_quantmcu.cost.network_cost import cost_of
from tflm_quantmcu.cost.plan_work import stage_programs, work_of
from tflm_quantmcu.graph.calibration_result import CalibrationResult
from tflm_quantmcu.graph.keras_comparison import KerasComparison
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.graph.target import ANY, AOT, CORES, KERNEL_VARIANTS, TFLM, Target
from tflm_quantmcu.graph.unset_pads import unset_pads_sentences
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.search.options import Options
from tflm_quantmcu.tflite.missing_ops import runnable, tables_sentence
from tflm_quantmcu.tflite.model_file import ModelFile

ROWS: Sequence[tuple[str, str]] = (
    ("{headline}", "arena_bytes"),
    ("  of maps and scratch", "on_target.nonpersistent_bytes"),
    ("  of nodes, tensors and op data", "on_target.persistent_bytes"),
    *((f"to reserve on {core} (bytes)", f"reserved_by_core.{core}") for core in CORES),
    *((f"non-persistent arena with {variant} kernels", f"arena_by_variant.{variant}") for variant in KERNEL_VARIANTS),
    ("  recorded by TFLM on this host", "recorded_non_persistent_bytes"),
    ("  of our planner, without the network input (bytes)", "input_excluded_bytes"),
    ("persistent arena, recorded on the 64-bit host (bytes)", "recorded_persistent_bytes"),
    ("persistent arena on a Cortex-M, predicted (bytes)", "persistent.total"),
    ("  nodes", "persistent.nodes"),
    ("  eval tensors", "persistent.eval_tensors"),
    ("  op data", "persistent.op_data"),
    ("  interpreter", "persistent.interpreter"),
    ("flash: .tflite (bytes)", "flash_bytes"),
    ("flash: our code beside it, without TFLM's own (bytes)", "code_bytes"),
    ("MACs", "cost.macs"),
    ("BitOPs", "cost.bit_ops"),
    ("instructions of our kernels on cortex-{timed_core}, estimated", "instructions"),
    ("cycles of these by documented timings", "cycles"),
    ("  of the longest span between two calls of a hook", "longest_cycles"),
    ("MACs of the patch stage's ops", "cost.stage_macs"),
    ("BitOPs of the patch stage's ops", "cost.stage_bit_ops"),
)
_HEADLINES = {TFLM: "tensor arena to reserve", AOT: "arena and stack to reserve"}


@dataclasses.dataclass(frozen=True, eq=False)
class ConversionReport:
    """Printable with `print`, a page with `save_html`, figures with `as_dict` and `save_json`.

    Attributes:
      baseline: the int8 model as it came, on stock TFLM; with tables in the place of ops that TFLM lacks.
      converted: the model that was made.
      stages: a sentence a stage.
      notes: of the search, of other cores that pay for the target, and of what keeps the arena from being smaller.
      verification: the checks that were passed.
      search: the plan's provenance.
      target: what it was made for.
      time: a sentence, milliseconds before and after on the target's board with their error, or why they are not known.
      sram_bytes: the bound that it keeps, or None.
      sram_scope: what the bound is on.
      details: layers, pictures and provenance.
      comparison: of the int8 model with the Keras model that it was made of; None where it came as a `.tflite`.
    """

    baseline: Figures
    converted: Figures
    stages: Sequence[str]
    notes: Sequence[str]
    verification: VerificationResult
    search: Mapping[str, object]
    target: Target
    time: str
    sram_bytes: int | None
    sram_scope: str
    details: ReportDetails
    comparison: KerasComparison | None = None

    @property
    def first_line(self) -> Headline:
        """Whether it fits, what it takes, and what it costs."""
        accuracy = accuracy_of(self.search)
        return headline_of(
            self.converted,
            self.target,
            self.sram_bytes,
            accuracy,
            is_equal=self.details.is_equal,
            num_warnings=len(self.comparison.warnings) if self.comparison else 0,
        )

    def with_command(self, command: str) -> ConversionReport:
        """The same, with the command that repeats it."""
        return dataclasses.replace(self, details=dataclasses.replace(self.details, command=command))

    @property
    def headline(self) -> str:
        """What `arena_bytes` are."""
        core = "any core" if self.target.core == ANY else self.target.core
        if self.sram_scope == NONPERSISTENT:
            return f"non-persistent arena on {core}"
        is_exact = self.converted.on_target is None or self.converted.on_target.is_exact
        return f"{_HEADLINES[self.target.runtime]} on {core}{'' if is_exact else ', at most'}"

    def rows(self) -> list[tuple[str, int, int]]:
        """(label, before, after) of what is known of both models."""
        found = []
        words = {"headline": f"{self.headline} (bytes)", "timed_core": self.target.timed_core}
        for label, name in ROWS:
            before, after = (_figure(figures, name) for figures in (self.baseline, self.converted))
            if before is not None and after is not None:
                found.append((label.format(**words), before, after))
        return found

    @property
    def longest_span(self) -> str:
        """A sentence: what runs between two calls of a hook in the converted model; "" if not known."""
        longest, target = self.converted.time.longest, self.target
        if longest is None or longest.unknown:
            return ""
        text = time_text(target.timed_core, target.board, [longest])
        return f"longest span between two calls of a hook: {longest.label}, {text}"

    @property
    def faithfulness(self) -> list[str]:
        """Sentences on how the int8 model compares with the Keras model, warnings last."""
        return self.comparison.lines if self.comparison else []

    def as_dict(self) -> dict[str, Any]:
        """The figures, of JSON's types; what is not known (yet) is None.

        Keys: `fits` (there is a bound on RAM and the model keeps it, or there is none), `core`, `board`, `runtime`,
        `stock_kernels`, `sram_bytes`, `sram_scope`, and under `before` and `after` `arena_bytes` (what `sram_bytes`
        bounds), `nonpersistent_bytes`, `persistent_bytes`, `host_nonpersistent_bytes`, `flash_bytes`, `code_bytes`,
        `macs`, `bit_ops`, `instructions`, `cycles`, `milliseconds` and `arena_by_core`, bytes to reserve by core;
        `board` is the one that milliseconds are of, and `milliseconds_error` their relative error; `longest_span` has
        what runs the longest between two calls of a hook in the converted model;
        `accuracy` is what fewer bits cost, as `accuracy_lines.accuracy_of`; `keras_comparison` has the attributes of
        KerasComparison and its `warnings`; `headline` is the first line; `stages` and `notes` are sentences.
        """
        arena_bytes = self.converted.arena_bytes
        board = board_of(self.target.timed_core, self.target.board)
        return {
            "fits": self.sram_bytes is None or (arena_bytes is not None and arena_bytes <= self.sram_bytes),
            "core": self.target.core,
            "board": board.name if board else None,
            "runtime": self.target.runtime,
            "stock_kernels": self.target.stock_kernels,
            "sram_bytes": self.sram_bytes,
            "sram_scope": self.sram_scope,
            "milliseconds_error": board.relative_error if board else None,
            "before": self.baseline.as_dict(),
            "after": self.converted.as_dict(),
            "longest_span": self.converted.longest_span(),
            "accuracy": accuracy_of(self.search),
            "keras_comparison": self.comparison.as_dict() if self.comparison else None,
            "headline": self.first_line.as_dict(),
            "stages": list(self.stages),
            "notes": list(self.notes),
            "verified": self.verification.summary,
        }

    def save_json(self, path: str | os.PathLike[str]) -> None:
        """Writes `as_dict`, and what the page shows beside: the keys of `ReportDetails.as_dict`."""
        found = {**self.as_dict(), **self.details.as_dict()}
        write_atomically(path, (json.dumps(found, indent=2) + "\n").encode())

    def __str__(self) -> str:
        table = rich.table.Table(box=rich.box.SIMPLE_HEAD)
        table.add_column("")
        for heading in ("int8, tables" if self.verification.missing else "int8 TFLM", "converted", ""):
            table.add_column(heading, justify="right")
        for label, before, after in self.rows():
            table.add_row(label, f"{before:,}", f"{after:,}", ratio(before, after))
        console = rich.console.Console(file=io.StringIO(), width=110)
        console.print(self.first_line.text, highlight=False, markup=False, soft_wrap=True)
        console.print(table)
        console.print(layers_as_text(self.details.layers))
        for line in (
            self.time,
            *([self.longest_span] if self.longest_span else []),
            *self.stages,
            *self.notes,
            f"verified: {self.verification.summary}",
            *self.faithfulness,
        ):
            console.print(line, highlight=False, markup=False, soft_wrap=True)
        return console.file.getvalue().rstrip()  # type: ignore[attr-defined]

    def save_html(self, path: str | os.PathLike[str]) -> None:
        """Writes one self-contained page."""
        found = self.converted
        num_bytes = found.on_target.nonpersistent_bytes if found.on_target else None
        chosen = (num_bytes, found.milliseconds, found.cycles)
        front = front_picture(self.details.front, chosen)
        page = render(
            "report.html",
            report=self,
            details=self.details,
            front=front,
            accuracy=accuracy_of(self.search),
            accuracy_lines=accuracy_lines(self.search),
            ratio=ratio,
        )
        write_atomically(path, page.encode())


def ratio(before: int, after: int) -> str:
    """`after` as a multiple of `before`."""
    return f"x{after / before:.2f}" if before else "-"


def _figure(figures: Figures, path: str) -> int | None:
    *parts, name = path.split(".")
    holder: object = figures
    for part in parts:
        holder = getattr(holder, part)
    if isinstance(holder, Mapping):
        return holder[name]
    return None if holder is None else getattr(holder, name)


def build_report(
    original: ModelFile,
    converted: ModelFile,
    plan: PrecisionPlan,
    verification: VerificationResult,
    *,
    options: Options,
    calibration: CalibrationResult | None = None,
) -> ConversionReport:
    """Measures the user's model and the converted one on TFLM and counts their work and bytes on the target.

    Args:
      original: in its canonical form.
      converted: what it became.
      plan: by which.
      verification: that was passed; on the samples that it was given maps are compared and patches drawn.
      options: of the conversion.
      calibration: if there is one.
    """
    graph, target = original.graph, options.target
    unsplit = runnable(original.origin) if verification.missing else original.origin
    recorded = [Interpreter(model).allocations() for model in (unsplit, converted)]
    memory_before = memory_of(unsplit, recorded[0], options, may_not_run=True)
    memory = memory_of(converted, recorded[1], options)
    losses = losses_of_other_cores(converted.graph, target)
    losses += less_with_reference_kernels(unsplit.graph, converted.graph, target)
    why = why_not_smaller(graph, converted.graph, is_bounded=options.sram_bytes is not None)
    regions = stage_programs(graph, plan)
    after, before = work_of(graph, plan), cost_of(graph)
    inside = cost_of(graph, only={i for ops, _ in regions for i in ops})
    before = dataclasses.replace(before, stage_macs=inside.macs, stage_bit_ops=inside.bit_ops)
    works = Work.of(unsplit.graph, target, before), Work.of(converted.graph, target, after)
    time = time_text(target.timed_core, target.board, [work.time for work in works])
    warnings = [f"warning: {text}" for text in unset_pads_sentences(graph)]
    tables = tables_sentence(verification.missing) if verification.missing else []
    first = [*tables, *plan.notes, *accuracy_lines(plan.search)]
    notes = [*first, *losses, *why, *warnings, stack_sentence(converted.graph, target)]
    return ConversionReport(
        baseline=figures_of(memory_before, works[0]),
        converted=figures_of(memory, works[1]),
        stages=[describe_stage(i, p) for i, (_, p) in enumerate(regions)],
        notes=list(dict.fromkeys(notes)),
        verification=verification,
        search=plan.search,
        target=target,
        time=time,
        sram_bytes=options.sram_bytes,
        sram_scope=options.sram_scope,
        details=ReportDetails(original, converted, plan, options, verification, calibration, why),
        comparison=calibration.comparison if calibration else None,
    )
