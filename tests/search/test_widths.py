"""Which weights may have fewer than 8 bits."""

from __future__ import annotations

import numpy as np
import pytest

import tflm_quantmcu as qm
from tests.support.tiny_models import TinyModel
from tflm_quantmcu.runtime.samples import random_samples
from tflm_quantmcu.search.widths import free_weights
from tflm_quantmcu.tflite.reader import read_model


def flattened(channels: int) -> bytes:
    """A convolution whose map of 16x16 pixels a fully connected op reads."""
    rng, net = np.random.default_rng(channels), TinyModel()
    weights = rng.integers(-127, 128, (channels, 3, 3, 3), dtype=np.int8)
    x = net.conv2d(net.input((1, 16, 16, 3)), weights, scale=0.5)
    filter = rng.integers(-127, 128, (4, 256 * channels), dtype=np.int8)
    return net.build(net.fully_connected(net.reshape(x, (1, 256 * channels)), filter, scale=9.0))


@pytest.mark.parametrize(("channels", "count"), [(5, 1), (6, 1), (8, 2)])
def test_weights_of_a_flattened_map_have_whole_bytes_a_pixel_or_8_bits(channels: int, count: int) -> None:
    model = flattened(channels)
    graph = read_model(model)
    assert len(free_weights(graph, "none")) == count
    x = random_samples(graph.input_tensors[0], 4)
    result = qm.convert(
        model, calibration_data=x, search="uniform", weight_bits=2, compensation="off", progress=False, n_jobs=1
    )
    assert result.plan.stages and len(result.plan.weight_bits) == count
