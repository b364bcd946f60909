"""The picture of the arena: what it shows are the planner's own numbers."""

from __future__ import annotations

import re

import pytest

from tests.support import networks
from tests.support.plans import split
from tests.support.tiny_models import TinyModel
from tflm_quantmcu import cli
from tflm_quantmcu.arena.memory_map import WIDTH, draw_png, draw_text
from tflm_quantmcu.arena.plan import ArenaPlan, PlacedBuffer, tflm_plan
from tflm_quantmcu.arena.predict import predict_arena
from tflm_quantmcu.converter.convert import convert_model
from tflm_quantmcu.graph.types import ModelGraph
from tflm_quantmcu.tflite.reader import read_model

MODEL = networks.inverted_residual()


def relus(count: int) -> ModelGraph:
    net = TinyModel()
    x = net.input((1, 4, 4, 60))
    for _ in range(count):
        x = net.relu(x)
    return read_model(net.build(x))


def test_two_maps_in_turn() -> None:
    graph = relus(2)
    lines = draw_text(graph, tflm_plan(graph)).splitlines()
    assert lines[0].startswith("arena of 1,920 bytes, 32 a column")
    bars = [line.split() for line in lines[1:4]]
    halves = {0: ("A", 0), 1: ("AB", 0), 2: ("BC", 0)}
    for step, (number, _, bar, num_bytes) in enumerate(bars):
        assert int(number) == step
        assert set(bar) - {"."} == set(halves[step][0])
        assert all(bar.count(letter) == 30 for letter in halves[step][0])
        assert num_bytes == ("960" if step == 0 else "1,920")
    assert re.fullmatch(r"A +960 +\d+,?\d* +0-1 +map0 \[1, 4, 4, 60\]", lines[6])


def test_bytes_of_two_live_buffers_are_marked_and_counted_once() -> None:
    graph = relus(1)
    above, below = PlacedBuffer((0,), 960, 320, 0, 1), PlacedBuffer((1,), 960, 0, 1, 1)
    lines = draw_text(graph, ArenaPlan((above, below), 1280)).splitlines()
    bar, num_bytes = lines[2].split()[2:]
    assert num_bytes == "1,280"
    assert re.fullmatch(r"B+%+A+\.*", bar)


@pytest.mark.parametrize("is_converted", [False, True])
def test_inspect_draws_stock_and_converted_models(is_converted: bool, tmp_path, capsys) -> None:
    data = convert_model(MODEL, split(read_model(MODEL))) if is_converted else MODEL
    path, png = tmp_path / "m.tflite", tmp_path / "m.png"
    path.write_bytes(data)
    cli.run(["inspect", "--model", str(path), "--memory", "--memory_png", str(png)])
    text = capsys.readouterr().out
    text = text[text.index("arena of ") :]
    assert text.startswith(f"arena of {predict_arena(read_model(data)):,} bytes")
    assert max(map(len, text.splitlines())) <= WIDTH
    assert ("scratch of QMCU_PATCH_STAGE (op 0)" in text) == is_converted
    assert png.read_bytes().startswith(b"\x89PNG")


def test_the_picture_is_not_left_half_written(tmp_path) -> None:
    graph = relus(1)
    with pytest.raises(Exception, match="no_folder"):
        draw_png(graph, tflm_plan(graph), tmp_path / "no_folder" / "m.png")
