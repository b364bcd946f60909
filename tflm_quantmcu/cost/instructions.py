"""Estimates instructions and cycles on a Cortex-M from the measured tables data/instructions_<core>.csv.

In: shapes of kernel calls, or a graph, or a stage program. Out: instructions, or documented cycles (cycles.py), of the
fast variant that the core has, else of the reference. The tables are what `tflm_quantmcu bench` writes; without one
nothing is estimated.

A shape that was measured gets its own count. Between measured shapes, for each op, kind of window and tag, a count is a
sum of what the kernel's loops do (call_features.py), with coefficients >= 0 of the least relative squares over the
measured rows. What a patch stage takes beside its kernels is such a sum too (stage_driver.py), and what stock ops take
(stock_call_times.py). What nobody measured is not known, and counts 0 in sums.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources

import numpy as np

from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.cost import stage_driver, stock_call_times
from tflm_quantmcu.cost.bench import BenchRow, from_csv
from tflm_quantmcu.cost.call_features import call_features
from tflm_quantmcu.cost.calls import Call, Calls, ShapedCall, UnknownCall, graph_calls, stage_calls
from tflm_quantmcu.cost.cycles import Work
from tflm_quantmcu.cost.least_squares import fit_relative
from tflm_quantmcu.cost.shapes import KernelShape
from tflm_quantmcu.cost.stage_driver import StageRow, driver_features
from tflm_quantmcu.cost.stock_call_times import StockCall, StockRow, stock_features
from tflm_quantmcu.graph.target import core_named, short_core
from tflm_quantmcu.graph.types import ModelGraph
from tflm_quantmcu.stage.program import StageProgram

# Measured calls that do something, from which on its coefficient is more than what these few happened to take; fewer
# of groups of few calls.
_MIN_CALLS = 4
_Group = tuple[str, bool, str]  # op, has a window of more than one tap, tag


@dataclasses.dataclass(frozen=True, eq=False)
class InstructionTable:
    """One figure of what was measured on a core, and what follows for other calls; by default its instructions.

    Attributes:
      rows: the measured calls, of the core's fast variant.
      figure: a field of Work.
      stages: what running stages took beside their kernels.
      stock: what calls of stock ops took.
      cycles: the same table of documented cycles, if that is asked for too.
    """

    rows: tuple[BenchRow, ...]
    figure: str = "instructions"
    stages: tuple[StageRow, ...] = ()
    stock: tuple[StockRow, ...] = ()
    cycles: InstructionTable | None = None

    @staticmethod
    def of_rows(
        rows: Iterable[BenchRow], stages: Iterable[StageRow] = (), stock: Iterable[StockRow] = ()
    ) -> InstructionTable:
        """The table of measured rows; where a call was measured in several variants, of the fastest."""
        rows = sorted(rows, key=lambda row: row.per_unit, reverse=True)
        fast = {row.variant for row in rows} - {"reference"}
        chosen = tuple(row for row in rows if not fast or row.variant in fast)
        beside = (tuple(stages), tuple(stock))
        return InstructionTable(chosen, "instructions", *beside, InstructionTable(chosen, "cycles", *beside))

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

    def of_call(self, call: Call) -> float | None:
        """The figure of one call; None where it is not known. Raises as `estimate`."""
        if isinstance(call, UnknownCall):
            return None
        if isinstance(call, StockCall):
            coefficients, features = self._stock_coefficients.get(call.kernel), stock_features(call)
            return None if coefficients is None or features is None else float(coefficients @ features)
        return self.estimate(*call)

    def total(self, calls: Calls) -> float:
        """The figure of all calls that are known."""
        return sum(times * (self.of_call(call) or 0.0) for call, times in calls.items())

    def unknown(self, calls: Calls) -> list[str]:
        """What `total` leaves out, as messages name it."""
        left_out = [call for call in calls if self.of_call(call) is None]
        return [call.kernel if isinstance(call, StockCall) else getattr(call, "label", "") for call in left_out]

    def beside_kernels(self, program: StageProgram) -> float:
        """The figure of what running a stage takes beside its kernels; 0 where no stage was measured."""
        return float(self._stage_coefficients @ driver_features(program)) if self.stages else 0.0

    @property
    def stage_coefficients(self) -> Mapping[str, float]:
        """One coefficient for each of `stage_driver.FEATURES`; empty where no stage was measured."""
        return dict(zip(stage_driver.FEATURES, self._stage_coefficients.tolist(), strict=True)) if self.stages else {}

    @functools.cached_property
    def _measured(self) -> dict[ShapedCall, float]:
        return {(row.shape, row.tag): float(self._count(row.work)) for row in self.rows}

    @functools.cached_property
    def _groups(self) -> dict[_Group, list[BenchRow]]:
        groups: dict[_Group, list[BenchRow]] = {}
        for row in self.rows:
            groups.setdefault(_group(row.shape, row.tag), []).append(row)
        return groups

    @functools.cached_property
    def _coefficients(self) -> dict[_Group, np.ndarray]:
        """The coefficients of the groups that were asked for: fitting all takes longer than most need."""
        return {}

    @functools.cached_property
    def _stock_coefficients(self) -> dict[str, np.ndarray]:
        """The coefficients of each kernel of stock ops that was measured."""
        kernels: dict[str, list[tuple[np.ndarray, int]]] = {}
        for row in self.stock:
            if (features := stock_features(row.call)) is not None:
                kernels.setdefault(row.call.kernel, []).append((features, self._count(row.work)))
        return {
            kernel: fit_relative(np.array([f for f, _ in found]), np.array([n for _, n in found], float))
            for kernel, found in kernels.items()
        }

    def _count(self, work: Work) -> int:
        return getattr(work, self.figure)

    def _fit(self, rows: Sequence[BenchRow]) -> np.ndarray:
        counts = np.array([self._count(row.work) for row in rows], float)
        features = np.array([call_features(row.shape) for row in rows])
        is_known = (features > 0).sum(axis=0) >= min(_MIN_CALLS, len(rows) // 8 + 1)
        return fit_relative(features * is_known, counts)

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
    stages, stock = folder / f"stages_{core}.csv", folder / f"stock_{core}.csv"
    try:
        rows = from_csv(file.read_text())
    except KeyError as missing:
        raise UsageError(
            f"the instruction table for {core} has no column {missing}; make it anew with tflm_quantmcu bench --core "
            f"{core}"
        ) from None
    return InstructionTable.of_rows(
        rows,
        stage_driver.from_csv(stages.read_text()) if stages.is_file() else (),
        stock_call_times.from_csv(stock.read_text()) if stock.is_file() else (),
    )


def graph_instructions(
    graph: ModelGraph,
    table: InstructionTable,
    *,
    map_bits: Mapping[str, int] | None = None,
    weight_bits: Mapping[str, int] | None = None,
    only: Iterable[int] | None = None,
) -> float:
    """The table's figure of a graph's kernel calls.

    Args:
      table: of the core.
      graph, map_bits, weight_bits, only: as of `graph_calls`.
    """
    return table.total(graph_calls(graph, map_bits=map_bits, weight_bits=weight_bits, only=only))


def stage_instructions(program: StageProgram, table: InstructionTable) -> float:
    """The table's figure of a patch stage, recomputed and moved halos included."""
    return table.total(stage_calls(program)) + table.beside_kernels(program)


def _group(shape: KernelShape, tag: str) -> _Group:
    return shape.op, shape.kernel != (1, 1), tag
