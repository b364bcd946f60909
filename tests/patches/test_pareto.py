"""Pareto fronts: files that say what the planner found, and flags that bound it."""

from __future__ import annotations

import csv
import itertools

import pytest

from tests.support.networks import inverted_residual
from tflm_quantmcu import cli
from tflm_quantmcu.app import api
from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.patches.pareto import COLUMNS

MODEL = inverted_residual()


def test_plan_writes_the_front_and_its_plot(tmp_path) -> None:
    model, table = tmp_path / "m.tflite", tmp_path / "front.csv"
    model.write_bytes(MODEL)
    flags = ["--model", str(model), "--output", str(tmp_path / "plan.json"), "--search", "uniform"]
    cli.run(["plan", *flags, "--pareto", str(table)])
    header, *rows = csv.reader(table.read_text().splitlines())
    front = api.pareto_front(MODEL)
    assert tuple(header) == COLUMNS
    found = [(int(row[COLUMNS.index("arena_bytes")]), int(row[COLUMNS.index("cycles")])) for row in rows]
    assert found == [(point.arena_bytes, point.cycles) for point in front]
    assert (tmp_path / "front.png").read_bytes().startswith(b"\x89PNG")


def test_the_plot_does_not_take_the_place_of_the_table(tmp_path) -> None:
    flags = ["--model", str(tmp_path / "m.tflite"), "--output", str(tmp_path / "plan.json")]
    with pytest.raises(UsageError, match="front.png; it names the table, as front.csv"):
        cli.run(["plan", *flags, "--pareto", str(tmp_path / "front.png")])
    assert not list(tmp_path.iterdir())


def test_the_ratio_of_macs_is_kept() -> None:
    least, *_, most = api.pareto_front(MODEL, max_macs_ratio=1.0)
    plans = [api.plan(MODEL, search="uniform", max_macs_ratio=r) for r in (1.0, most.macs_ratio + 0.01)]
    notes = [plan.notes[0] for plan in plans]
    assert f"{least.arena_bytes:,} bytes for no more MACs" in notes[0]
    assert f"{most.arena_bytes:,} bytes for {most.macs_ratio - 1:.1%} more MACs" in notes[1]


def test_a_ratio_below_one_is_refused() -> None:
    with pytest.raises(UsageError, match="--max_macs_ratio is 0.5; it must be at least 1"):
        api.plan(MODEL, max_macs_ratio=0.5)


def test_the_front_goes_from_the_unsplit_network_to_ever_fewer_bytes_and_more_time() -> None:
    front = api.pareto_front(MODEL)
    assert front[0].num_stages == 0 and front[0].slowdown == 1 and len(front) > 3
    assert front[0].arena_bytes > front[1].arena_bytes
    for fast, small in itertools.pairwise(front[1:]):
        assert fast.arena_bytes > small.arena_bytes and fast.cycles <= small.cycles
    assert all(p.milliseconds is not None and p.milliseconds_error == 0.08 for p in front)
    assert all(p.milliseconds is None and p.cycles > 0 for p in api.pareto_front(MODEL, core="cortex-m3"))
