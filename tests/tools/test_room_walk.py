"""The tracer counts calls, entries and returns, in a made-up package of rooms and in a conversion."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import tflm_quantmcu
from tests.support import networks
from tflm_quantmcu import cli
from tflm_quantmcu.tflite.reader import read_model
from tools.room_walk import Tracer, table, trace

ROOMS = {
    "app": """
        from walked import arena, base, search
        def convert():
            base.help()
            arena.place()
            arena.place()
            search.find()
            arena.place()
        """,
    "search": """
        from walked import cost
        def find():
            cost.count()
        """,
    "cost": """
        from walked import arena
        def count():
            arena.place()
            return lower_op()
        def lower_op():
            return 1
        """,
    "arena": """
        def place():
            return sorted([2, 1], key=lambda value: value)
        """,
    "base": """
        def help():
            pass
        """,
}


@pytest.fixture
def tracer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Tracer]:
    for room, text in ROOMS.items():
        folder = tmp_path / "walked" / room
        folder.mkdir(parents=True)
        lines = [line[8:] for line in text.splitlines()]
        (folder / "__init__.py").write_text("\n".join(lines))
    (tmp_path / "walked" / "__init__.py").write_text("")
    monkeypatch.syspath_prepend(tmp_path)
    app = importlib.import_module("walked.app")
    yield trace(tmp_path / "walked", app.convert)
    for name in [name for name in sys.modules if name.split(".")[0] == "walked"]:
        del sys.modules[name]


def test_the_walk_is_what_leading_rooms_call(tracer: Tracer) -> None:
    assert tracer.walk == ["arena", "search", "cost", "arena"]
    assert tracer.num_returns == 1


def test_calls_and_entries_are_counted_wherever_they_are_made(tracer: Tracer) -> None:
    assert tracer.calls["lower_op"] == 1 and tracer.calls["inner_ops_of"] == 0
    assert tracer.entries == 8  # app, base, arena twice, search, cost, arena below it, arena again


def test_the_table_says_all(tracer: Tracer) -> None:
    text = table(tracer, 1.25, 63)
    assert "returns to a room that it left" in text and "walk: arena search cost arena" in text


def test_nothing_is_traced_afterwards(tracer: Tracer) -> None:
    assert sys.getprofile() is None


def test_a_conversion_asks_once_and_seldom_returns(tmp_path: Path) -> None:
    """Input and output are each parsed once; a third graph is what offsets are pinned for."""
    model = tmp_path / "model.tflite"
    model.write_bytes(networks.inverted_residual())
    graph = read_model(model.read_bytes())
    tflm_quantmcu.convert(model, search="uniform")  # tables of cores are read once a process
    result = trace(Path(tflm_quantmcu.__file__).parent, lambda: tflm_quantmcu.convert(model, search="uniform"))
    assert result.calls["inner_ops_of"] == len(graph.ops)
    assert 0 < result.calls["why_unsupported"] <= len(graph.ops)
    assert 0 < result.calls["lower_op"] <= len(graph.ops)
    assert (result.calls["check_flatbuffer"], result.calls["graph_of"]) == (2, 3)
    assert 0 < result.num_returns <= 10


def test_the_command_line_goes_as_straight(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Its usual search, with stages and with the report printed."""
    model = tmp_path / "model.tflite"
    model.write_bytes(networks.inverted_residual())
    command = ["convert", "--model", str(model), "--output", str(tmp_path / "converted.tflite")]
    cli.main(command)  # tables of cores are read once a process
    result = trace(Path(tflm_quantmcu.__file__).parent, lambda: cli.main(command))
    assert "longest span" in capsys.readouterr().out
    assert {"patches", "stage"} <= set(result.walk)
    assert result.num_returns <= 10
