"""The dataflow branch of a stage's ordinary patches: what VDQS chooses widths for, and what each width costs and saves.

In: a stage, its program at 8 bits and the classes of its patches. Out: Branch.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Iterator, Mapping, Sequence

import numpy as np

from tflm_quantmcu.calibration.entropy import entropy_by_bits, weight_entropy_by_bits
from tflm_quantmcu.calibration.methods import narrow_format
from tflm_quantmcu.graph.calibration_result import TensorStats
from tflm_quantmcu.graph.precision_plan import StagePlan
from tflm_quantmcu.graph.types import BIT_WIDTHS, Format, Op
from tflm_quantmcu.host.kernels import HOST_LAWS
from tflm_quantmcu.law.packing import run_bytes
from tflm_quantmcu.lowering.ops import LoweredOp
from tflm_quantmcu.lowering.regions import lower_region
from tflm_quantmcu.oracle.run_stage import run_patches
from tflm_quantmcu.search.problem import SearchProblem
from tflm_quantmcu.search.settings.common import PinnedSettings
from tflm_quantmcu.search.settings.vdqs import VdqsSettings
from tflm_quantmcu.search.vdpc import Classification
from tflm_quantmcu.search.widths import free_weights
from tflm_quantmcu.stage.geometry import map_tensors, planned_ops, planned_sources
from tflm_quantmcu.stage.program import StageProgram

# Samples whose values choose the ranges and entropies of a branch, where some patches are not in it: at least so many,
# and more as long as they take no more MACs than this.
BRANCH_SAMPLES, BRANCH_MACS = 32, 1 << 30


@dataclasses.dataclass(frozen=True)
class FreeTensor:
    """A feature map or weights whose width is free, by candidate width.

    Attributes:
      entropy_loss: H(8) - H(bits), in bits a value.
      bit_ops_saved: BitOPs with all else at 8 bits, less those with this tensor at fewer.
    """

    entropy_loss: Mapping[int, float]
    bit_ops_saved: Mapping[int, int]

    @property
    def widths(self) -> Sequence[int]:
        """8 first."""
        return tuple(self.entropy_loss)


@dataclasses.dataclass(frozen=True, eq=False)
class Branch:
    """The dataflow branch of the ordinary patches.

    Attributes:
      names: tensor name a map, up to the one that is cut into tiles.
      free: the maps whose width is free: not what has one format for all classes.
      formats: [free map][bits] by the calibration's method on the branch's own values.
      tensors: free maps, then free weights, by name. What a map saves is counted over all its consumers and patches
        that are ordinary, of those whose class is chosen at run time in all calibration samples; weights, which the
        classes share, save in all patches.
      map_pixels: [map] largest region over the patches that may be ordinary, pixels.
      program: the stage at 8 bits.
      fixed_bytes: what is live while the stage runs, without its maps.
    """

    names: Sequence[str]
    free: Sequence[int]
    formats: Mapping[int, Mapping[int, Format]]
    tensors: Mapping[str, FreeTensor]
    map_pixels: Sequence[int]
    program: StageProgram
    fixed_bytes: int

    @staticmethod
    def of(
        problem: SearchProblem, stage: StagePlan, program: StageProgram, classes: Classification, fixed_bytes: int
    ) -> Branch:
        """The branch of a stage's ordinary patches.

        Args:
          problem: of the search.
          stage: as planned.
          program: it at 8 bits.
          classes: which patches are ordinary.
          fixed_bytes: what is live while the stage runs, without its maps.
        """
        graph = problem.graph
        region = planned_ops(graph, stage)
        lowered = lower_region(graph, region, {})
        tensors = map_tensors(lowered, planned_sources(graph, stage))
        names = [graph.tensors[t].name for t in tensors[: program.tiled + 1]]
        stats = problem.once(("values", stage, classes), lambda: _branch_stats(problem, names, program, classes))
        widths = candidate_widths(problem.settings.part(VdqsSettings).vdqs_min_bits)
        work = _reading_work(program, classes.ordinary.sum(axis=0))
        maps = {}
        for m, s in stats.items():
            entropy = entropy_by_bits(s, bits=widths)
            maps[names[m]] = FreeTensor({b: entropy[8] - entropy[b] for b in widths}, _saved(work[m], widths))
        num_samples = len(classes.ordinary)
        weights = dict(_free_weights(problem, region, lowered, program, num_samples))
        places = np.argwhere(classes.can_be_ordinary).tolist()
        return Branch(
            names=names,
            free=list(stats),
            formats={m: {b: narrow_format(s, b) for b in widths} for m, s in stats.items()},
            tensors={**maps, **weights},
            map_pixels=[max((_area(program, r, c, m) for r, c in places), default=0) for m in range(len(names))],
            program=program,
            fixed_bytes=fixed_bytes,
        )

    def memory_bound(self, sram_bytes: int | None) -> int | None:
        """Bytes left for the maps inside the stage."""
        return None if sram_bytes is None else sram_bytes - self.fixed_bytes

    @functools.cached_property
    def _most_entropy_lost(self) -> float:
        return max((loss for t in self.tensors.values() for loss in t.entropy_loss.values()), default=0) or 1

    @functools.cached_property
    def _most_bit_ops_saved(self) -> int:
        return max((saved for t in self.tensors.values() for saved in t.bit_ops_saved.values()), default=0) or 1

    def _terms(self, name: str, bits: int) -> tuple[float, float]:
        """Omega and Phi, each normalised by its largest value over tensors and widths."""
        tensor = self.tensors[name]
        return tensor.entropy_loss[bits] / self._most_entropy_lost, tensor.bit_ops_saved[
            bits
        ] / self._most_bit_ops_saved

    def score(self, name: str, bits: int, weight: float) -> float:
        """S = -lambda * Omega + (1 - lambda) * Phi of a tensor at a width."""
        omega, phi = self._terms(name, bits)
        return -weight * omega + (1 - weight) * phi

    def scores(self, weight: float) -> dict[str, dict[str, float]]:
        return {n: {str(b): round(self.score(n, b, weight), 6) for b in t.widths} for n, t in self.tensors.items()}

    def turning_points(self) -> Iterator[float]:
        """Values of lambda at which a tensor's scores at two widths are equal: between them nothing changes."""
        for name, tensor in self.tensors.items():
            terms = [self._terms(name, b) for b in tensor.widths]
            for number, (omega, phi) in enumerate(terms):
                for other_omega, other_phi in terms[:number]:
                    lost, saved = omega - other_omega, phi - other_phi
                    if lost + saved:
                        yield saved / (lost + saved)

    def map_bytes(self, m: int, bits: int) -> int:
        return self.map_pixels[m] * run_bytes(self.program.shapes[m][2], bits)

    def kept_bytes(self, m: int, bits: int) -> int:
        """What the map keeps between tiles."""
        cache, channels = self.program.caches[m], self.program.shapes[m][2]
        return (cache.left_bytes + cache.top_bytes) // channels * run_bytes(channels, bits)

    def step_bytes(self, step: Sequence[int], bits: Mapping[str, int]) -> int:
        """Bytes of the tile's maps that are live, and of all that is kept between tiles."""
        kept = sum(self.kept_bytes(m, bits.get(name, 8)) for m, name in enumerate(self.names))
        return kept + sum(self.map_bytes(m, bits.get(self.names[m], 8)) for m in step)

    def live_maps(self) -> list[list[int]]:
        """The maps with a buffer in scratch that are live at each op."""
        spans = self.program.geometry.lifetimes()
        held = [m for m in range(len(self.names)) if self.program.formats[0][m].scratch_offset >= 0]
        return [[m for m in held if spans[m][0] <= t <= spans[m][1]] for t in range(len(self.program.ops))]


def candidate_widths(least: int) -> list[int]:
    """Those of 8, 4 and 2 from `least` up."""
    return [b for b in BIT_WIDTHS if b >= least]


def _branch_stats(
    problem: SearchProblem, names: Sequence[str], program: StageProgram, classes: Classification
) -> dict[int, TensorStats]:
    """Statistics over ordinary patches of the maps whose width is free."""
    able = _own_maps(program, has_outliers=classes.has_outliers)
    if not classes.has_outliers:
        return {m: problem.stats(names[m]) for m in able}
    if not classes.ordinary.any():
        return {}
    count = max(BRANCH_SAMPLES, BRANCH_MACS // max(program.cost.macs, 1))
    x, *others = (problem.samples_of(problem.graph.by_name[n].index, count) for n in names[: program.num_inputs])
    patches = run_patches(program, x, HOST_LAWS, others)
    runs = problem.track(patches, "vdqs", total=classes.grid.size)
    counts = _branch_histograms(program, classes.ordinary[:count], runs)
    return {
        m: dataclasses.replace(problem.stats(names[m]), histogram=counts[m], outliers=None)
        for m in able
        if counts[m].any()
    }


def _free_weights(
    problem: SearchProblem,
    region: Sequence[Op],
    lowered: Sequence[LoweredOp],
    program: StageProgram,
    num_samples: int,
) -> Iterator[tuple[str, FreeTensor]]:
    """Weights that the stage alone reads, before it reduces, and that no flag pins."""
    widths = candidate_widths(problem.settings.part(VdqsSettings).vdqs_min_weight_bits)
    if widths == [8]:
        return
    graph = problem.graph
    inside = {op.index for op in region}
    allowed = free_weights(graph, problem.settings.part(PinnedSettings).pinned_layers)
    position = {op.output: number for number, op in enumerate(lowered[: program.tiled])}
    readers: dict[str, list[Op]] = {}
    for op in region:
        if op.traits.has_filter and op.outputs[0] in position:
            readers.setdefault(graph.tensors[op.inputs[1]].name, []).append(op)
    for name, ops in readers.items():
        tensor = graph.by_name[name]
        if name not in allowed or not inside.issuperset(op.index for op in graph.consumers[tensor.index]):
            continue
        assert tensor.data is not None
        entropy = weight_entropy_by_bits(tensor.data, ops[0].traits.weight_axis, bits=widths)
        macs = sum(_macs(program, position[op.outputs[0]], np.ones(np.shape(program.patch_classes))) for op in ops)
        yield name, FreeTensor({b: entropy[8] - entropy[b] for b in widths}, _saved(8 * num_samples * macs, widths))


def _saved(work: int, widths: Sequence[int]) -> dict[int, int]:
    """What is saved of MACs x the other side's bits."""
    return {b: (8 - b) * work for b in widths}


def _own_maps(program: StageProgram, *, has_outliers: bool) -> list[int]:
    """The inner maps that may have another format in ordinary patches than in outliers."""
    inner = range(program.num_inputs, program.tiled + program.reduces)
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
    for number, op in enumerate(program.ops):
        work[op.inputs[0]] += _macs(program, number, counts) * op.weight_bits
    return work


def _macs(program: StageProgram, number: int, counts: np.ndarray) -> int:
    """The MACs of one op, over patches [rows, cols] that count so often."""
    op = program.ops[number]
    return sum(int(counts[row, col]) * program.op_macs(op, row, col) for row, col in np.argwhere(counts).tolist())


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
