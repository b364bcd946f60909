"""What a conversion did, in figures: before and after, predicted and recorded, as text and as one HTML page."""

from __future__ import annotations

import dataclasses
import io
import os
from collections.abc import Mapping, Sequence

import jinja2
import rich.box
import rich.console
import rich.table

from tflm_quantmcu.arena.machine import CORTEX_M
from tflm_quantmcu.arena.persistent import PersistentBytes, persistent_bytes
from tflm_quantmcu.arena.plan import plan_arena
from tflm_quantmcu.arena.predict import arena_by_variant, largest_scratch_bytes
from tflm_quantmcu.base.files import write_atomically
from tflm_quantmcu.converter.verify import VerificationResult
from tflm_quantmcu.cost.boards import time_text
from tflm_quantmcu.cost.instructions import load_table
from tflm_quantmcu.cost.network_cost import Cost, cost_of
from tflm_quantmcu.cost.plan_work import stage_programs, work_of
from tflm_quantmcu.graph.precision_plan import CHOSEN_AT_RUN_TIME, OutlierRule, PrecisionPlan
from tflm_quantmcu.graph.target import KERNEL_VARIANTS, REFERENCE, cores_of
from tflm_quantmcu.runtime.interpreter import Allocations, Interpreter
from tflm_quantmcu.stage.program import StageProgram
from tflm_quantmcu.tflite.model_file import ModelFile
from tflm_quantmcu.tflite.streaming import describe_requests


@dataclasses.dataclass(frozen=True)
class Figures:
    """One model's figures.

    Attributes:
      arena_by_variant: variant of our kernels -> predicted arena for feature maps and scratch.
      recorded_non_persistent_bytes: the same, as TFLM records it on this host, which runs the reference kernels.
      recorded_persistent_bytes: nodes, eval tensors and op data as TFLM records them on the 64-bit host.
      persistent: the same on a Cortex-M, predicted; None where an op's data is not known.
      input_excluded_bytes: of an arena that the network input is not part of (convention b); the arena itself is
        convention a.
      flash_bytes: of the `.tflite`.
      cost: MACs and BitOPs; the stage's are those of the same ops in both models.
    """

    arena_by_variant: Mapping[str, int]
    recorded_non_persistent_bytes: int
    recorded_persistent_bytes: int
    persistent: PersistentBytes | None
    input_excluded_bytes: int
    flash_bytes: int
    cost: Cost

    @property
    def arena_bytes(self) -> int:
        """Of the core that takes the most: what `--sram_bytes` bounds."""
        return max(self.arena_by_variant.values())

    @property
    def predicted_non_persistent_bytes(self) -> int:
        """On this host."""
        return self.arena_by_variant[REFERENCE]


ROWS: Sequence[tuple[str, str]] = (
    ("non-persistent arena, the most on any core (bytes)", "arena_bytes"),
    *(
        (f"  with {variant} kernels: {', '.join(cores_of(variant))}", f"arena_by_variant.{variant}")
        for variant in KERNEL_VARIANTS
    ),
    ("  recorded by TFLM on this host", "recorded_non_persistent_bytes"),
    ("  of our planner, without the network input (bytes)", "input_excluded_bytes"),
    ("persistent arena, recorded on the 64-bit host (bytes)", "recorded_persistent_bytes"),
    ("persistent arena on a Cortex-M, predicted (bytes)", "persistent.total"),
    ("  nodes", "persistent.nodes"),
    ("  eval tensors", "persistent.eval_tensors"),
    ("  op data", "persistent.op_data"),
    ("  interpreter", "persistent.interpreter"),
    ("flash: .tflite (bytes)", "flash_bytes"),
    ("MACs", "cost.macs"),
    ("BitOPs", "cost.bit_ops"),
    ("instructions of our kernels on {core}, estimated", "cost.instructions"),
    ("cycles of these by documented timings", "cost.cycles"),
    ("MACs of the patch stage's ops", "cost.stage_macs"),
    ("BitOPs of the patch stage's ops", "cost.stage_bit_ops"),
)


@dataclasses.dataclass(frozen=True, eq=False)
class ConversionReport:
    """Printable with `print`, a page with `save_html`.

    Attributes:
      baseline: the int8 model as it came, on stock TFLM.
      converted: the model that was made.
      stages: a sentence a stage.
      notes: of the search.
      verification: the checks that were passed.
      search: the plan's provenance.
      core: whose instructions are estimated.
    """

    baseline: Figures
    converted: Figures
    stages: Sequence[str]
    notes: Sequence[str]
    verification: VerificationResult
    search: Mapping[str, object]
    core: str

    def rows(self) -> list[tuple[str, int, int]]:
        """(label, before, after) of what is known of both models."""
        found = []
        for label, name in ROWS:
            before, after = (_figure(figures, name) for figures in (self.baseline, self.converted))
            if before is not None and after is not None:
                found.append((label.format(core=self.core), before, after))
        return found

    @property
    def time(self) -> str:
        """Milliseconds before and after on the core's board, with their error."""
        return time_text(self.core, None, [self.baseline.cost, self.converted.cost])

    def __str__(self) -> str:
        table = rich.table.Table(box=rich.box.SIMPLE_HEAD)
        table.add_column("")
        for heading in ("int8 TFLM", "converted", ""):
            table.add_column(heading, justify="right")
        for label, before, after in self.rows():
            table.add_row(label, f"{before:,}", f"{after:,}", ratio(before, after))
        console = rich.console.Console(file=io.StringIO(), width=110)
        console.print(table)
        for line in (self.time, *self.stages, *self.notes, f"verified: {self.verification.summary}"):
            console.print(line, highlight=False, soft_wrap=True)
        return console.file.getvalue().rstrip()  # type: ignore[attr-defined]

    def save_html(self, path: str | os.PathLike[str]) -> None:
        """Writes one self-contained page."""
        environment = jinja2.Environment(loader=jinja2.PackageLoader("tflm_quantmcu.app", "templates"), autoescape=True)
        page = environment.get_template("report.html").render(report=self, ratio=ratio)
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
    original: ModelFile, converted: ModelFile, plan: PrecisionPlan, verification: VerificationResult, *, core: str
) -> ConversionReport:
    """Measures both models on TFLM and counts their work, instructions for `core` (cortex-m4, ...)."""
    recorded = [Interpreter(model).allocations() for model in (original, converted)]
    graph = original.graph
    table = load_table(core.removeprefix("cortex-"))
    regions = stage_programs(graph, plan)
    after = work_of(graph, plan, table)
    before = cost_of(graph, table=table)
    inside = cost_of(graph, only={i for ops, _ in regions for i in ops})
    before = dataclasses.replace(before, stage_macs=inside.macs, stage_bit_ops=inside.bit_ops)
    return ConversionReport(
        baseline=_measure(original, recorded[0], before),
        converted=_measure(converted, recorded[1], after),
        stages=[describe_stage(i, p) for i, (_, p) in enumerate(regions)],
        notes=plan.notes,
        verification=verification,
        search=plan.search,
        core=core,
    )


def _measure(model: ModelFile, recorded: Allocations, cost: Cost) -> Figures:
    graph = model.graph
    scratch_bytes = [largest_scratch_bytes(graph, op) for op in graph.ops]
    return Figures(
        arena_by_variant=graph.derived(arena_by_variant),
        recorded_non_persistent_bytes=recorded.non_persistent_bytes,
        recorded_persistent_bytes=recorded.persistent_bytes,
        persistent=persistent_bytes(graph, CORTEX_M),
        input_excluded_bytes=plan_arena(graph, scratch_bytes, without_inputs=True).arena_bytes,
        flash_bytes=len(model.data),
        cost=cost,
    )


def describe_stage(number: int, program: StageProgram) -> str:
    """One sentence: ops, patches, classes and scratch of a stage; BitOPs are those of the worst case."""
    rows, cols = len(program.patch_classes), len(program.patch_classes[0])
    fixed = [k for _, _, k in program.patches() if k != CHOSEN_AT_RUN_TIME]
    num_chosen = rows * cols - len(fixed)
    details = []
    for k, formats in enumerate(program.formats):
        bits = "/".join(str(f.bits) for f in formats)
        least = fixed.count(k)
        count = f"{least} to {least + num_chosen}" if num_chosen and k < 2 else f"{least}"
        details.append(f"class {k}: {count} patches, map bits {bits}")
    if num_chosen:
        details.append(f"{num_chosen} patches have their class chosen at run time: {describe_rule(program.outliers)}")
    if program.is_streamed:
        details.append(describe_requests(program))
    return (
        f"stage {number}: {len(program.ops)} ops in {rows}x{cols} patches of "
        f"{program.tile_height}x{program.tile_width}, {program.scratch_bytes:,} bytes of scratch, "
        f"{'at least ' if num_chosen else ''}{64 * program.cost.macs / max(program.cost.bit_ops, 1):.2f}x fewer BitOPs "
        f"than with all maps and weights at 8 bits; {'; '.join(details)}"
    )


def describe_rule(rule: OutlierRule) -> str:
    """How a class is chosen at run time."""
    share = f"{rule.share / (1 << 16):.2%}"
    return f"0 if more than {share} of the input's values are outside [{rule.low}, {rule.high}], else 1"
