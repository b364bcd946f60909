"""Splits as slices: the same bytes on TFLM, and no part that nothing reads."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.edit_model import StockModel
from tests.support.stock_tflm import run_stock
from tests.support.tiny_models import Handle
from tflm_quantmcu.lowering.network import LoweredNetwork
from tflm_quantmcu.runtime.samples import random_samples
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.canonical.canonical import canonical
from tflm_quantmcu.tflite.model_file import ModelFile


def split(net: StockModel, x: Handle, axis: int, sizes: list[int], *, is_v: bool) -> list[Handle]:
    wanted = net.constant(np.array(axis, np.int32))
    shapes = [tuple(n if d == axis % 4 else m for d, m in enumerate(x.shape)) for n in sizes]
    if is_v:
        inputs = [x, net.constant(np.array(sizes, np.int32)), wanted]
        first = net.stock("SPLIT_V", inputs, schema.SplitVOptionsT(numSplits=len(sizes)), shapes[0])
    else:
        options = schema.SplitOptionsT(numSplits=len(sizes))
        first = net.stock("SPLIT", [wanted, x], options, shapes[0], scale=x.scale, zero_point=x.zero_point)
    likes = [Handle(-1, shape, x.scale, x.zero_point) for shape in shapes[1:]]
    return [Handle(first.index, first.shape, x.scale, x.zero_point), *map(net.add_output, likes)]


@pytest.mark.parametrize("is_v", [False, True])
@pytest.mark.parametrize("axis", [1, 2, 3, -1])
def test_it_gives_tflms_bytes(axis: int, is_v: bool) -> None:
    net = StockModel()
    x = net.input((1, 4, 6, 8), zero_point=5)
    parts = split(net, x, axis, [x.shape[axis] // 2] * 2, is_v=is_v)
    model = ModelFile(net.build(net.add(*parts, scale=0.1, zero_point=1)))
    found = canonical(model)
    assert [op.kind for op in found.graph.ops] == ["SLICE", "SLICE", "ADD"]
    samples = random_samples(model.graph.tensors[x.index], 4)
    for before, after in zip(run_stock(model.data, samples), run_stock(found.data, samples), strict=True):
        np.testing.assert_array_equal(before, after)


def test_uneven_parts_are_a_stages_and_unread_ones_are_not_made() -> None:
    net = StockModel()
    x = net.input((1, 4, 6, 8))
    _, second, third = split(net, x, 3, [3, 1, 4], is_v=True)
    model = ModelFile(net.build(second, third))
    graph = canonical(model).graph
    assert [op.kind for op in graph.ops] == ["SLICE", "SLICE"]
    network = LoweredNetwork.of(graph)
    assert [network.lower_in_stage(op).runs for op in graph.ops] == [((3, 1),), ((4, 4),)]
