"""Ops of shortcuts run before the blocks beside them, where no more bytes are then alive, and stages compute them
ahead."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support import shared_data
from tests.support.tiny_models import TinyModel
from tflm_quantmcu.converter.convert import convert_model
from tflm_quantmcu.graph.precision_plan import PatchClass, PrecisionPlan, StagePlan
from tflm_quantmcu.patches.planned_stage import AHEAD
from tflm_quantmcu.patches.stage_planner import StagePlanner
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.tflite.canonical.canonical import canonical
from tflm_quantmcu.tflite.canonical.shortcuts import put_shortcuts_first
from tflm_quantmcu.tflite.model_file import ModelFile
from tflm_quantmcu.tflite.writer import write_model

RNG = np.random.default_rng(11)


def residual(*, channels: int, stride: int, is_first: bool = False) -> bytes:
    """A block of two convolutions beside one of 1x1, which the network runs last, or first."""
    net = TinyModel()

    def conv(x, kernel: int, stride: int, channels: int):
        weights = RNG.integers(-127, 128, (channels, kernel, kernel, x.shape[3]), dtype=np.int8)
        return net.conv2d(x, weights, stride=(stride, stride), scale=0.2)

    x = conv(net.input((1, 16, 16, 8)), 3, 1, 8)
    aside = conv(x, 1, stride, channels) if is_first else None
    block = conv(conv(x, 3, stride, channels), 3, 1, channels)
    aside = aside or conv(x, 1, stride, channels)
    return net.build(net.mean(conv(net.add(aside, block, scale=0.3), 3, 1, 8)))


def kernels_of(model: ModelFile) -> list[int]:
    graph = model.graph
    return [graph.tensors[op.inputs[1]].shape[1] for op in graph.ops if op.kind == "CONV_2D"]


def test_a_shortcut_that_makes_its_map_smaller_goes_first() -> None:
    model = ModelFile(residual(channels=16, stride=2))
    tree = put_shortcuts_first(model)
    assert tree is not None
    moved = ModelFile(write_model(tree))
    assert kernels_of(model) == [3, 3, 3, 1, 3] and kernels_of(moved) == [3, 1, 3, 3, 3]
    before, after = Interpreter(model), Interpreter(moved)
    for _ in range(3):
        x = RNG.integers(-128, 128, (1, 16, 16, 8)).astype(np.int8)
        np.testing.assert_array_equal(after.invoke(x)[0], before.invoke(x)[0])


@pytest.mark.parametrize("options", [{"channels": 16, "stride": 2, "is_first": True}, {"channels": 16, "stride": 1}])
def test_one_that_is_first_or_larger_than_its_input_stays(options: dict[str, int]) -> None:
    assert put_shortcuts_first(ModelFile(residual(**options))) is None


def ahead(model: ModelFile, tile: tuple[int, int], *, primed: bool) -> PrecisionPlan:
    """A plan of the block's network: one stage up to its sum, whose maps are kept, and the shortcut computed ahead."""
    graph = model.graph
    (add,) = (op for op in graph.ops if op.kind == "ADD")
    names = [graph.tensors[t].name for t in (graph.inputs[0], add.outputs[0])]
    grid = ((0,) * -(-8 // tile[1]),) * -(-8 // tile[0])
    stage = StagePlan(*names, *tile, grid, (PatchClass("ordinary", {}),), cache_mode="ahead", primed=primed)
    return PrecisionPlan(graph.sha256, {}, stages=(stage,))


@pytest.mark.parametrize("tile", [(1, 1), (2, 3), (1, 8)])
@pytest.mark.parametrize("primed", [False, True])
def test_stages_compute_it_ahead(tile: tuple[int, int], primed: bool) -> None:
    model = canonical(ModelFile(residual(channels=16, stride=2)))
    before, after = Interpreter(model), Interpreter(convert_model(model, ahead(model, tile, primed=primed)))
    for _ in range(3):
        x = RNG.integers(-128, 128, (1, 16, 16, 8)).astype(np.int8)
        np.testing.assert_array_equal(after.invoke(x)[0], before.invoke(x)[0])


def test_resnet8_computes_nothing_twice_in_a_quarter_and_little_more() -> None:
    graph = canonical(ModelFile(shared_data.model("ic_resnet8_int8"))).graph
    planner = StagePlanner(graph, variants=("dsp",))
    split = planner.cheapest(13_520)
    assert split is not None and split.extra_macs == 0
    assert list(split.stages[0].modes.values()).count(AHEAD) == 2
    quarter = planner.cheapest(13_068)
    assert quarter is not None and quarter.macs_ratio < 1.02
