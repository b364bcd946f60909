"""What QuantMCU's trade of bits for BitOPs costs on the judging networks: `--objective bit_ops`, no bound on accuracy.

    python -m experiments.judging.bit_ops --folder build/judging --role judge --output build/bit_ops.csv

Each network is split within `--part` of the unsplit network's arena on the core, half of it by default, as it is
converted, and narrowed by search vdqs, without training and without labels: maps and weights of the stages down to 4
bits (W4A4), maps alone (W8A4), weights alone (W4A8), at each of `--lambdas`. Each plan is judged with every
`--compensation`: `off` is rounding to the nearest. `times` is how many times fewer BitOPs the stages take than the same
stages at 8 bits. Points are percent of `judge.npz` that are right no more, less those that became right, by the exact
simulation; `limit` is their one-sided 90 % limit. What the budget refuses is said and has no row. `--role judge` is a
look at the judging set.
"""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from experiments.judging.judged import JudgedNetwork
from experiments.judging.networks import NETWORKS, Role
from experiments.rows import csv_of
from tflm_quantmcu.app import api
from tflm_quantmcu.app.plan_costs import PlanCosts
from tflm_quantmcu.base.errors import BudgetError
from tflm_quantmcu.base.files import write_atomically
from tflm_quantmcu.compensation.compensate import compensate
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.search.options import Options
from tflm_quantmcu.tflite.canonical.canonical import canonical
from tflm_quantmcu.tflite.model_file import ModelFile

OF_UNSPLIT = 0.5
# Name -> fewest bits of maps and of weights.
WIDTHS: Mapping[str, tuple[int, int]] = {"W4A4": (4, 4), "W8A4": (4, 8), "W4A8": (8, 4)}


@dataclasses.dataclass(frozen=True)
class TradeRow:
    """A plan with what makes up for its bits."""

    network: str
    widths: str
    weight: float | None
    compensation: str
    times: float
    stage_bit_ops: int
    bit_ops: int
    points: float
    limit: float
    num_judged: int


class Trader:
    """Makes plans of a network for few BitOPs, and judges them.

    Attributes:
      name: of the network.
    """

    def __init__(self, name: str, network: JudgedNetwork, part: float = OF_UNSPLIT) -> None:
        self.name = name
        self._network = network
        model = canonical(ModelFile(network.file))
        self._graph = model.graph
        self._costs = PlanCosts(model, target=Options().target, sram_scope="total")
        unsplit = self._costs.bytes_of(PrecisionPlan(self._graph.sha256, {}))
        self._sram_bytes = int(part * unsplit.arena_bytes)

    def rows(self, widths: str, weight: float, compensations: Sequence[str]) -> Iterator[TradeRow]:
        """The rows of one plan; `weight` is lambda."""
        maps, weights = WIDTHS[widths]
        plan = self._plan(
            vdqs_lambda=weight,
            vdqs_min_bits=maps,
            vdqs_min_weight_bits=weights,
            max_accuracy_drop="off",
            compensation="off",
        )
        for mode in compensations:
            yield self._row(widths, weight, mode, self._compensated(plan, mode))

    def chosen(self) -> TradeRow:
        """The row of what the search chooses."""
        return self._row("chosen", None, "weights", self._plan())

    def _row(self, widths: str, weight: float | None, mode: str, plan: PrecisionPlan) -> TradeRow:
        work, whole = self._costs.work_of(plan), self._costs.work_of(_at_eight_bits(plan))
        times = whole.stage_bit_ops / work.stage_bit_ops if work.stage_bit_ops else 1.0
        loss = self._network.loss_of(plan)
        return TradeRow(
            network=self.name,
            widths=widths,
            weight=weight,
            compensation=mode,
            times=round(times, 2),
            stage_bit_ops=work.stage_bit_ops,
            bit_ops=work.bit_ops,
            points=round(loss.points, 2),
            limit=round(loss.upper_points, 2),
            num_judged=loss.num_samples,
        )

    def _plan(self, **options: Any) -> PrecisionPlan:
        return api.plan(
            self._network.file,
            calibration=self._network.calibration,
            sram_bytes=self._sram_bytes,
            objective="bit_ops",
            progress=False,
            n_jobs=1,
            **options,
        )

    def _compensated(self, plan: PrecisionPlan, mode: str) -> PrecisionPlan:
        return compensate(self._graph, plan, self._network.calibration.samples, mode=mode)


def _at_eight_bits(plan: PrecisionPlan) -> PrecisionPlan:
    """The plan's stages with nothing lowered."""
    stages = (
        dataclasses.replace(s, classes=tuple(dataclasses.replace(c, formats={}) for c in s.classes))
        for s in plan.stages
    )
    return dataclasses.replace(plan, stages=tuple(stages), formats={}, weight_bits={})


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m experiments.judging.bit_ops", description=__doc__)
    parser.add_argument("--folder", default="build/judging", help="what train.py wrote")
    parser.add_argument("--role", default="choose", choices=[role.value for role in Role], help="which networks")
    parser.add_argument("--networks", default=",".join(NETWORKS), help="of these, as far as they are trained")
    parser.add_argument("--widths", default=",".join(WIDTHS), help="of maps and weights")
    parser.add_argument("--lambdas", default="0.44", help="values of --vdqs_lambda")
    parser.add_argument("--compensations", default="off,weights", help="values of --compensation")
    parser.add_argument("--part", type=float, default=OF_UNSPLIT, help="the budget: of the unsplit network's arena")
    parser.add_argument("--max_judge", type=int, help="judging samples at most, for a quick look")
    parser.add_argument("--output", help="where to write the table (.csv)")
    chosen = parser.parse_args()
    rows: list[TradeRow] = []
    for name in chosen.networks.split(","):
        folder = pathlib.Path(chosen.folder, name)
        if NETWORKS[name].role.value != chosen.role or not (folder / "int8.tflite").exists():
            continue
        trader = Trader(name, JudgedNetwork(folder, chosen.max_judge), chosen.part)
        for row in rows_of(trader, chosen):
            rows.append(row)
            print(row, flush=True)
            if chosen.output:
                write_atomically(chosen.output, csv_of(TradeRow, rows))


def rows_of(trader: Trader, asked: argparse.Namespace) -> Iterator[TradeRow]:
    """The rows that were asked for, without those that the budget refuses."""
    for widths in filter(None, asked.widths.split(",")):
        for weight in map(float, asked.lambdas.split(",")):
            yield from _kept(trader, widths, trader.rows(widths, weight, asked.compensations.split(",")))
    yield from _kept(trader, "chosen", (trader.chosen() for _ in range(1)))


def _kept(trader: Trader, widths: str, rows: Iterator[TradeRow]) -> Iterator[TradeRow]:
    """The rows up to a refusal, which is said."""
    try:
        yield from rows
    except BudgetError as error:
        print(f"{trader.name}, {widths}: refused: {error}", flush=True)


if __name__ == "__main__":
    main()
