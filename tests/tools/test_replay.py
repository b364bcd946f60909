"""The replay gives the same rows for the same code, and names the row that is another."""

from __future__ import annotations

import sys

import pytest

from tests.support.networks import inverted_residual
from tools import replay


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    (folder / "small.tflite").write_bytes(inverted_residual(size=12))
    return folder


def _run(monkeypatch, action, file, folder) -> int:
    monkeypatch.setattr(replay, "SETTINGS", {name: replay.SETTINGS[name] for name in ("uniform", "uniform 4 bits")})
    monkeypatch.setattr(sys, "argv", ["replay", action, str(file), "--models", str(folder)])
    try:
        replay.main()
    except SystemExit as stop:
        return int(stop.code or 0)
    return 0


@pytest.mark.long
def test_same_code_gives_the_same_bytes_and_another_row_is_named(monkeypatch, tmp_path, folder, capsys):
    file = tmp_path / "before.txt"
    assert _run(monkeypatch, "record", file, folder) == 0
    assert "small\tuniform\texit 0\tm_qmcu.tflite " in file.read_text()
    assert _run(monkeypatch, "compare", file, folder) == 0
    assert "0 of 2 rows differ" in capsys.readouterr().out
    file.write_text(file.read_text().replace("plan.json ", "plan.json 0", 1))
    assert _run(monkeypatch, "compare", file, folder) == 1
    assert "small, uniform: plan.json 0" in capsys.readouterr().out


def test_rows_that_came_or_went_differ():
    rows = ["a\tuniform\texit 0\tplan.json 1", "b\tuniform\texit 4\tno room"]
    assert replay.differences(rows, rows) == []
    assert replay.differences(rows[:1], rows) == ["b, uniform: not there -> exit 4"]
    assert replay.differences(rows, rows[1:]) == ["a, uniform: exit 0 -> not there"]
