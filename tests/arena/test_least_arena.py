"""The least arena that is predicted for this host is the least one in which the real TFLM prepares the model."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.support import networks, shared_data
from tests.support.detection import detection_network
from tests.support.least_arena import least_arena
from tests.support.plans import mixed, split
from tests.support.tiny_models import TinyModel
from tflm_quantmcu.arena.machine import CORTEX_M, HOST
from tflm_quantmcu.arena.persistent import replay_allocation
from tflm_quantmcu.arena.predict import predict_arena
from tflm_quantmcu.converter.convert import convert_model
from tflm_quantmcu.tflite.reader import read_model


def activations() -> bytes:
    net = TinyModel()
    return net.build(net.tanh(net.elu(net.input((1, 4, 4, 2)))))


def many_small_ops() -> bytes:
    """The planner's tables take more than the maps that it plans."""
    net = TinyModel()
    x = net.input((1, 2, 2, 1))
    for _ in range(6):
        x = net.conv2d(x, np.ones((1, 1, 1, 1), np.int8))
    return net.build(x)


def many_channels() -> bytes:
    """The temporary tensors of one convolution take more than all that follows."""
    net = TinyModel()
    filter = np.ones((512, 1, 1, 2), np.int8)
    return net.build(net.conv2d(net.input((1, 1, 1, 2)), filter, filter_scales=[0.01] * 512))


MODELS: dict[str, Callable[[], bytes]] = {
    "activations": activations,
    "detection": detection_network,
    "inverted residual": networks.inverted_residual,
    "many channels": many_channels,
    "many small ops": many_small_ops,
}


def assert_least(model: bytes) -> None:
    found = replay_allocation(read_model(model), HOST)
    assert found.is_exact
    assert least_arena(model, at_most=2 * found.needed_bytes) == found.needed_bytes


@pytest.mark.parametrize("name", MODELS)
def test_tiny_models(name: str) -> None:
    assert_least(MODELS[name]())


@pytest.mark.parametrize("name", [*shared_data.CONVOLUTIONAL, "ad01_int8", "hello_world_int8"])
def test_real_models(name: str) -> None:
    assert_least(shared_data.model(name))


@pytest.mark.parametrize("name", shared_data.CONVOLUTIONAL)
def test_real_models_in_patches(name: str) -> None:
    model = shared_data.model(name)
    assert_least(convert_model(model, split(read_model(model))))


@pytest.mark.parametrize("seed", range(3))
def test_all_of_our_ops(seed: int) -> None:
    model = networks.inverted_residual(seed)
    assert_least(convert_model(model, mixed(read_model(model), seed)))


@pytest.mark.parametrize("name", ("many channels", "many small ops"))
def test_tflm_needs_more_to_prepare_than_it_uses(name: str) -> None:
    graph = read_model(MODELS[name]())
    for machine in (HOST, CORTEX_M):
        found = replay_allocation(graph, machine)
        assert found.needed_bytes > found.persistent.total + predict_arena(graph) + 16


def test_a_core_needs_less_than_this_host() -> None:
    graph = read_model(networks.inverted_residual())
    assert replay_allocation(graph, CORTEX_M).needed_bytes < replay_allocation(graph, HOST).needed_bytes
