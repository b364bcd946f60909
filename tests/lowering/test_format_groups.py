"""Groups of maps with one format: united by moves and pools, kept by the model's ends and by fixed outputs."""

from __future__ import annotations

import dataclasses

import numpy as np

from tests.support.tiny_models import Handle, TinyModel
from tflm_quantmcu.lowering.format_groups import free_groups
from tflm_quantmcu.tflite.reader import read_model

FILTER = np.ones((4, 1, 1, 4), np.int8)


def _groups(model: TinyModel, *outputs: Handle) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    return [(g.tensors, g.computed) for g in free_groups(read_model(model.build(*outputs)))]


def test_computed_maps_stand_alone_and_ends_keep_their_formats():
    model = TinyModel()
    x = model.input((1, 4, 4, 4))
    y = model.conv2d(x, FILTER, scale=0.1)
    z = model.add(x, y, scale=0.2)
    assert _groups(model, model.conv2d(z, FILTER, scale=0.3)) == [((y.index,), (y.index,)), ((z.index,), (z.index,))]


def test_moves_and_pools_share_the_format_of_what_they_read():
    model = TinyModel()
    y = model.conv2d(model.input((1, 4, 4, 4)), FILTER, scale=0.1)
    pooled = model.max_pool2d(y, (2, 2))
    padded = model.pad(pooled, ((0, 0), (1, 1), (1, 1), (0, 0)))
    z = model.conv2d(padded, FILTER, scale=0.3)
    assert _groups(model, z) == [((y.index, pooled.index, padded.index), (y.index,))]


def test_concatenated_maps_share_one_format():
    model = TinyModel()
    x = model.input((1, 4, 4, 4))
    a, b = (model.conv2d(x, FILTER, scale=0.1) for _ in range(2))
    joined = model.concatenation([a, b], 3)
    z = model.conv2d(joined, np.ones((4, 1, 1, 8), np.int8), scale=0.3)
    assert _groups(model, z) == [((a.index, b.index, joined.index), (a.index, b.index))]


def test_what_shares_with_an_end_a_constant_or_a_fixed_output_is_kept():
    model = TinyModel()
    x = model.input((1, 4, 4, 4))
    own = model.max_pool2d(x, (2, 2))
    read_by_logistic = model.conv2d(own, FILTER, scale=0.1)
    gate = model.logistic(read_by_logistic)
    filled = model.pad(model.conv2d(gate, FILTER, scale=0.1), ((0, 0), (1, 1), (1, 1), (0, 0)), value=3)
    last = model.conv2d(filled, FILTER, scale=0.4)
    groups = _groups(model, model.max_pool2d(last, (2, 2)))
    assert groups == [((read_by_logistic.index,), (read_by_logistic.index,))]


def test_maps_that_should_share_but_do_not_are_kept():
    model = TinyModel()
    y = model.conv2d(model.input((1, 4, 4, 4)), FILTER, scale=0.1)
    flat = model.reshape(y, (1, 64), scale=0.2)
    z = model.fully_connected(flat, np.ones((3, 64), np.int8), scale=0.3)
    assert _groups(model, z) == []


def test_unknown_ops_keep_what_they_touch():
    model = TinyModel()
    y = model.conv2d(model.input((1, 4, 4, 4)), FILTER, activation="RELU", scale=0.1)
    data = model.build(model.conv2d(model.relu6(y), FILTER, scale=0.2))
    graph = read_model(data)
    assert [g.tensors for g in free_groups(graph)] == [(y.index, y.index + 1)]
    unknown = [dataclasses.replace(op, kind="CUMSUM") if op.kind == "RELU6" else op for op in graph.ops]
    assert free_groups(dataclasses.replace(graph, ops=tuple(unknown))) == ()
