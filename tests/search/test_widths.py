"""Which weights may have fewer than 8 bits."""

from __future__ import annotations

import pytest

import tflm_quantmcu as qm
from tests.support.networks import flattened
from tflm_quantmcu.runtime.samples import random_samples
from tflm_quantmcu.search.widths import free_weights
from tflm_quantmcu.tflite.reader import read_model


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
