"""QuantMCU: patch classification (VDPC) and value-driven quantisation search (VDQS) of the front stage.

Our reading of QuantMCU (arXiv 2401.13714): the paper's abstract fixes the two classes, the score S = -lambda *
Omega + (1 - lambda) * Phi
and the iterative choice under a memory bound; the normalisations, the entropy's bins and the outlier rule are ours.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from tflm_quantmcu.entropy import entropy_by_bits
from tflm_quantmcu.lowering import lower_region
from tflm_quantmcu.outliers import OutlierReport, classify_patches
from tflm_quantmcu.packing import run_bytes
from tflm_quantmcu.ranges import mse_format
from tflm_quantmcu.search.problem import SearchProblem
from tflm_quantmcu.simulate import run_patches
from tflm_quantmcu.stage_program import (
    StageGeometry,
    StageProgram,
    build_program,
    map_tensors,
    stage_ops,
)
from tflm_quantmcu.stages import StageCandidate, candidates, plan_stage, stage_arena
from tflm_quantmcu.types import (
    BIT_WIDTHS,
    Format,
    ModelGraph,
    PatchClass,
    PrecisionPlan,
    StagePlan,
    TensorStats,
)

MAX_SWEEPS = 10
BRANCH_SAMPLES = 64  # samples whose values choose the ranges and entropies of a branch
MIXED_CANDIDATES = 64  # splits tried below 8 bits when none meets the budget at 8 bits


def search_vdqs(problem: SearchProblem) -> PrecisionPlan:
    """Splits the front and lowers the feature maps of ordinary patches.

    Parameters:
      vdqs_min_bits: candidate widths are those of 8, 4 and 2 from it up.
      vdqs_lambda: 0 to 1; at 0 only BitOPs count, at 1 only entropy.
      vdpc_phi: coverage of the fitted Gaussian beyond which a value is an outlier.
      vdpc_outlier_fraction: share of outliers above which a patch is one; None is twice that of the whole map.

    Raises:
      BudgetError: neither at 8 bits nor below does a split meet the budget.
    """
    graph = problem.graph
    budget = problem.budget.sram_bytes
    found = plan_stage(graph, sram_bytes=budget)
    if found.best:
        return _plan(problem, found.best, found.reason)
    if not budget or found.baseline_arena_bytes <= budget:
        return PrecisionPlan(graph.sha256, problem.provenance("vdqs"), notes=(found.reason,))
    smallest: int | None = None
    for _, candidate in zip(range(MIXED_CANDIDATES), candidates(graph, sram_bytes=budget), strict=False):
        plan = _plan(problem, candidate, found.reason)
        scratch_bytes = _program(graph, plan.stages[0]).scratch_bytes
        arena_bytes = stage_arena(graph, candidate.input, candidate.output, scratch_bytes)
        if arena_bytes <= budget:
            return plan
        smallest = min(arena_bytes, smallest or arena_bytes)
    raise problem.over_budget(found, smallest)


def _program(graph: ModelGraph, stage: StagePlan) -> StageProgram:
    return build_program(graph, stage, weight_bits={}, formats={})


def _plan(problem: SearchProblem, candidate: StageCandidate, reason: str) -> PrecisionPlan:
    """Classifies the candidate's patches and chooses the widths of the ordinary ones."""
    graph = problem.graph
    whole = candidate.plan(graph)
    program = _program(graph, whole)
    report = _classify(problem, whole, program)
    ordinary = [(r, c) for r, c, _ in program.patches() if not report.is_outlier[r, c]]
    notes = (reason, _summary(report))
    if not ordinary:
        stage = dataclasses.replace(whole, vdpc="static")
        return PrecisionPlan(graph.sha256, problem.provenance("vdqs"), stages=(stage,), notes=notes)
    branch = Branch.of(problem, whole, program, ordinary)
    weight = problem.parameters["vdqs_lambda"]
    bits = search_bits(branch, weight, branch.memory_bound(problem.budget.sram_bytes))
    chosen = {branch.names[m]: branch.formats[m][b] for m, b in bits.items() if b < 8}
    stage = dataclasses.replace(
        whole,
        vdpc="static",
        patch_classes=tuple(tuple(int(not x) for x in row) for row in report.is_outlier.tolist()),
        classes=(PatchClass("outlier", {}), PatchClass("ordinary", chosen)),
    )
    return PrecisionPlan(
        graph.sha256,
        problem.provenance("vdqs", scores=branch.scores(weight)),
        stages=(_drop_unused_classes(stage),),
        notes=notes,
    )


def _classify(problem: SearchProblem, stage: StagePlan, program: StageProgram) -> OutlierReport:
    rows, cols = (range(axis.shape[0]) for axis in program.spans)
    regions = [[program.region(row, col, 0) for col in cols] for row in rows]
    return classify_patches(
        problem.stats(stage.input),
        regions,
        phi=problem.parameters["vdpc_phi"],
        outlier_fraction=problem.parameters["vdpc_outlier_fraction"],
    )


def _summary(report: OutlierReport) -> str:
    count = int(report.is_outlier.sum())
    return (
        f"VDPC: {count} of {report.is_outlier.size} patches are outliers (more than {report.threshold:.2%} of their "
        f"values beyond phi = {report.phi} of a Gaussian fitted to the stage's input)"
    )


def _drop_unused_classes(stage: StagePlan) -> StagePlan:
    used = sorted({k for row in stage.patch_classes for k in row})
    return dataclasses.replace(
        stage,
        classes=tuple(stage.classes[k] for k in used),
        patch_classes=tuple(tuple(used.index(k) for k in row) for row in stage.patch_classes),
    )


@dataclasses.dataclass(frozen=True, eq=False)
class Branch:
    """The dataflow branch of the ordinary patches: what VDQS chooses widths for.

    Attributes:
      names: tensor name a map.
      formats: [map][bits] the format with the least squared error on the branch's own values.
      entropy_loss: [map][bits] H(8) - H(bits), in bits a value.
      bit_ops_saved: [map][bits] over all ordinary patches and consumers of the map.
      map_pixels: largest region of a map over the ordinary patches, pixels.
      program: the stage at 8 bits.
      fixed_bytes: the stage's input and output.
      widths: the candidates, 8 first.
    """

    names: Sequence[str]
    formats: Sequence[Mapping[int, Format]]
    entropy_loss: Sequence[Mapping[int, float]]
    bit_ops_saved: Sequence[Mapping[int, int]]
    map_pixels: Sequence[int]
    program: StageProgram
    fixed_bytes: int
    widths: Sequence[int]

    @property
    def inner(self) -> range:
        """The maps whose width is free: input and output keep one format for all classes."""
        return range(1, len(self.names) - 1)

    @staticmethod
    def of(
        problem: SearchProblem,
        stage: StagePlan,
        program: StageProgram,
        patches: Sequence[tuple[int, int]],
    ) -> Branch:
        graph = problem.graph
        widths = [b for b in BIT_WIDTHS if b >= problem.parameters["vdqs_min_bits"]]
        source, target = (graph.by_name[name].index for name in (stage.input, stage.output))
        tensors = map_tensors(lower_region(graph, stage_ops(graph, source, target), {}), source)
        names = [graph.tensors[t].name for t in tensors]
        runs = run_patches(program, problem.samples_of(source)[:BRANCH_SAMPLES])
        num_patches = sum(map(len, stage.patch_classes))
        histograms = _branch_histograms(program, patches, problem.track(runs, "vdqs", total=num_patches))
        stats = [
            TensorStats(name, histogram, graph.tensors[t].format)
            for name, histogram, t in zip(names, histograms, tensors, strict=True)
        ]
        entropies = [entropy_by_bits(s, bits=widths) for s in stats]
        return Branch(
            names=names,
            formats=[{b: mse_format(s.histogram, s.format, b) if b < 8 else s.format for b in widths} for s in stats],
            entropy_loss=[{b: e[8] - e[b] for b in widths} for e in entropies],
            bit_ops_saved=[{b: (8 - b) * work for b in widths} for work in _reading_work(program, patches)],
            map_pixels=[max(_area(program, r, c, m) for r, c in patches) for m in range(len(names))],
            program=program,
            fixed_bytes=graph.tensors[source].num_bytes + graph.tensors[target].num_bytes,
            widths=widths,
        )

    def memory_bound(self, sram_bytes: int | None) -> int | None:
        """Bytes left for the maps inside the stage."""
        return None if sram_bytes is None else sram_bytes - self.fixed_bytes

    @functools.cached_property
    def _most_entropy_lost(self) -> float:
        return max(self.entropy_loss[m][b] for m in self.inner for b in self.widths) or 1

    @functools.cached_property
    def _most_bit_ops_saved(self) -> int:
        return max(self.bit_ops_saved[m][b] for m in self.inner for b in self.widths) or 1

    def score(self, m: int, bits: int, weight: float) -> float:
        """S = -lambda * Omega + (1 - lambda) * Phi of map `m` at `bits`; both terms normalised by their largest
        value."""
        omega = self.entropy_loss[m][bits] / self._most_entropy_lost
        phi = self.bit_ops_saved[m][bits] / self._most_bit_ops_saved
        return -weight * omega + (1 - weight) * phi

    def scores(self, weight: float) -> dict[str, dict[str, float]]:
        return {self.names[m]: {str(b): round(self.score(m, b, weight), 6) for b in self.widths} for m in self.inner}

    def map_bytes(self, m: int, bits: int) -> int:
        return self.map_pixels[m] * run_bytes(self.program.shapes[m][2], bits)

    def live_maps(self) -> list[list[int]]:
        """The inner maps that are live at each op."""
        spans = StageGeometry.of(self.program.shapes, self.program.ops).lifetimes()
        return [[m for m in self.inner if spans[m][0] <= t <= spans[m][1]] for t in range(len(self.program.ops))]


def _area(program: StageProgram, row: int, col: int, m: int) -> int:
    y0, y1, x0, x1 = program.region(row, col, m)
    return (y1 - y0) * (x1 - x0)


def _reading_work(program: StageProgram, patches: Sequence[tuple[int, int]]) -> list[int]:
    """MACs x weight bits of the ops that read each map, over `patches`: the BitOPs saved by one bit less."""
    work = [0] * len(program.shapes)
    for op in program.ops:
        macs = sum(program.op_macs(op, row, col) for row, col in patches)
        work[op.inputs[0]] += macs * op.weight_bits
    return work


def _branch_histograms(
    program: StageProgram,
    patches: Sequence[tuple[int, int]],
    runs: Iterable[tuple[int, int, Sequence[np.ndarray]]],
) -> list[np.ndarray]:
    """Counts of each q of every map over the patches' regions; `runs` as of `run_patches`."""
    counts = [np.zeros(256, np.int64) for _ in program.shapes]
    wanted = set(patches)
    for row, col, maps in runs:
        if (row, col) in wanted:
            for total, values in zip(counts, maps, strict=True):
                total += np.bincount(values.astype(np.int64).ravel() + 128, minlength=256)
    return counts


def search_bits(branch: Branch, weight: float, memory_bound: int | None) -> dict[int, int]:
    """VDQS: sweeps over the maps until nothing changes, each taking the best-scored width that memory allows.

    Args:
      branch: the ordinary patches' branch.
      weight: lambda.
      memory_bound: bytes for the inner maps live at any op, or None.

    Returns:
      Map index -> bits. Where even the smallest widths exceed the bound, the bits that come closest.
    """
    bits = dict.fromkeys(branch.inner, 8)
    live = branch.live_maps()

    def fits(step: Sequence[int]) -> bool:
        return memory_bound is None or sum(branch.map_bytes(m, bits[m]) for m in step) <= memory_bound

    for _ in range(MAX_SWEEPS):
        before = dict(bits)
        for m in branch.inner:
            feasible = []
            for b in branch.widths:
                bits[m] = b
                if all(fits(step) for step in live if m in step):
                    feasible.append(b)
            bits[m] = max(feasible or [min(branch.widths)], key=lambda b: branch.score(m, b, weight))
        if bits == before:
            break

    def gain(m: int) -> tuple[float, int]:
        """What halving loses or wins in score; of equal gains the larger map goes first."""
        halved = branch.score(m, bits[m] // 2, weight)
        return halved - branch.score(m, bits[m], weight), branch.map_bytes(m, bits[m])

    for step in live:
        while not fits(step) and (lowerable := [m for m in step if bits[m] > min(branch.widths)]):
            bits[max(lowerable, key=gain)] //= 2
    return bits
