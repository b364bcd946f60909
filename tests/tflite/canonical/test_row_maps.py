"""Networks over time get four dimensions, fewer reshapes, and the same bytes on TFLM."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.support import networks
from tests.support.stock_tflm import run_stock
from tests.support.tiny_models import Handle, TinyModel
from tflm_quantmcu.runtime.samples import random_samples
from tflm_quantmcu.tflite.canonical.canonical import canonical
from tflm_quantmcu.tflite.model_file import ModelFile


def assert_same_function(model: ModelFile, found: ModelFile) -> None:
    """Equal bytes in tensors of equal names and shapes, on stock TFLM."""
    for before, after in ((model.graph.inputs, found.graph.inputs), (model.graph.outputs, found.graph.outputs)):
        ends = [
            [(g.tensors[t].name, g.tensors[t].shape) for t in end]
            for g, end in zip((model.graph, found.graph), (before, after), strict=True)
        ]
        assert ends[0] == ends[1]
    x = random_samples(model.graph.tensors[model.graph.inputs[0]], 6)
    for wanted, given in zip(run_stock(model.data, x), run_stock(found.data, x), strict=True):
        np.testing.assert_array_equal(given, wanted)


def kinds(model: ModelFile) -> list[str]:
    return [op.kind for op in model.graph.ops]


def convolved(net: TinyModel, x: Handle, seed: int = 0) -> Handle:
    """A Conv1D as TFLite writes it, from three dimensions to three."""
    x = net.reshape(x, (1, 1, *x.shape[1:]))
    weights = np.random.default_rng(seed).integers(-127, 128, (x.shape[3], 1, 3, x.shape[3]), dtype=np.int8)
    y = net.conv2d(x, weights, scale=0.1, zero_point=3)
    return net.reshape(y, (1, *y.shape[2:]))


@pytest.mark.parametrize("seed", range(6))
def test_a_temporal_network_keeps_one_reshape_and_its_bytes(seed):
    model = ModelFile(networks.over_time(seed, width=17 + 7 * seed, channels=4 + seed))
    found = canonical(model)
    assert kinds(found).count("RESHAPE") == 1 < kinds(model).count("RESHAPE")
    assert {len(found.graph.tensors[op.outputs[0]].shape) for op in found.graph.ops} == {2, 4}
    assert_same_function(model, found)


def test_maps_keep_their_names():
    model = ModelFile(networks.over_time())
    graph = canonical(model).graph
    new = {t.name for t in graph.tensors if not t.is_constant} - {t.name for t in model.graph.tensors}
    assert new == {f"{model.graph.tensors[model.graph.inputs[0]].name}/image"}


ROW_OPS: dict[str, Callable[[TinyModel, Handle, Handle], Handle]] = {
    "add": lambda net, x, y: net.add(x, y, scale=0.2, zero_point=1),
    "add_scalar": lambda net, x, y: net.add(x, net.constant(np.full((), 9, np.int8), scale=0.1, zero_point=2)),
    "concatenate_time": lambda net, x, y: net.concatenation([x, y], 1),
    "concatenate_channels": lambda net, x, y: net.concatenation([x, y], -1),
    "elu": lambda net, x, y: net.elu(x),
    "gate": lambda net, x, y: net.mul(x, net.logistic(y), scale=0.05, zero_point=-3),
    "leaky_relu": lambda net, x, y: net.leaky_relu(x, 0.2),
    "mul_channels": lambda net, x, y: net.mul(
        x, net.constant(np.arange(x.shape[2], dtype=np.int8), scale=0.1, zero_point=2)
    ),
    "pad_channels": lambda net, x, y: net.pad(x, ((0, 0), (1, 2), (2, 0))),
    "padv2": lambda net, x, y: net.pad(x, ((0, 0), (3, 1), (0, 0)), value=5),
    "quantize": lambda net, x, y: net.quantize(x, scale=0.3, zero_point=11),
    "relu6": lambda net, x, y: net.relu6(x),
    "tanh": lambda net, x, y: net.tanh(x),
}


@pytest.mark.parametrize("name", ROW_OPS)
@pytest.mark.parametrize("width", [1, 12])
def test_every_op_computes_the_same_on_images(name, width):
    net = TinyModel()
    source = net.input((1, width, 4))
    x = ROW_OPS[name](net, convolved(net, source), convolved(net, source, seed=1))
    model = ModelFile(net.build(convolved(net, x)))
    found = canonical(model)
    assert kinds(found).count("RESHAPE") == 2  # at the ends
    assert_same_function(model, found)


@pytest.mark.parametrize("keep_dims", [False, True])
@pytest.mark.parametrize("scale", [0.1, 0.03])
@pytest.mark.parametrize("width", [1, 7, 64, 100])
def test_means_over_time(keep_dims, scale, width):
    net = TinyModel()
    x = convolved(net, net.input((1, width, 3)))
    model = ModelFile(net.build(net.mean(x, (-2,), keep_dims=keep_dims, scale=scale, zero_point=3)))
    found = canonical(model)
    (op,) = (op for op in found.graph.ops if op.kind == "MEAN")
    assert len(found.graph.tensors[op.inputs[0]].shape) == 4
    assert_same_function(model, found)


def test_maps_that_other_ops_need_as_rows_stay_rows():
    net = TinyModel()
    x = convolved(net, net.input((1, 10, 4)))
    model = ModelFile(net.build(net.transpose(net.relu(x), (0, 2, 1)), convolved(net, net.relu(x))))
    found = canonical(model)
    assert len(found.graph.ops) <= len(model.graph.ops)
    assert_same_function(model, found)


def test_rows_beside_no_image_are_left_alone():
    net = TinyModel()
    x = net.input((1, 12, 10))
    x = net.reshape(net.relu(x), (1, 12, 10, 1))
    model = ModelFile(net.build(net.relu(x)))
    assert canonical(model) is model


def test_images_are_left_alone():
    model = ModelFile(networks.inverted_residual())
    assert canonical(model) is model
