"""Programs: encoded and decoded without loss, malformed ones refused, scratch and cost as counted by hand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.support.networks import inverted_residual
from tests.support.plans import front_stage
from tests.support.tiny_models import TinyModel
from tflm_quantmcu.base.errors import UnsupportedModelError, UsageError
from tflm_quantmcu.graph.precision_plan import PatchClass
from tflm_quantmcu.graph.types import Format
from tflm_quantmcu.stage import tiles
from tflm_quantmcu.stage.build import build_program
from tflm_quantmcu.stage.geometry import stage_ops
from tflm_quantmcu.stage.program import StageProgram
from tflm_quantmcu.tflite.reader import read_model


def _plan(graph, **changes):
    return dataclasses.replace(front_stage(graph), **changes)


@pytest.fixture(scope="module")
def graph():
    return read_model(inverted_residual())


@pytest.fixture(scope="module")
def mixed(graph):
    plan = _plan(graph)
    source, target = (graph.by_name[n].index for n in (plan.input, plan.output))
    inner = [graph.tensors[op.outputs[0]].name for op in stage_ops(graph, (source,), target)][:-1]
    narrow = PatchClass("ordinary", {name: Format(4, 0.5, -8) for name in inner})
    grid = tuple(tuple((r + c) % 2 for c in range(len(row))) for r, row in enumerate(plan.patch_classes))
    mixed = dataclasses.replace(plan, classes=(PatchClass("outlier", {}), narrow), patch_classes=grid)
    return build_program(graph, mixed, weight_bits={}, formats={})


def test_decode_inverts_encode(mixed) -> None:
    options, filters, words = mixed.encode()
    again = StageProgram.decode(options, filters, words)
    assert again.encode()[0] == options
    assert np.array_equal(again.encode()[1], filters) and np.array_equal(again.encode()[2], words)
    assert (again.shapes, again.formats, again.patch_classes) == (mixed.shapes, mixed.formats, mixed.patch_classes)


@pytest.mark.parametrize(("width", "primed"), [(5, tiles.PRIMED), (12, tiles.ROWS_PRIMED)])
def test_a_tile_of_all_columns_has_no_tile_before_it(graph, width: int, primed: int) -> None:
    front = front_stage(graph)
    wide = graph.by_name[front.output].shape[2]
    assert wide == 12
    grid = ((0,) * -(-wide // width),) * wide
    changes = {"tile_height": 1, "tile_width": width, "patch_classes": grid, "cache_mode": "full", "primed": True}
    program = build_program(graph, _plan(graph, **changes), weight_bits={}, formats={})
    assert program.primed == primed and program.num_priming[0] > 0
    is_first = primed == tiles.ROWS_PRIMED
    assert (program.num_priming[1] == 0) == is_first
    assert any(cache.left_columns for cache in program.caches) != is_first
    assert StageProgram.decode(*program.encode()).encode()[0] == program.encode()[0]


def test_priming_that_we_do_not_know_is_refused(mixed) -> None:
    options, filters, words = mixed.encode()
    with pytest.raises(UsageError, match="primed is 3; supported are 0 to 2"):
        StageProgram.decode({**options, "primed": 3}, filters, words)


def test_classes_share_equal_tables(graph, mixed) -> None:
    plan = _plan(graph)
    one = build_program(graph, plan, weight_bits={}, formats={})
    twice = dataclasses.replace(one, formats=one.formats * 2, tables=one.tables * 2)
    extra = twice.encode()[2].size - one.encode()[2].size
    assert extra == 6 * len(one.shapes) + len(one.ops)


def test_narrow_maps_cost_fewer_bit_ops_and_less_scratch(graph, mixed) -> None:
    wide = build_program(graph, _plan(graph), weight_bits={}, formats={})
    assert mixed.cost.macs == wide.cost.macs
    assert mixed.cost.bit_ops < wide.cost.bit_ops == 64 * wide.cost.macs
    narrow_end, wide_end = (max(f.scratch_offset + f.scratch_bytes for f in c) for c in reversed(mixed.formats))
    assert narrow_end < wide_end == mixed.scratch_bytes


@pytest.mark.parametrize("change", [{"version": 1}, {"num_ops": 99}, {"num_maps": 40}])
def test_decode_refuses_what_does_not_fit(mixed, change) -> None:
    options, filters, words = mixed.encode()
    with pytest.raises(UsageError):
        StageProgram.decode({**options, **change}, filters, words)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"tile_height": 0}, "tile height is 0"),
        ({"tile_width": 99}, "tile width is 99"),
        ({"patch_classes": ((0,),)}, "patch classes are not"),
        ({"cache_mode": "most"}, "cache mode is 'most'"),
        ({"input": "nobody"}, "tensor 'nobody'"),
    ],
)
def test_plans_that_do_not_fit_are_refused(graph, changes, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build_program(graph, _plan(graph, **changes), weight_bits={}, formats={})


def test_a_region_with_a_second_exit_is_refused() -> None:
    net = TinyModel()
    x = net.input((1, 8, 8, 2))
    y = net.max_pool2d(x, (2, 2))
    z = net.max_pool2d(y, (2, 2))
    graph = read_model(net.build(z, y))
    with pytest.raises(UnsupportedModelError, match="read outside"):
        stage_ops(graph, graph.inputs, graph.outputs[0])


def test_an_unknown_op_in_a_stage_is_named(graph) -> None:
    names = [graph.tensors[op.outputs[0]].name for op in graph.ops if op.kind in ("CONV_2D", "SOFTMAX")]
    plan = _plan(graph, output=names[-1], tile_height=1, tile_width=1, patch_classes=((0,),))
    with pytest.raises(UnsupportedModelError, match="SOFTMAX|RESHAPE|FULLY_CONNECTED"):
        build_program(graph, plan, weight_bits={}, formats={})
