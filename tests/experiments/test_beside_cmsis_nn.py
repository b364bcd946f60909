"""Figures of beside_cmsis_nn: ratios, their means and the cells of a row, and that a missing checkout is told."""

import pytest

from experiments import beside_cmsis_nn
from experiments.device_time import part_of_arena
from tests.support.networks import inverted_residual
from tflm_quantmcu.app.reserve import arena_bytes_on
from tflm_quantmcu.graph.target import Target
from tflm_quantmcu.tflite.reader import read_model


def test_ratios_and_means_are_of_what_cmsis_nn_takes() -> None:
    rows = [[1000, 500, 2000], [4000, 8000, 2000]]
    assert [beside_cmsis_nn.ratios(row) for row in rows] == [[0.5, 2.0], [2.0, 0.5]]
    assert beside_cmsis_nn.means(rows) == pytest.approx([1.0, 1.0])
    assert beside_cmsis_nn.cells_of([2_000_000, 1_000_000]) == ["2.000", "1.000, 0.50"]


def test_without_cmsis_nn_it_says_so(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture, tmp_path) -> None:
    monkeypatch.delenv("CMSIS_NN_DIR", raising=False)
    model = tmp_path / "m.tflite"
    model.write_bytes(inverted_residual())
    assert beside_cmsis_nn.main(["--models", str(model), "--build_dir", str(tmp_path)]) == 1
    assert "CMSIS_NN_DIR is not set" in capsys.readouterr().err


def test_a_part_of_the_arena_is_of_the_core() -> None:
    model = inverted_residual()
    reserved = arena_bytes_on(read_model(model), Target.of("cortex-m55")).reserved_bytes
    assert part_of_arena(model, "cortex-m55", 4) == reserved // 4
