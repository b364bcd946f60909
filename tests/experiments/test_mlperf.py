"""experiments.mlperf: what is refused before anything runs, the published rows, and a network on a board in QEMU."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from experiments import mlperf
from tests.support.cortex_m import skip_without_tools
from tests.support.networks import inverted_residual


def test_names_and_files(tmp_path: Path) -> None:
    for name in ("m.tflite", "c.npz"):
        (tmp_path / name).touch()
    model, calibration = tmp_path / "m.tflite", tmp_path / "c.npz"
    assert mlperf.networks_of([f"mine={model},{calibration}"], tmp_path) == [
        mlperf.Network("mine", model, calibration, None)
    ]
    with pytest.raises(ValueError, match="--networks has vww; there are ic, kws, ad, or give vww=model.tflite"):
        mlperf.networks_of(["vww"], tmp_path)
    with pytest.raises(ValueError, match="other.tflite is not there"):
        mlperf.networks_of([f"mine={tmp_path / 'other.tflite'}"], tmp_path)


def test_published_rows_are_of_the_boards() -> None:
    heads, line, *lines = mlperf.published_table()
    assert heads == "| board | submission | ic ms | kws ms | ad ms |" and line == "| --- | --- | --- | --- | --- |"
    assert {row.split(" | ")[0].removeprefix("| ") for row in lines} == set(mlperf.BOARDS)


def test_a_network_on_a_board(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    skip_without_tools()
    (tmp_path / "m.tflite").write_bytes(inverted_residual())
    x = np.random.default_rng(0).integers(-100, 100, (32, 24, 24, 3), dtype=np.int8)
    np.savez(tmp_path / "c.npz", x=x)
    np.savez(tmp_path / "xy.npz", x=x[:4], y=np.zeros(4, np.int64))
    files = ",".join(str(tmp_path / name) for name in ("m.tflite", "c.npz", "xy.npz"))
    page = tmp_path / "page.md"
    command = ["--networks", f"small={files}", "--boards", "nucleo-g0b1re", "--output", str(page)]
    assert mlperf.main(command) == 0
    rows = [line.strip("| ").split(" | ") for line in page.read_text().splitlines()[2:5]]
    assert [row[:3] for row in rows] == [["small", "nucleo-g0b1re", version] for version in mlperf.VERSIONS]
    (unsplit_arena, *_), (split_arena, *_) = ([int(cell.replace(",", "")) for cell in row[4:8]] for row in rows[:2])
    assert split_arena < unsplit_arena
    assert all(float(cell) > 0 for row in rows for cell in row[8:])
