#!/usr/bin/env python3
"""Fits the factors of tflm_quantmcu/cost/data/boards.csv to networks that ran on boards, and says how good they are.

In: tflm_quantmcu/cost/data/board_measurements.csv. Out: for each board the factors of instructions and of cycles, and
the relative error of each network when it is left out of the fit. Cores without documented timings have one factor, of
instructions; theirs in boards.csv is in cost/cycles.py.

    python -m tools.board_fit
"""

from __future__ import annotations

import csv
import dataclasses
import sys
from collections.abc import Iterable
from pathlib import Path

import numpy as np

from tflm_quantmcu.cost.least_squares import fit_relative

MEASUREMENTS = Path(__file__).resolve().parents[1] / "tflm_quantmcu/cost/data/board_measurements.csv"


@dataclasses.dataclass(frozen=True, eq=False)
class BoardFit:
    """Attributes:
    factors: board cycles of an instruction and, where documented cycles are known, of one of these.
    names: of the networks.
    left_out: [network] relative error of its board cycles, estimated from all others.
    """

    factors: np.ndarray
    names: list[str]
    left_out: np.ndarray

    @property
    def rms(self) -> float:
        return float(np.sqrt(np.mean(self.left_out**2)))


def fit(rows: Iterable[dict[str, str]]) -> BoardFit:
    """The fit of the rows of one board."""
    rows = list(rows)
    columns = ["instructions_millions"] + ["documented_millions"] * bool(rows[0]["documented_millions"])
    counts = np.array([[float(row[name]) for name in columns] for row in rows])
    cycles = np.array([float(row["board_millions"]) for row in rows])
    others = ~np.eye(len(rows), dtype=bool)
    estimates = [counts[i] @ fit_relative(counts[others[i]], cycles[others[i]]) for i in range(len(rows))]
    names = [f"{row['engine']} {row['network']}" for row in rows]
    return BoardFit(fit_relative(counts, cycles), names, np.array(estimates) / cycles - 1)


def fits() -> dict[str, BoardFit]:
    """The fits by board."""
    rows = list(csv.DictReader(MEASUREMENTS.read_text().splitlines()))
    return {board: fit(r for r in rows if r["board"] == board) for board in dict.fromkeys(r["board"] for r in rows)}


def main() -> int:
    for board, found in fits().items():
        names = ("instructions", "cycles")
        factors = " + ".join(f"{factor:.4f} x {name}" for factor, name in zip(found.factors, names, strict=False))
        print(f"{board}: board cycles = {factors}")
        print(f"  left out: rms {found.rms:.1%}, max {np.abs(found.left_out).max():.1%}")
        for name, error in zip(found.names, found.left_out, strict=True):
            print(f"  {name:<14} {error:+.1%}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
