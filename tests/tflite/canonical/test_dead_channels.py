"""Channels that are constant go, with TFLM's bytes, whatever their constant, the padding and the stride are."""

from __future__ import annotations

import copy
import tracemalloc

import numpy as np
import pytest

from tests.random_networks.generator import random_network
from tests.support.edit_model import StockModel, edited
from tests.support.tiny_models import Handle, TinyModel
from tests.tflite.canonical.test_reshapes import assert_same_function
from tflm_quantmcu.lowering.channel_ranges import channel_ranges
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.canonical.canonical import canonical
from tflm_quantmcu.tflite.canonical.dead_channels import drop_dead_channels
from tflm_quantmcu.tflite.model_file import ModelFile


def dead_conv(net: TinyModel, x: Handle, constant: int, *, zero_point: int, dead: int = 3, **options: object) -> Handle:
    """Eight channels, of which the first ones have zero weights and, of their bias, about this value."""
    rng = np.random.default_rng(dead)
    weights = rng.integers(-127, 128, (8, 3, 3, x.shape[3]), dtype=np.int8)
    bias = rng.integers(-500, 500, 8, dtype=np.int32)
    weights[:dead], bias[:dead] = 0, round((constant - zero_point) * 0.1 / (x.scale * 0.01))
    return net.conv2d(x, weights, bias, scale=0.1, zero_point=zero_point, **options)  # type: ignore[arg-type]


def live_conv(net: TinyModel, x: Handle, *, kernel: int = 3, **options: object) -> Handle:
    weights = np.random.default_rng(1).integers(-127, 128, (4, kernel, kernel, x.shape[3]), dtype=np.int8)
    return net.conv2d(x, weights, scale=0.2, zero_point=5, **options)  # type: ignore[arg-type]


def channels(model: ModelFile) -> list[int]:
    return [model.graph.tensors[op.outputs[0]].shape[-1] for op in model.graph.ops]


@pytest.mark.parametrize(
    ("constant", "padding", "kernel", "is_dropped"),
    [(40, "VALID", 3, True), (40, "SAME", 3, False), (-7, "SAME", 3, True), (40, "SAME", 1, True)],
)
def test_channels_go_where_no_padding_is_read_or_it_has_their_value(constant, padding, kernel, is_dropped):
    net = TinyModel()
    x = dead_conv(net, net.input((1, 9, 8, 3), zero_point=4), constant, zero_point=-7)
    model = ModelFile(net.build(live_conv(net, x, kernel=kernel, padding=padding)))
    low, high = channel_ranges(model.graph)[x.index]
    assert (low == high).tolist() == [True] * 3 + [False] * 5 and low[0] == constant
    found = canonical(model)
    assert channels(found) == ([5, 4] if is_dropped else [8, 4])
    assert_same_function(model, found)


def test_they_go_through_depthwise_convolutions_sums_and_pools():
    net = TinyModel()
    x = dead_conv(net, net.input((1, 12, 12, 3)), -7, zero_point=-7)
    taps = np.random.default_rng(2).integers(-127, 128, (3, 3, 8), dtype=np.int8)
    y = net.depthwise_conv2d(x, taps, scale=0.1, zero_point=-7)
    y = net.max_pool2d(net.add(x, y, scale=0.2, zero_point=-7), (2, 2), stride=(2, 2))
    model = ModelFile(net.build(live_conv(net, net.relu(y, scale=0.2, zero_point=-7))))
    found = canonical(model)
    assert channels(found) == [5, 5, 5, 5, 5, 4]
    assert_same_function(model, found)


def test_channels_that_a_clamp_keeps_constant_go():
    net = TinyModel()
    x = net.input((1, 9, 9, 2), scale=0.01)
    weights, bias = np.ones((3, 1, 1, 2), np.int8), np.array([10**6, 0, -(10**6)], np.int32)
    y = net.conv2d(x, weights, bias, filter_scales=[0.01], activation="RELU6", scale=6 / 255, zero_point=-128)
    model = ModelFile(net.build(live_conv(net, y, kernel=1)))
    assert channels(canonical(model)) == [1, 4]
    assert_same_function(model, canonical(model))


def test_a_word_of_channels_is_filled_up_where_that_takes_few():
    net = TinyModel()
    rng = np.random.default_rng(3)
    weights, bias = rng.integers(-127, 128, (32, 1, 1, 3), dtype=np.int8), np.full(32, 100, np.int32)
    weights[[0, 4, 5, 20, 31]] = 0
    x = net.conv2d(net.input((1, 5, 5, 3)), weights, bias, scale=0.1)
    model = ModelFile(net.build(live_conv(net, x, kernel=1)))
    assert channels(canonical(model)) == [28, 4]  # 27 live ones and the first dead one
    assert_same_function(model, canonical(model))


def test_outputs_and_maps_of_other_ops_keep_their_channels():
    net = TinyModel()
    x = dead_conv(net, net.input((1, 9, 8, 3)), -7, zero_point=-7)
    model = ModelFile(net.build(live_conv(net, x), net.softmax(x)))
    assert drop_dead_channels(model) is None


def test_a_bias_that_would_leave_int32_stays():
    net = TinyModel()
    x = dead_conv(net, net.input((1, 9, 8, 3)), 120, zero_point=-128)
    weights = np.full((4, 1, 1, 8), 127, np.int8)
    near = np.full(4, 2**31 - 1000, np.int32)
    model = ModelFile(net.build(net.conv2d(x, weights, near, scale=0.2)))
    assert drop_dead_channels(model) is None


@pytest.mark.parametrize("seed", range(24))
def test_random_networks_keep_their_bytes(seed):
    model = ModelFile(random_network(seed))
    assert_same_function(model, canonical(model))


def test_ops_without_inputs_and_maps_of_endless_channels_take_no_memory():
    net = StockModel()
    data = net.build(net.relu(net.input((1, 1, 1, 8))))

    def edit(tree: schema.ModelT) -> None:
        graph = tree.subgraphs[0]
        for tensor in graph.tensors:
            tensor.shape = [1, 1, 1, 2**30]
        tree.operatorCodes.append(schema.OperatorCodeT(builtinCode=32, deprecatedBuiltinCode=32, customCode=b"theirs"))
        graph.tensors.append(copy.copy(graph.tensors[0]))
        theirs = schema.OperatorT(opcodeIndex=1, inputs=[], outputs=[len(graph.tensors) - 1])
        graph.operators.append(theirs)

    tracemalloc.start()
    channel_ranges(ModelFile(edited(data, edit)).graph)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 24
