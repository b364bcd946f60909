"""Estimates instructions and cycles on a Cortex-M from the measured tables data/instructions_<core>.csv.

In: shapes of kernel calls, or a graph, or a stage program. Out: instructions, or documented cycles (cycles.py), of the
fast variant that the core has, else of the reference. The tables are what `tflm_quantmcu bench` writes; without one
nothing is estimated.

A shape that was measured gets its own count. Between measured shapes, for each op, kind of window and tag, a count is a
sum of what the kernel's loops do (call_features.py), with coefficients >= 0 of the least relative squares over the
measured rows. What a patch stage takes beside its kernels is such a sum too (stage_driver.py).
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources

import numpy as np

from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.cost import stage_driver
from tflm_quantmcu.cost.bench import BenchRow, from_csv
from tflm_quantmcu.cost.call_features import call_features
from tflm_quantmcu.cost.cycles import Work
from tflm_quantmcu.cost.least_squares import fit_relative
from tflm_quantmcu.cost.shapes import KernelShape
from tflm_quantmcu.cost.stage_driver import StageRow, driver_features
from tflm_quantmcu.graph.op_kinds import op_kind
from tflm_quantmcu.graph.target import core_named, short_core
from tflm_quantmcu.graph.types import ModelGraph, Op, Window
from tflm_quantmcu.law.lookups import is_lookup
from tflm_quantmcu.lowering.network import LoweredNetwork
from tflm_quantmcu.stage.geometry import StageOp
from tflm_quantmcu.stage.program import StageProgram
from tflm_quantmcu.stage.tiles import BEGIN, END, FRESH

Call = tuple[KernelShape, str]  # with the tag: a<bits>w<bits>, of ops without weights a<bits>
Calls = Counter[Call]  # how often each is made
_Group = tuple[str, bool, str]  # op, has a window of more than one tap, tag


@dataclasses.dataclass(frozen=True, eq=False)
class InstructionTable:
    """One figure of what was measured on a core, and what follows for other calls; by default its instructions.

    Attributes:
      rows: the measured calls, of the core's fast variant.
      figure: a field of Work.
      stages: what running stages took beside their kernels.
      cycles: the same table of documented cycles, if that is asked for too.
    """

    rows: tuple[BenchRow, ...]
    figure: str = "instructions"
    stages: tuple[StageRow, ...] = ()
    cycles: InstructionTable | None = None

    @staticmethod
    def of_rows(rows: Iterable[BenchRow], stages: Iterable[StageRow] = ()) -> InstructionTable:
        """From measured rows; where a call was measured in several variants, of the fastest."""
        rows = sorted(rows, key=lambda row: row.per_unit, reverse=True)
        fast = {row.variant for row in rows} - {"reference"}
        chosen = tuple(row for row in rows if not fast or row.variant in fast)
        stages = tuple(stages)
        return InstructionTable(chosen, "instructions", stages, InstructionTable(chosen, "cycles", stages))

    def estimate(self, shape: KernelShape, tag: str) -> float:
        """The figure of one call.

        Args:
          shape: of the call.
          tag: a<bits>w<bits>, of ops without weights a<bits>.

        Raises:
          UsageError: nothing of this op and tag was measured.
        """
        if (shape, tag) in self._measured:
            return self._measured[shape, tag]
        group = _group(shape, tag)
        known = next((g for g in (group, (group[0], not group[1], tag)) if g in self._groups), None)
        if known is None:
            raise UsageError(
                f"the instruction table has no row of {shape.op} {tag}; measure it with tflm_quantmcu bench"
            )
        if known not in self._coefficients:
            self._coefficients[known] = self._fit(self._groups[known])
        return float(self._coefficients[known] @ call_features(shape))

    def total(self, calls: Calls) -> float:
        """The figure of all calls."""
        return sum(times * self.estimate(*call) for call, times in calls.items())

    def beside_kernels(self, program: StageProgram) -> float:
        """The figure of what running a stage takes beside its kernels; 0 where no stage was measured."""
        return float(self._stage_coefficients @ driver_features(program)) if self.stages else 0.0

    @property
    def stage_coefficients(self) -> Mapping[str, float]:
        """Of each of `stage_driver.FEATURES`; empty where no stage was measured."""
        return dict(zip(stage_driver.FEATURES, self._stage_coefficients.tolist(), strict=True)) if self.stages else {}

    @functools.cached_property
    def _measured(self) -> dict[Call, float]:
        return {(row.shape, row.tag): float(self._count(row.work)) for row in self.rows}

    @functools.cached_property
    def _groups(self) -> dict[_Group, list[BenchRow]]:
        groups: dict[_Group, list[BenchRow]] = {}
        for row in self.rows:
            groups.setdefault(_group(row.shape, row.tag), []).append(row)
        return groups

    @functools.cached_property
    def _coefficients(self) -> dict[_Group, np.ndarray]:
        """Of the groups that were asked for: fitting all takes longer than most need."""
        return {}

    def _count(self, work: Work) -> int:
        return getattr(work, self.figure)

    def _fit(self, rows: Sequence[BenchRow]) -> np.ndarray:
        counts = np.array([self._count(row.work) for row in rows], float)
        return fit_relative(np.array([call_features(row.shape) for row in rows]), counts)

    @functools.cached_property
    def _stage_coefficients(self) -> np.ndarray:
        counts = np.array([self._count(row.work) for row in self.stages], float)
        return fit_relative(np.array([row.features for row in self.stages]), counts)


@functools.cache
def load_table(core: str) -> InstructionTable:
    """The table of a core, by any spelling of its name.

    Raises:
      UsageError: there is none, or it lacks what bench measures today.
    """
    core = short_core(core_named(core))
    folder = resources.files("tflm_quantmcu.cost") / "data"
    file = folder / f"instructions_{core}.csv"
    if not file.is_file():
        raise UsageError(f"there is no instruction table for {core}; make one with tflm_quantmcu bench --core {core}")
    stages = folder / f"stages_{core}.csv"
    try:
        rows = from_csv(file.read_text())
    except KeyError as missing:
        raise UsageError(
            f"the instruction table for {core} has no column {missing}; make it anew with tflm_quantmcu bench --core "
            f"{core}"
        ) from None
    return InstructionTable.of_rows(rows, stage_driver.from_csv(stages.read_text()) if stages.is_file() else ())


def graph_calls(
    graph: ModelGraph,
    *,
    map_bits: Mapping[str, int] | None = None,
    weight_bits: Mapping[str, int] | None = None,
    only: Iterable[int] | None = None,
) -> Calls:
    """The kernel calls of a graph's ops, layer by layer.

    Args:
      graph: the int8 model. Ops that no kernel of the table runs (SOFTMAX, RESHAPE, ...) make none; an activation, SiLU
        as one, calls the table that it is in stages and at other widths.
      map_bits, weight_bits: tensor name -> bits; absent is 8.
      only: op indices to count; default all.
    """
    chosen = None if only is None else set(only)
    calls: Calls = Counter()
    network = LoweredNetwork.of(graph)
    folded = network.folded
    for op in graph.ops:
        kernel = _kernel_of(network, op)
        if not kernel or op.outputs[0] in folded or (chosen is not None and op.index not in chosen):
            continue
        source = next(t for t in op.inputs if t not in folded)
        bits = (map_bits or {}).get(graph.tensors[source].name, 8)
        tag = f"a{bits}"
        if op.traits.has_filter:
            weights = graph.tensors[op.inputs[1]]
            tag += f"w{min((weight_bits or {}).get(weights.name, 8), weights.weight_bits)}"
        calls[_shape_of(graph, op, kernel), tag] += 1
    return calls


def graph_instructions(
    graph: ModelGraph,
    table: InstructionTable,
    *,
    map_bits: Mapping[str, int] | None = None,
    weight_bits: Mapping[str, int] | None = None,
    only: Iterable[int] | None = None,
) -> float:
    """The table's figure of the `graph_calls`."""
    return table.total(graph_calls(graph, map_bits=map_bits, weight_bits=weight_bits, only=only))


def _kernel_of(network: LoweredNetwork, op: Op) -> str:
    """What the table calls the kernel that computes an op as it is, a lookup by table; "" if none does."""
    has_table = network.gate(op) is not None or is_lookup(network.graph, op)
    return op_kind("LUT" if has_table else op.kind).snake_name


def stage_instructions(program: StageProgram, table: InstructionTable) -> float:
    """The table's figure of a patch stage, recomputed and moved halos included."""
    return table.total(stage_calls(program)) + table.beside_kernels(program)


def stage_calls(program: StageProgram) -> Calls:
    """The kernel calls of a patch stage. A patch whose class is chosen at run time counts as an outlier patch."""
    num_rows, num_columns = map(len, program.spans)
    first_row, first_column = (-n for n in program.num_priming)
    classes = np.array(
        [
            [program.classes_of(row + first_row, column + first_column)[0] for column in range(num_columns)]
            for row in range(num_rows)
        ]
    )
    calls: Calls = Counter()
    for op in program.ops:
        rows, columns = (_axis_calls(program, op, axis) for axis in range(2))
        for patch_class in np.unique(classes).tolist():
            tag = f"a{program.formats[patch_class][op.inputs[0]].bits}" + (
                f"w{op.weight_bits}" if op.weight_bits else ""
            )
            for (row, column), times in _pairs(rows, columns, classes == patch_class).items():
                if 0 not in (*row[:2], *column[:2]):
                    calls[_stage_shape(program, op, row, column), tag] += times
    return calls


_AxisCall = tuple[int, int, int]  # pixels of the input's region, of what is computed, and pad in front


def _axis_calls(program: StageProgram, op: StageOp, axis: int) -> list[_AxisCall]:
    """Of each row, or column, of tiles; the pad is what the tile's own input region lacks."""
    spans, window = program.spans[axis], op.window
    stride, pad = ((window.stride_height, window.pad_top), (window.stride_width, window.pad_left))[axis]
    inputs = spans[:, op.inputs[0]]
    sizes = inputs[:, END] - inputs[:, BEGIN]
    if op.traits.is_reduction:
        return [(size, 1, 0) for size in sizes.tolist()]
    outputs = spans[:, op.output]
    pads = inputs[:, BEGIN] - outputs[:, FRESH] * stride + pad
    found = zip(sizes.tolist(), (outputs[:, END] - outputs[:, FRESH]).tolist(), pads.tolist(), strict=True)
    return list(found)


def _pairs(
    rows: Sequence[_AxisCall], columns: Sequence[_AxisCall], is_chosen: np.ndarray
) -> Counter[tuple[_AxisCall, _AxisCall]]:
    """How many chosen tiles have each pair of a row's and a column's call."""
    if is_chosen.all():
        by_row, by_column = Counter(rows), Counter(columns)
        return Counter({(r, c): n * k for (r, n), (c, k) in itertools.product(by_row.items(), by_column.items())})
    return Counter((rows[i], columns[j]) for i, j in np.argwhere(is_chosen).tolist())


def _stage_shape(program: StageProgram, op: StageOp, row: _AxisCall, column: _AxisCall) -> KernelShape:
    """What one op is called on in one patch."""
    size, window = (row[0], column[0]), op.window
    input_channels, channels = program.shapes[op.inputs[0]][2], program.shapes[op.output][2]
    kernel, *_ = op.traits.stage_kernels
    if op.traits.is_reduction:
        return KernelShape(kernel, (*size, input_channels), (1, 1, channels), kernel=size)
    return KernelShape(
        kernel,
        (*size, input_channels),
        (row[1], column[1], channels),
        (window.kernel_height, window.kernel_width),
        (window.stride_height, window.stride_width),
        (row[2], column[2]),
    )


def _shape_of(graph: ModelGraph, op: Op, kernel: str) -> KernelShape:
    source, target = (graph.tensors[t].shape for t in (op.inputs[0], op.outputs[0]))
    if op.traits.is_vector:
        return KernelShape(kernel, (1, 1, math.prod(source)), (1, 1, target[-1]))
    window = op.window or Window()
    return KernelShape(
        kernel,
        _map(source),
        _map(target),
        (window.kernel_height, window.kernel_width),
        (window.stride_height, window.stride_width),
        (window.pad_top, window.pad_left),
    )


def _map(shape: tuple[int, ...]) -> tuple[int, ...]:
    """[H, W, C] of a tensor of any rank, without the batch."""
    inner = (1, 1, 1, *shape[1:])
    return (math.prod(inner[:-2]), *inner[-2:])


def _group(shape: KernelShape, tag: str) -> _Group:
    return shape.op, shape.kernel != (1, 1), tag
