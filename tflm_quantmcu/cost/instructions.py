"""Estimates instructions on a Cortex-M from the measured tables data/instructions_<core>.csv.

In: shapes of kernel calls, or a graph, or a stage program. Out: instructions of the fast variant that the core has,
else of the reference. The tables are what `tflm_quantmcu bench` writes; without one nothing is estimated.

Between measured shapes: for each op, kind of window and tag,

    instructions = a * products + b * outputs + c * reads + d * weights + e

with a, b, c, d, e >= 0 by least squares of relative errors over the measured rows; products = MACs at taps inside the
input (of ops without weights: values read there), outputs = output values, reads = input values gathered over the
windows of all output pixels, once for all output channels, weights = products of one output pixel. These are what a
kernel's loops do: multiply, requantise, unpack inputs, prepare weights. A shape that was measured gets its own count.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
from collections.abc import Iterable, Mapping
from importlib import resources

import numpy as np

from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.cost.bench import BenchRow, KernelShape, from_csv
from tflm_quantmcu.graph.op_kinds import op_kind
from tflm_quantmcu.graph.types import ModelGraph, Op, Window
from tflm_quantmcu.lowering.network import LoweredNetwork
from tflm_quantmcu.stage.geometry import StageOp
from tflm_quantmcu.stage.program import StageProgram

_Group = tuple[str, bool, str]  # op, has a window of more than one tap, tag


@dataclasses.dataclass(frozen=True, eq=False)
class InstructionTable:
    """What was measured on a core, and what follows for other shapes.

    Attributes:
      measured: instructions by (tag, shape).
      coefficients: (a, b, c, d, e) by group.
    """

    measured: Mapping[tuple[str, KernelShape], int]
    coefficients: Mapping[_Group, np.ndarray]

    @staticmethod
    def of_rows(rows: Iterable[BenchRow]) -> InstructionTable:
        """From measured rows; where a call was measured in several variants, of the fastest."""
        rows = sorted(rows, key=lambda row: row.per_unit, reverse=True)
        fast = {row.variant for row in rows} - {"reference"}
        chosen = [row for row in rows if not fast or row.variant in fast]
        groups: dict[_Group, list[BenchRow]] = {}
        for row in chosen:
            groups.setdefault(_group(row.shape, row.tag), []).append(row)
        return InstructionTable(
            {(row.tag, row.shape): row.instructions for row in chosen},
            {group: _fit(members) for group, members in groups.items()},
        )

    def estimate(self, shape: KernelShape, tag: str) -> float:
        """Instructions of one call.

        Args:
          shape: of the call.
          tag: a<bits>w<bits>, of ops without weights a<bits>.

        Raises:
          UsageError: nothing of this op and tag was measured.
        """
        if (tag, shape) in self.measured:
            return float(self.measured[tag, shape])
        group = _group(shape, tag)
        known = next((g for g in (group, (group[0], not group[1], tag)) if g in self.coefficients), None)
        if known is None:
            raise UsageError(
                f"the instruction table has no row of {shape.op} {tag}; measure it with tflm_quantmcu bench"
            )
        return float(self.coefficients[known] @ _features(shape))


@functools.cache
def load_table(core: str) -> InstructionTable:
    """The table of a core.

    Raises:
      UsageError: there is none.
    """
    file = resources.files("tflm_quantmcu.cost") / "data" / f"instructions_{core}.csv"
    if not file.is_file():
        raise UsageError(f"there is no instruction table for {core}; make one with tflm_quantmcu bench --core {core}")
    return InstructionTable.of_rows(from_csv(file.read_text()))


def graph_instructions(
    graph: ModelGraph,
    table: InstructionTable,
    *,
    map_bits: Mapping[str, int] | None = None,
    weight_bits: Mapping[str, int] | None = None,
    only: Iterable[int] | None = None,
) -> float:
    """Instructions of a graph's ops, layer by layer.

    Args:
      graph: the int8 model. Ops that no kernel of the table runs (SOFTMAX, RESHAPE, ...) count 0; an activation, SiLU
        as one, counts as the table that it is in stages and at other widths.
      table: of the core.
      map_bits, weight_bits: tensor name -> bits; absent is 8.
      only: op indices to count; default all.
    """
    chosen = None if only is None else set(only)
    total = 0.0
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
            tag += f"w{(weight_bits or {}).get(graph.tensors[op.inputs[1]].name, 8)}"
        total += table.estimate(_shape_of(graph, op, kernel), tag)
    return total


def _kernel_of(network: LoweredNetwork, op: Op) -> str:
    """What the table calls the kernel that computes an op as it is, a lookup by table; "" if none does."""
    is_lookup = op.traits.is_lookup or network.gate(op) is not None
    return op_kind("LUT" if is_lookup else op.kind).snake_name


def stage_instructions(program: StageProgram, table: InstructionTable) -> float:
    """Instructions of a patch stage, recomputed halos included; choosing tiles and moving halos counts 0.

    A patch whose class is chosen at run time counts as an outlier patch; sums of a MEAN count as an average pool's.
    """
    total = 0.0
    for row, col in program.visits():
        formats = program.formats[program.classes_of(row, col)[0]]
        for op in program.ops:
            shape = _stage_shape(program, op, row, col)
            if 0 not in (*shape.input, *shape.output):
                weights = f"w{op.weight_bits}" if op.weight_bits else ""
                total += table.estimate(shape, f"a{formats[op.inputs[0]].bits}{weights}")
    return total


def _stage_shape(program: StageProgram, op: StageOp, row: int, col: int) -> KernelShape:
    """What one op is called on in one patch; the pad is what the patch's own input region lacks."""
    source, window = op.inputs[0], op.window
    channels = program.shapes[op.output][2]
    iy0, iy1, ix0, ix1 = program.region(row, col, source)
    size = (iy1 - iy0, ix1 - ix0)
    if op.traits.is_vector:
        return KernelShape(op.traits.snake_name, (1, 1, math.prod(size) * program.shapes[source][2]), (1, 1, channels))
    if op.traits.is_reduction:
        return KernelShape("average_pool2d", (*size, channels), (1, 1, channels), kernel=size)
    oy0, oy1, ox0, ox1 = program.computed(row, col, op.output)
    return KernelShape(
        op.traits.snake_name,
        (*size, program.shapes[source][2]),
        (oy1 - oy0, ox1 - ox0, channels),
        (window.kernel_height, window.kernel_width),
        (window.stride_height, window.stride_width),
        (iy0 - oy0 * window.stride_height + window.pad_top, ix0 - ox0 * window.stride_width + window.pad_left),
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


@functools.cache
def _features(shape: KernelShape) -> np.ndarray:
    """What `coefficients` count; kept, since searches ask for the same shapes again and again."""
    inside = math.prod(_share_inside(shape, axis) for axis in range(2))
    products = shape.num_outputs * shape.products_per_output * inside
    reads = shape.output[0] * shape.output[1] * math.prod(shape.kernel) * shape.input[2] * inside
    taps = shape.products_per_output * shape.output[2]
    return np.array([products, shape.num_outputs, reads, taps, 1], float)


def _share_inside(shape: KernelShape, axis: int) -> float:
    """Of all taps over all output positions of an axis, the share that lies inside the input."""
    kernel, count = shape.kernel[axis], shape.output[axis]
    first = np.arange(count) * shape.stride[axis] - shape.pad[axis]
    positions = first[:, None] + np.arange(kernel)
    return float(np.mean((positions >= 0) & (positions < shape.input[axis])))


def _fit(rows: Iterable[BenchRow]) -> np.ndarray:
    """The coefficients >= 0 with the least squares of relative errors: the best of the fits that leave some out."""
    rows = list(rows)
    features = np.array([_features(row.shape) / row.instructions for row in rows])
    best, least = np.zeros(features.shape[1]), math.inf
    columns = range(features.shape[1])
    for used in itertools.chain.from_iterable(itertools.combinations(columns, n) for n in (1, 2, 3, 4, 5)):
        part = features[:, used]
        solution = np.linalg.lstsq(part, np.ones(len(rows)), rcond=None)[0]
        error = float(np.sum((part @ solution - 1) ** 2))
        if np.all(solution >= 0) and error < least:
            best, least = np.zeros(features.shape[1]), error
            best[list(used)] = solution
    return best
