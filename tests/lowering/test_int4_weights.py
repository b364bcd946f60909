"""INT4 filters run on our kernels at 4 bits, with the file's own values and stock TFLM's bytes."""

from __future__ import annotations

import numpy as np
import pytest

import tflm_quantmcu as qm
from tests.support.edit_model import with_int4_weights
from tests.support.tiny_models import TinyModel
from tflm_quantmcu.arena.predict import converted_scratch_bytes, op_scratch_bytes
from tflm_quantmcu.law.packing import run_bytes
from tflm_quantmcu.lowering.network import LoweredNetwork
from tflm_quantmcu.runtime.samples import random_samples
from tflm_quantmcu.stage.custom_ops import PATCH_STAGE, PREFIX
from tflm_quantmcu.tflite.reader import read_model


def network(seed: int, *, size: int = 24, channels: int = 5) -> bytes:
    """Convolution, depthwise convolution, 1x1 convolution, classifier, all filters INT4; odd channels leave gaps."""
    rng = np.random.default_rng(seed)
    net = TinyModel()

    def weights(*shape: int) -> np.ndarray:
        return rng.integers(-8, 8, shape, dtype=np.int8)

    def scales(count: int) -> list[float]:
        return [float(s) for s in rng.uniform(0.02, 0.1, count)]

    x = net.conv2d(net.input((1, size, size, 3)), weights(channels, 3, 3, 3), filter_scales=scales(channels), scale=0.3)
    x = net.depthwise_conv2d(x, weights(3, 3, channels), filter_scales=scales(channels), scale=0.3, zero_point=4)
    x = net.conv2d(x, weights(7, 1, 1, channels), filter_scales=scales(7), scale=0.3, stride=(2, 2))
    x = net.mean(x, scale=0.1)
    model = net.build(net.fully_connected(x, weights(3, 7), filter_scales=scales(1), scale=0.2))
    graph = read_model(model)
    return with_int4_weights(model, [op.inputs[1] for op in graph.ops if op.traits.has_filter])


@pytest.mark.parametrize("seed", range(4))
def test_outputs_equal_stock_tflm(seed):
    model = network(seed, size=16 + 3 * seed, channels=4 + seed)
    result = qm.convert(model, search="uniform", max_slowdown=2.0, progress=False)  # they are small
    assert result.report.verification.is_same_function
    assert PATCH_STAGE in {op.kind for op in read_model(result.model).ops}
    before, after = result.report.baseline, result.report.converted
    assert after.recorded_non_persistent_bytes < before.recorded_non_persistent_bytes


def test_filters_keep_their_values_at_four_bits_and_take_no_scratch():
    graph = read_model(network(0))
    lowered = [LoweredNetwork.of(graph).lower(op).filter for op in graph.ops if op.traits.has_filter]
    for op, filter in zip([op for op in graph.ops if op.traits.has_filter], lowered, strict=True):
        weights = graph.tensors[op.inputs[1]]
        assert filter is not None and filter.bits == 4
        np.testing.assert_array_equal(filter.values.ravel(), weights.data.ravel())
        assert filter.scales.tolist() == [np.float32(s) for s in weights.scales]
        assert op_scratch_bytes(graph, op) == (weights.num_elements,)
        assert converted_scratch_bytes(graph, op) == ()


def test_ops_outside_stages_become_ours_with_packed_filters():
    net = TinyModel()
    weights = np.random.default_rng(1).integers(-8, 8, (4, 1, 1, 6), dtype=np.int8)
    model = net.build(net.conv2d(net.input((1, 2, 2, 6)), weights, scale=0.3))
    model = with_int4_weights(model, [read_model(model).ops[0].inputs[1]])
    result = qm.convert(model, search="uniform", progress=False)
    graph = read_model(result.model)
    (op,) = graph.ops
    assert op.kind == f"{PREFIX}CONV_2D" and result.report.verification.is_same_function
    assert graph.tensors[op.inputs[1]].num_bytes == 4 * run_bytes(6, 4)


@pytest.mark.parametrize("widths", [{"activation_bits": 4}, {"activation_bits": 4, "weight_bits": 2}])
def test_lower_widths_equal_the_oracle(widths):
    model = network(2)
    samples = random_samples(read_model(model).tensors[0], 8)
    result = qm.convert(model, calibration_data=samples, search="uniform", progress=False, **widths)
    assert result.report.verification.num_maps > 0
    if "weight_bits" not in widths:
        assert not result.plan.rounded_weights
