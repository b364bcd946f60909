"""Stages of several inputs as the planner finds them: they take what their model takes, and less than without."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest

import tflm_quantmcu as qm
from tests.support.edit_model import StockModel
from tflm_quantmcu.arena.predict import predict_arena
from tflm_quantmcu.cost import network_cost
from tflm_quantmcu.graph.target import KERNEL_VARIANTS
from tflm_quantmcu.graph.types import ModelGraph
from tflm_quantmcu.patches.exact_paths import ExactPaths, MadeStages
from tflm_quantmcu.patches.planned_model import PlannedModel
from tflm_quantmcu.patches.planner import plan_stages
from tflm_quantmcu.patches.stage_edges import stage_edges, wide_edges
from tflm_quantmcu.patches.stage_planner import StagePlanner
from tflm_quantmcu.patches.stage_regions import StageEnd, entries_of
from tflm_quantmcu.patches.wide_regions import wide_regions
from tflm_quantmcu.patches.work_bound import DEFAULT_MAX_SLOWDOWN
from tflm_quantmcu.tflite.model_file import ModelFile
from tflm_quantmcu.tflite.reader import read_model

_MANY = 1 << 40


def _decoder(kernel: int = 1, depth: int = 1) -> bytes:
    """A skip map beside what comes up from below a softmax, which no stage holds; so often."""
    net, rng = StockModel(), np.random.default_rng(3)

    def conv(x, outputs, kernel=kernel):
        filter = rng.integers(-127, 128, (outputs, kernel, kernel, x.shape[3]), dtype=np.int8)
        return net.conv2d(x, filter, scale=0.1)

    x = net.input((1, 32, 32, 3))
    for _ in range(depth):
        skip = conv(x, 4)
        deep = conv(net.relu6(net.max_pool2d(skip, (16, 16), stride=(16, 16))), 4)
        deep = net.softmax(deep)
        up = net.quantize(net.resize_nearest(deep, (32, 32)), scale=skip.scale, zero_point=skip.zero_point)
        x = conv(conv(net.concatenation([skip, up], 3), 24), 2)
    return net.build(x)


@pytest.fixture(scope="module")
def graph() -> ModelGraph:
    return read_model(_decoder())


def test_a_decoder_is_a_stage_that_reads_skip_maps(graph):
    narrow, wide = (plan_stages(graph, max_inputs=n).best for n in (1, 8))
    assert wide is not None and max(len(stage.inputs) for stage in wide.stages) > 1
    assert wide.arena_bytes < (narrow.arena_bytes if narrow else _MANY)
    assert wide.slowdown <= DEFAULT_MAX_SLOWDOWN


@pytest.mark.parametrize("options", [{"search": "uniform"}, {"search": "vdqs", "objective": "bit_ops"}])
def test_a_conversion_takes_it_and_keeps_all_bytes(options):
    x = np.random.default_rng(1).normal(size=(8, 32, 32, 3)).astype(np.float32)
    result = qm.convert(_decoder(), calibration_data=x, progress=False, n_jobs=1, **options)
    assert any(stage.other_inputs for stage in result.plan.stages)
    assert result.report.verification.is_same_function == (options["search"] == "uniform")
    graph = ModelFile(result.model).graph
    assert max(predict_arena(graph, variant) for variant in KERNEL_VARIANTS) < result.report.baseline.arena_bytes


def test_a_bound_that_one_input_meets_is_met_with_one(graph):
    narrow = plan_stages(graph, sram_bytes=1, max_inputs=1).smallest_arena_bytes
    one, several = (plan_stages(graph, sram_bytes=narrow, max_inputs=n).best for n in (1, 8))
    assert one.plans(graph) == several.plans(graph)


def test_a_bound_below_is_met_with_several(graph):
    narrow, smallest = (plan_stages(graph, sram_bytes=1, max_inputs=n) for n in (1, 8))
    least = smallest.smallest_arena_bytes
    assert smallest.best is None and f"{least:,}" in smallest.reason and least < narrow.smallest_arena_bytes
    met = plan_stages(graph, sram_bytes=least).best
    assert met.arena_bytes <= least and plan_stages(graph, sram_bytes=least - 1024).best is None


def test_what_is_not_priced_would_not_lower_the_least_path():
    for graph in (read_model(_decoder(kernel, depth)) for kernel in (1, 3) for depth in (1, 2)):
        model = PlannedModel(graph, {}, {})
        edges = stage_edges(model, model.base_macs, None, 0)
        limit = int(ExactPaths(edges, MadeStages()).least_bytes(_MANY << 20) or 0)
        found = wide_regions(model, edges, limit)
        ends = {op.index: StageEnd.of(model, op.index) for op in graph.ops}
        entries = {last: entries_of(model, end, 8) for last, end in ends.items() if end}
        every = {
            last: {first: sources for first, sources in regions.items() if len(sources) > 1}
            for last, regions in entries.items()
        }
        assert 0 < sum(map(len, found.values())) < sum(map(len, every.values()))
        few = wide_edges(model, edges, limit, None, 0)
        with mock.patch("tflm_quantmcu.patches.stage_edges.wide_regions", return_value=every):
            all_edges = wide_edges(model, edges, limit, None, 0)
        least = [ExactPaths([*edges, *more], MadeStages()).least_bytes(_MANY << 20) for more in (few, all_edges)]
        assert least[0] == least[1] < limit


def test_few_splits_are_placed_however_many_branches_there_are():
    for depth in (1, 4):
        graph = read_model(_decoder(depth=depth))
        planner = StagePlanner(graph)
        with mock.patch.object(network_cost, "place_best", wraps=network_cost.place_best) as placed:
            assert planner.smaller(planner.baseline_arena_bytes)
        assert placed.call_count <= 3 * max(2, 400 // len(graph.ops)) + 1
