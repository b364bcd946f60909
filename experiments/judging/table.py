"""What searches cost on the judging networks: points lost on kept-back samples, bytes and milliseconds.

    python -m experiments.judging.table --folder build/judging --role judge --searches vdqs --output build/judging.csv

Of each network that `train.py` made, `convert` is called as users do, with calibration samples alone or, with
`--labels`, with `evaluation.npz` too. Budgets are 1/2 and 1/4 of the int8 model's arena on the core, and 0.85, 0.7 and
0.55 of the smallest arena that 8 bits reach within the default slowdown. Points are percent of `judge.npz` that are
right no more, less those that became right, by the exact simulation; `limit` is their one-sided 90 % limit, `estimate`
what the guard said. A refusal is a row. `--role judge` is a look at the judging set.
"""

from __future__ import annotations

import dataclasses
import pathlib
import time
from collections.abc import Iterator
from typing import Any

from absl import app, flags

from experiments.judging.judged import JudgedNetwork
from experiments.judging.networks import NETWORKS, Role
from experiments.rows import csv_of
from tflm_quantmcu.app import api
from tflm_quantmcu.app.accuracy_lines import accuracy_of
from tflm_quantmcu.base.errors import BudgetError
from tflm_quantmcu.base.files import write_atomically

OF_INT8, OF_SMALLEST = (0.5, 0.25), (0.85, 0.7, 0.55)

_FOLDER = flags.DEFINE_string("folder", "build/judging", "What train.py wrote.")
_ROLE = flags.DEFINE_enum("role", "choose", [role.value for role in Role], "Which networks.")
_NETWORKS = flags.DEFINE_list("networks", list(NETWORKS), "Of these, as far as they are trained.")
_SEARCHES = flags.DEFINE_list("searches", ["vdqs"], "As of convert.")
_DROP = flags.DEFINE_string("max_accuracy_drop", None, "As of convert; default is convert's.")
_LABELS = flags.DEFINE_bool("labels", False, "Give the searches evaluation.npz.")
_MAX_JUDGE = flags.DEFINE_integer("max_judge", None, "Judging samples at most, for a quick look.")
_OUTPUT = flags.DEFINE_string("output", None, "Where to write the table (.csv).")


@dataclasses.dataclass(frozen=True)
class TableRow:
    """A call of convert; what is not known is None."""

    network: str
    search: str
    budget: str
    sram_bytes: int | None
    arena_bytes: int | None = None
    milliseconds: float | None = None
    instructions: int | None = None
    bit_ops: int | None = None
    points: float | None = None
    limit: float | None = None
    estimate: float | None = None
    num_judged: int = 0
    seconds: float | None = None
    refused: str = ""


def main(argv: list[str]) -> None:
    del argv
    rows: list[TableRow] = []
    for name in _NETWORKS.value:
        folder = pathlib.Path(_FOLDER.value, name)
        if NETWORKS[name].role.value == _ROLE.value and (folder / "int8.tflite").exists():
            for row in rows_of(name, folder):
                rows.append(row)
                print(row, flush=True)
                if _OUTPUT.value:
                    write_atomically(_OUTPUT.value, csv_of(TableRow, rows))


def rows_of(name: str, folder: pathlib.Path) -> Iterator[TableRow]:
    """All rows of a network."""
    network = _Caller(JudgedNetwork(folder, _MAX_JUDGE.value))
    free = network.row(TableRow(name, "vdqs", "none", None))
    yield free
    assert free.arena_bytes is not None
    sizes = {f"{part:g} of int8": int(part * network.int8_bytes) for part in OF_INT8}
    sizes |= {f"{part:g} of 8 bits' smallest": int(part * free.arena_bytes) for part in OF_SMALLEST}
    for search in _SEARCHES.value:
        for budget, sram_bytes in sizes.items():
            yield network.row(TableRow(name, search, budget, sram_bytes))


class _Caller:
    """Calls `convert` for a network and judges what it gives."""

    def __init__(self, network: JudgedNetwork) -> None:
        self._network = network
        self._options: dict[str, Any] = {"evaluation_data": network.folder / "evaluation.npz"} if _LABELS.value else {}
        if _DROP.value is not None:
            self._options["max_accuracy_drop"] = _DROP.value
        self.int8_bytes = 0

    def row(self, row: TableRow) -> TableRow:
        """The row with what `convert` gives."""
        start = time.process_time()
        try:
            result = api.convert(
                self._network.file,
                calibration=self._network.calibration,
                search=row.search,
                sram_bytes=row.sram_bytes,
                progress=False,
                n_jobs=1,
                **self._options,
            )
        except BudgetError as error:
            return dataclasses.replace(row, refused=str(error), seconds=round(time.process_time() - start, 1))
        seconds = round(time.process_time() - start, 1)
        figures = result.report.as_dict()
        self.int8_bytes = figures["before"]["arena_bytes"]
        after, told = figures["after"], accuracy_of(result.plan.search)
        loss = self._network.loss_of(result.plan)
        return dataclasses.replace(
            row,
            arena_bytes=after["arena_bytes"],
            milliseconds=after["milliseconds"],
            instructions=after["instructions"],
            bit_ops=after["bit_ops"],
            points=round(loss.points, 2),
            limit=round(loss.upper_points, 2),
            estimate=None if told is None else round(told["points"], 2),
            num_judged=loss.num_samples,
            seconds=seconds,
        )


if __name__ == "__main__":
    app.run(main)
