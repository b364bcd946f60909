"""experiments.zoo: what a row says of a model that shrinks, of one that cannot be made, and the counts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from experiments.zoo import Row, read_rows, row_of, row_of_file, table_of, write_rows
from tests.support.networks import inverted_residual
from tflm_quantmcu.arena.predict import predict_arena
from tflm_quantmcu.tflite.reader import read_model


def not_made() -> Any:
    raise ValueError("no such layer\nand more")


def test_a_row_of_a_kept_model_and_of_one_that_is_not_made(tmp_path: Path) -> None:
    model = inverted_residual()
    (tmp_path / "kept.tflite").write_bytes(model)
    row = row_of("kept", not_made, str(tmp_path))
    assert row.stock_bytes == predict_arena(read_model(model)) > row.our_bytes > 0
    assert row.is_equal and 0 < row.slowdown <= 1.1
    assert row_of_file(tmp_path / "kept.tflite") == row
    assert 0 < row.core_bytes <= row.aot_bytes < 2 * row.core_bytes
    assert row_of("other", not_made).peak == "not made: no such layer"


def test_the_counts_are_of_models_that_run(tmp_path: Path) -> None:
    rows = [
        Row("same", 100, 100, 1.0, True, "CONV_2D"),
        Row("half", 100, 50, 1.0, True, "CONV_2D"),
        Row("smaller", 100, 60, 0.0, True, "CONV_2D"),
        Row("not", 0, 0, 0.0, False, "refused: LSTM"),
    ]
    write_rows(str(tmp_path / "rows.csv"), rows)
    assert read_rows(str(tmp_path / "rows.csv")) == rows
    lines = table_of(rows).splitlines()
    assert [line.split(" | ")[0] for line in lines[2:5]] == ["| same", "| smaller", "| half"]
    assert lines[-2] == "not among them: not, refused: LSTM"
    assert lines[-1].startswith("3 of 4 models run on TFLM and are taken, 3 equal in every byte; ")
    assert lines[-1].endswith("smaller: 2 (67%), at most half: 1 (33%)")
