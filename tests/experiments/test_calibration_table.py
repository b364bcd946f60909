"""The table has a row a method, with the accuracies that `evaluate` gives."""

from __future__ import annotations

import subprocess
import sys

import numpy as np

from tests.support.networks import inverted_residual
from tflm_quantmcu.runtime.interpreter import Interpreter


def test_rows_are_accuracies_on_tflm(tmp_path):
    model = inverted_residual()
    (tmp_path / "m.tflite").write_bytes(model)
    x = np.random.default_rng(1).integers(-100, 100, (8, 24, 24, 3), dtype=np.int8)
    y = Interpreter(model).run(x).argmax(axis=1)
    y[:2] = (y[:2] + 1) % 5
    np.savez(tmp_path / "xy.npz", x=x, y=y)
    files = {"model": "m.tflite", "calibration_data": "xy.npz", "data": "xy.npz"}
    flags = [f"--{flag}={tmp_path / name}" for flag, name in files.items()]
    command = [sys.executable, "-m", "experiments.calibration_table", *flags, "--methods=own,mse"]
    lines = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert lines[:2] == ["| method | 8 bits | 4 bits |", "|---|---|---|"]
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines[2:]]
    assert [row[0] for row in rows] == ["own", "mse"] and rows[0][1] == "75.00 %"
