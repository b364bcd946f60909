"""QuantMCU: patch classification (VDPC) and value-driven quantisation search (VDQS) of patch stages.

Our reading of QuantMCU (arXiv 2401.13714): the paper's abstract fixes the two classes, the score S = -lambda *
Omega + (1 - lambda) * Phi
and the iterative choice under a memory bound; the normalisations, the entropy's bins and the outlier rule are ours.
Also ours: several stages, and halos that are kept. What tiles of both classes share has one format, so such a map is
chosen a width only in stages without outliers.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from tflm_quantmcu.entropy import entropy_by_bits
from tflm_quantmcu.lowering import lower_region
from tflm_quantmcu.packing import run_bytes
from tflm_quantmcu.ranges import mse_format
from tflm_quantmcu.run_time_classes import bit_ops_on
from tflm_quantmcu.search.problem import SearchProblem
from tflm_quantmcu.search.vdpc import Classification, classify
from tflm_quantmcu.simulate import run_patches
from tflm_quantmcu.stage_build import build_program
from tflm_quantmcu.stage_geometry import map_tensors, stage_ops
from tflm_quantmcu.stage_program import StageProgram
from tflm_quantmcu.stages import Split, StagePlanner, plan_stages
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
# Samples whose values choose the ranges and entropies of a branch, where some patches are not in it: at least so many,
# and more as long as they take no more MACs than this.
BRANCH_SAMPLES, BRANCH_MACS = 64, 1 << 30
MIXED_CANDIDATES = 16  # splits tried at each width when none meets the budget at 8 bits


def search_vdqs(problem: SearchProblem) -> PrecisionPlan:
    """Splits the network and lowers the feature maps of ordinary patches.

    Parameters:
      vdqs_min_bits: candidate widths are those of 8, 4 and 2 from it up.
      vdqs_lambda: 0 to 1; at 0 only BitOPs count, at 1 only entropy.
      vdpc: when patches are classified, see `vdpc.classify`; off, all are ordinary.
      vdpc_phi: coverage of the fitted Gaussian beyond which a value is an outlier.
      vdpc_outlier_fraction: share of outliers above which a patch is one; None is twice that of the whole map.

    Raises:
      BudgetError: neither at 8 bits nor below does a split meet the budget.
    """
    graph = problem.graph
    budget = problem.budget.sram_bytes
    found = plan_stages(graph, **problem.stage_bounds)
    if found.best:
        return _plan(problem, found.best, found.reason)
    if not budget or found.baseline_arena_bytes <= budget:
        return PrecisionPlan(graph.sha256, problem.provenance("vdqs"), notes=(found.reason,))
    smallest: int | None = None
    for planner, split in _mixed_splits(problem, budget):
        plan = _plan(problem, split, found.reason)
        arena_bytes = planner.arena_of(split, [_program(graph, stage).scratch_bytes for stage in plan.stages])
        if arena_bytes <= budget:
            return plan
        smallest = min(arena_bytes, smallest or arena_bytes)
    if problem.parameters["vdpc"] == "dynamic":
        reason = f"{found.reason}; with --vdpc dynamic there is room for 8 bits in every patch"
        found = dataclasses.replace(found, reason=reason)
    raise problem.over_budget(found, smallest)


def _mixed_splits(problem: SearchProblem, budget: int) -> Iterator[tuple[StagePlanner, Split]]:
    """Splits that meet the budget if all maps inside stages have 4 bits, then 2."""
    bounds = problem.stage_bounds
    names = [t.name for t in problem.graph.tensors if not t.is_constant]
    for bits in _widths(problem)[1:]:
        inner_bits = dict.fromkeys(names, bits)
        planner = StagePlanner(problem.graph, inner_bits=inner_bits, input_mode=bounds["input_mode"])
        for split in itertools.islice(planner.within(budget, bounds["max_macs_ratio"]), MIXED_CANDIDATES):
            yield planner, split


def _widths(problem: SearchProblem) -> list[int]:
    return [b for b in BIT_WIDTHS if b >= problem.parameters["vdqs_min_bits"]]


def _program(graph: ModelGraph, stage: StagePlan) -> StageProgram:
    return build_program(graph, stage, weight_bits={}, formats={})


def _plan(problem: SearchProblem, split: Split, reason: str) -> PrecisionPlan:
    """Classifies the patches of the split's stages and chooses the widths of the ordinary ones."""
    graph = problem.graph
    stages, notes = [], [reason]
    scores: dict[str, Mapping[str, float]] = {}
    for planned in split.stages:
        found = quantize_stage(problem, planned.plan(graph), fixed_bytes=planned.live_bytes - planned.scratch_bytes)
        stages.append(found.stage)
        notes.append(found.note)
        scores.update(found.scores)
    provenance = problem.provenance("vdqs", **({"scores": scores} if scores else {}))
    return PrecisionPlan(graph.sha256, provenance, stages=tuple(stages), notes=tuple(notes))


@dataclasses.dataclass(frozen=True, eq=False)
class QuantizedStage:
    """A stage with classes and widths, a sentence about it, and the scores of its maps by name and width."""

    stage: StagePlan
    note: str
    scores: Mapping[str, Mapping[str, float]]


def quantize_stage(problem: SearchProblem, whole: StagePlan, *, fixed_bytes: int = 0) -> QuantizedStage:
    """Classifies the patches of one stage and chooses the widths of the ordinary ones.

    Where classes at run time would lower nothing (halos that are kept have one format for both), positions are
    classified in their place.

    Args:
      problem: the search's.
      whole: with all patches in one class, at 8 bits.
      fixed_bytes: of the budget that the stage takes beside its maps.
    """
    program = _program(problem.graph, whole)
    classes = classify(problem, whole, program)
    branch = Branch.of(problem, whole, program, classes, fixed_bytes)
    chosen, scores = _choose(problem, branch)
    stage = dataclasses.replace(
        whole,
        vdpc=problem.parameters["vdpc"],
        patch_classes=classes.patch_classes,
        classes=(PatchClass("outlier", {}), PatchClass("ordinary", chosen)),
        outliers=classes.rule,
    )
    if stage.vdpc != "dynamic":
        return QuantizedStage(_drop_unused_classes(stage), classes.summary, scores)
    if classes.rule is None:
        return QuantizedStage(dataclasses.replace(_drop_unused_classes(stage), vdpc="off"), classes.summary, scores)
    if not chosen:
        static = dataclasses.replace(problem, parameters={**problem.parameters, "vdpc": "static"})
        found = quantize_stage(static, whole, fixed_bytes=fixed_bytes)
        why = "no map has fewer bits in ordinary patches alone, so that positions are classified instead"
        return dataclasses.replace(found, note=f"{classes.summary}; {why}. {found.note}")
    return QuantizedStage(stage, f"{classes.summary}; {_bit_ops_note(problem, stage)}", scores)


def _bit_ops_note(problem: SearchProblem, stage: StagePlan) -> str:
    program = _program(problem.graph, stage)
    mean = bit_ops_on(program, problem.samples_of(problem.graph.by_name[stage.input].index))
    return (
        f"the stage takes {round(mean):,} BitOPs on average over the calibration samples, and "
        f"{program.cost.bit_ops:,} at worst, which the report counts"
    )


def _choose(problem: SearchProblem, branch: Branch) -> tuple[dict[str, Format], dict[str, dict[str, float]]]:
    """(formats, scores) of the maps of ordinary patches by name."""
    if not branch.free:
        return {}, {}
    weight = problem.parameters["vdqs_lambda"]
    bits = search_bits(branch, weight, branch.memory_bound(problem.budget.sram_bytes))
    chosen = {branch.names[m]: branch.formats[m][b] for m, b in bits.items() if b < 8}
    return chosen, branch.scores(weight)


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
      names: tensor name a map, up to the one that is cut into tiles.
      free: the maps whose width is free: not what has one format for all classes.
      formats: [free map][bits] the format with the least squared error on the branch's own values.
      entropy_loss: [free map][bits] H(8) - H(bits), in bits a value.
      bit_ops_saved: [free map][bits] over all consumers of the map and patches that are ordinary, of those whose class
        is chosen at run time in all calibration samples.
      map_pixels: [map] largest region over the patches that may be ordinary, pixels.
      program: the stage at 8 bits.
      fixed_bytes: what is live while the stage runs, without its maps.
      widths: the candidates, 8 first.
    """

    names: Sequence[str]
    free: Sequence[int]
    formats: Mapping[int, Mapping[int, Format]]
    entropy_loss: Mapping[int, Mapping[int, float]]
    bit_ops_saved: Mapping[int, Mapping[int, int]]
    map_pixels: Sequence[int]
    program: StageProgram
    fixed_bytes: int
    widths: Sequence[int]

    @staticmethod
    def of(
        problem: SearchProblem, stage: StagePlan, program: StageProgram, classes: Classification, fixed_bytes: int
    ) -> Branch:
        graph = problem.graph
        widths = _widths(problem)
        source, target = (graph.by_name[name].index for name in (stage.input, stage.output))
        tensors = map_tensors(lower_region(graph, stage_ops(graph, source, target), {}), source)[: program.tiled + 1]
        able = _own_maps(program, has_outliers=classes.has_outliers)
        histograms: dict[int, np.ndarray] = {}
        if not classes.has_outliers:
            histograms = {m: problem.stats(graph.tensors[tensors[m]].name).histogram for m in able}
        elif classes.ordinary.any():
            count = max(BRANCH_SAMPLES, BRANCH_MACS // max(program.cost.macs, 1))
            patches = run_patches(program, problem.samples_of(source)[:count])
            runs = problem.track(patches, "vdqs", total=classes.grid.size)
            counts = _branch_histograms(program, classes.ordinary[:count], runs)
            histograms = {m: counts[m] for m in able if counts[m].any()}
        stats = {
            m: TensorStats(graph.tensors[tensors[m]].name, histogram, graph.tensors[tensors[m]].format)
            for m, histogram in histograms.items()
        }
        entropies = {m: entropy_by_bits(s, bits=widths) for m, s in stats.items()}
        work = _reading_work(program, classes.ordinary.sum(axis=0))
        places = np.argwhere(classes.can_be_ordinary).tolist()
        return Branch(
            names=[graph.tensors[t].name for t in tensors],
            free=list(stats),
            formats={
                m: {b: mse_format(s.histogram, s.format, b) if b < 8 else s.format for b in widths}
                for m, s in stats.items()
            },
            entropy_loss={m: {b: e[8] - e[b] for b in widths} for m, e in entropies.items()},
            bit_ops_saved={m: {b: (8 - b) * work[m] for b in widths} for m in stats},
            map_pixels=[max((_area(program, r, c, m) for r, c in places), default=0) for m in range(len(tensors))],
            program=program,
            fixed_bytes=fixed_bytes,
            widths=widths,
        )

    def memory_bound(self, sram_bytes: int | None) -> int | None:
        """Bytes left for the maps inside the stage."""
        return None if sram_bytes is None else sram_bytes - self.fixed_bytes

    @functools.cached_property
    def _most_entropy_lost(self) -> float:
        return max(self.entropy_loss[m][b] for m in self.free for b in self.widths) or 1

    @functools.cached_property
    def _most_bit_ops_saved(self) -> int:
        return max(self.bit_ops_saved[m][b] for m in self.free for b in self.widths) or 1

    def score(self, m: int, bits: int, weight: float) -> float:
        """S = -lambda * Omega + (1 - lambda) * Phi of map `m` at `bits`; both terms normalised by their largest
        value."""
        omega = self.entropy_loss[m][bits] / self._most_entropy_lost
        phi = self.bit_ops_saved[m][bits] / self._most_bit_ops_saved
        return -weight * omega + (1 - weight) * phi

    def scores(self, weight: float) -> dict[str, dict[str, float]]:
        return {self.names[m]: {str(b): round(self.score(m, b, weight), 6) for b in self.widths} for m in self.free}

    def map_bytes(self, m: int, bits: int) -> int:
        return self.map_pixels[m] * run_bytes(self.program.shapes[m][2], bits)

    def kept_bytes(self, m: int, bits: int) -> int:
        """What the map keeps between tiles."""
        cache, channels = self.program.caches[m], self.program.shapes[m][2]
        return (cache.left_bytes + cache.top_bytes) // channels * run_bytes(channels, bits)

    def step_bytes(self, step: Sequence[int], bits: Mapping[int, int]) -> int:
        """Of the tile's maps that are live, and of all that is kept between tiles."""
        kept = sum(self.kept_bytes(m, bits.get(m, 8)) for m in range(len(self.names)))
        return kept + sum(self.map_bytes(m, bits.get(m, 8)) for m in step)

    def live_maps(self) -> list[list[int]]:
        """The maps with a buffer in scratch that are live at each op."""
        spans = self.program.geometry.lifetimes()
        held = [m for m in range(len(self.names)) if self.program.formats[0][m].scratch_offset >= 0]
        return [[m for m in held if spans[m][0] <= t <= spans[m][1]] for t in range(len(self.program.ops))]


def _own_maps(program: StageProgram, *, has_outliers: bool) -> list[int]:
    """The inner maps that may have another format in ordinary patches than in outliers."""
    inner = range(1, program.tiled + program.reduces)
    return [
        m
        for m in inner
        if not has_outliers or not (program.caches[m].keeps_halo or (program.reduces and m == program.tiled))
    ]


def _area(program: StageProgram, row: int, col: int, m: int) -> int:
    y0, y1, x0, x1 = program.region(row, col, m)
    return (y1 - y0) * (x1 - x0)


def _reading_work(program: StageProgram, counts: np.ndarray) -> list[int]:
    """MACs x weight bits of the ops that read each map: the BitOPs saved by one bit less.

    Args:
      program: the stage.
      counts: [rows, cols] how often each patch counts.
    """
    work = [0] * len(program.shapes)
    for op in program.ops:
        macs = sum(int(counts[row, col]) * program.op_macs(op, row, col) for row, col in np.argwhere(counts).tolist())
        work[op.inputs[0]] += macs * op.weight_bits
    return work


def _branch_histograms(
    program: StageProgram,
    ordinary: np.ndarray,
    runs: Iterable[tuple[int, int, Sequence[np.ndarray]]],
) -> list[np.ndarray]:
    """Counts of each q of every map over the regions of ordinary patches.

    Args:
      program: the stage.
      ordinary: bool [N or 1, rows, cols].
      runs: as of `run_patches`.
    """
    counts = [np.zeros(256, np.int64) for _ in program.shapes[: program.tiled + 1]]
    for row, col, maps in runs:
        if row < 0 or col < 0:
            continue  # what a priming tile computes is counted where it is read
        chosen = np.broadcast_to(ordinary[:, row, col], len(maps[0]))
        for total, values in zip(counts, maps, strict=True):
            total += np.bincount(values[chosen].astype(np.int64).ravel() + 128, minlength=256)
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
    bits = dict.fromkeys(branch.free, 8)
    live = branch.live_maps()

    def fits(step: Sequence[int]) -> bool:
        return memory_bound is None or branch.step_bytes(step, bits) <= memory_bound

    def lowers(m: int, step: Sequence[int]) -> bool:
        return m in step or branch.kept_bytes(m, 8) > 0

    for _ in range(MAX_SWEEPS):
        before = dict(bits)
        for m in branch.free:
            feasible = []
            for b in branch.widths:
                bits[m] = b
                if all(fits(step) for step in live if lowers(m, step)):
                    feasible.append(b)
            bits[m] = max(feasible or [min(branch.widths)], key=lambda b: branch.score(m, b, weight))
        if bits == before:
            break

    def gain(m: int) -> tuple[float, int]:
        """What halving loses or wins in score; of equal gains the larger map goes first."""
        halved = branch.score(m, bits[m] // 2, weight)
        return halved - branch.score(m, bits[m], weight), branch.map_bytes(m, bits[m])

    for step in live:
        while not fits(step) and (lowerable := [m for m in bits if lowers(m, step) and bits[m] > min(branch.widths)]):
            bits[max(lowerable, key=gain)] //= 2
    return bits
