"""Comparing searches: the figures are those of plan, convert and evaluate, wherever and however often it runs."""

from __future__ import annotations

import csv
import dataclasses
import os
import pathlib
import signal
import subprocess
import sys
import time

import joblib
import numpy as np
import pytest

from tests.support.networks import inverted_residual
from tests.support.search_problems import MAPS_ON_ANY_CORE
from tflm_quantmcu import cli
from tflm_quantmcu.app import api
from tflm_quantmcu.app.compare import compare
from tflm_quantmcu.app.comparison import BASELINE, Comparison, Row
from tflm_quantmcu.app.evaluation import accuracies
from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.compensation.compensate import has_low_widths
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.tflite.reader import read_model

# One worker makes what they share, once.
pytestmark = pytest.mark.xdist_group("compare")

MODEL = inverted_residual(size=16, channels=16)
ARENA_BYTES = 16384


def _samples(count: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).integers(-128, 128, (count, 16, 16, 3), np.int8)


def _labelled(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Samples with the model's own answers, one in four moved on."""
    x = _samples(count, seed)
    y = Interpreter(MODEL).run(x).reshape(count, -1).argmax(axis=1)
    return x, np.where(np.arange(count) % 4 == 0, y + 1, y)


DATA = _labelled(40, 1)
ARGUMENTS = {
    "searches": ("vdqs", "memory_driven"),
    "data": DATA,
    "calibration_data": _samples(8, 3),
    "sram_bytes": (None, ARENA_BYTES, 64),
    "progress": False,
    **MAPS_ON_ANY_CORE,
}


def _figures(comparison: Comparison) -> list[Row]:
    return [dataclasses.replace(row, seconds=None) for row in comparison.rows]


@pytest.fixture(scope="module")
def serial(tmp_path_factory) -> tuple[Comparison, pathlib.Path]:
    folder = tmp_path_factory.mktemp("serial")
    return compare(MODEL, output_dir=folder, n_jobs=1, **ARGUMENTS), folder


def test_rows_are_what_plan_convert_and_evaluate_give(serial) -> None:
    comparison, _ = serial
    baseline, *rows = comparison.rows
    assert baseline.search == BASELINE
    assert baseline.accuracy == 0.75 and baseline.model_bytes == len(MODEL)
    assert [(r.search, r.sram_bytes) for r in rows] == [
        (s, b) for s in ARGUMENTS["searches"] for b in ARGUMENTS["sram_bytes"]
    ]
    for row in rows:
        if row.sram_bytes == 64:
            assert "smallest" in row.refused and row.accuracy is None and row.name not in comparison.plans
            continue
        calibration = api.calibrate_model(MODEL, ARGUMENTS["calibration_data"], progress=False)
        options = {"calibration": calibration, "search": row.search, "sram_bytes": row.sram_bytes, "progress": False}
        options |= MAPS_ON_ANY_CORE
        result = api.convert(MODEL, **options)
        assert result.plan == comparison.plans[row.name]
        assert row.accuracy == accuracies([result.model], *DATA, n_jobs=1)[0]
        assert row.points is not None and row.limit_points is not None
        assert row.points == pytest.approx(100 * (0.75 - row.accuracy))
        assert row.limit_points == 0 if not has_low_widths(result.plan) else row.limit_points > row.points
        figures = result.report.converted
        assert (row.arena_bytes, row.model_bytes) == (figures.arena_bytes, len(result.model))
        assert (row.bit_ops, row.instructions) == (figures.cost.bit_ops, figures.instructions)
        assert row.sram_bytes is None or row.arena_bytes <= row.sram_bytes


def test_files_hold_the_table_the_plot_and_plans_that_convert(serial) -> None:
    comparison, folder = serial
    with open(folder / "table.csv") as file:
        table = list(csv.DictReader(file))
    assert [row["search"] for row in table] == [row.search for row in comparison.rows]
    assert (folder / "plot.png").read_bytes().startswith(b"\x89PNG")
    assert not list(folder.glob("*checkpoint*"))
    for name, plan in comparison.plans.items():
        assert PrecisionPlan.from_json((folder / f"{name}.plan.json").read_text()) == plan
    assert "refused" in str(comparison) and "75.00%" in str(comparison)


@pytest.mark.long
def test_processes_and_a_cluster_give_the_same(serial, tmp_path) -> None:
    distributed = pytest.importorskip("distributed")
    assert _figures(compare(MODEL, output_dir=tmp_path / "two", n_jobs=2, **ARGUMENTS)) == _figures(serial[0])
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config(backend="dask"),
    ):
        found = compare(MODEL, output_dir=tmp_path / "dask", **ARGUMENTS)
    assert _figures(found) == _figures(serial[0])
    assert found.plans == serial[0].plans


def test_a_killed_comparison_goes_on(serial, tmp_path) -> None:
    np.savez(tmp_path / "calibration.npz", x=ARGUMENTS["calibration_data"])
    np.savez(tmp_path / "data.npz", x=DATA[0], y=DATA[1])
    (tmp_path / "m.tflite").write_bytes(MODEL)
    folder = tmp_path / "out"
    arguments = (
        f"compare --model {tmp_path}/m.tflite --calibration_data {tmp_path}/calibration.npz --data {tmp_path}/data.npz "
        "--searches vdqs,memory_driven "
        f"--sram_bytes none,{ARENA_BYTES},64 --core any --sram_scope nonpersistent --stock_kernels reference "
        "--n_jobs 1 --noprogress "
        f"--output_dir {folder}"
    ).split()
    process = subprocess.Popen([sys.executable, "-m", "tflm_quantmcu.cli", *arguments], start_new_session=True)
    deadline = time.monotonic() + 120
    while len(list(folder.glob("*.checkpoint"))) < 3 and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    finished = {path: path.read_bytes() for path in folder.glob("*.checkpoint")}
    assert len(finished) >= 3 and not (folder / "table.csv").exists()
    with pytest.raises(UsageError, match="differs in options; delete it"):
        cli.run([*arguments, "--vdqs_lambda", "0.1"])
    assert all(path.read_bytes() == content for path, content in finished.items())
    cli.run(arguments)
    with open(folder / "table.csv") as file, open(serial[1] / "table.csv") as whole:
        found, expected = ([{**row, "seconds": ""} for row in csv.DictReader(f)] for f in (file, whole))
    assert found == expected
    assert not list(folder.glob("*checkpoint*"))


def test_what_it_cannot_compare_is_said(tmp_path) -> None:
    with pytest.raises(UsageError, match="--search is annealing; supported are"):
        compare(MODEL, **{**ARGUMENTS, "searches": ("annealing",)}, output_dir=tmp_path)
    with pytest.raises(UsageError, match="is used by --search rl.* alone, not by vdqs or memory_driven"):
        compare(MODEL, **ARGUMENTS, rl_episodes=3, output_dir=tmp_path)
    with pytest.raises(UsageError, match="--data has no label"):
        compare(MODEL, **{**ARGUMENTS, "data": (DATA[0], DATA[1][:-1])}, output_dir=tmp_path)
    with pytest.raises(UsageError, match="--sram_bytes is 'much'"):
        cli.run(["compare", "--model", "m", "--data", "d", "--output_dir", "o", "--sram_bytes", "much"])
    assert read_model(MODEL) and not list(tmp_path.iterdir())
