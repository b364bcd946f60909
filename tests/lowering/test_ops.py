"""Requantisation tables of convolutions are integer channel normalisation (ICN): the remark in law A3."""

from __future__ import annotations

import math
from fractions import Fraction

import numpy as np
import pytest

from tests.support.tiny_models import TinyModel
from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.graph.types import Format
from tflm_quantmcu.law.arithmetic import multiply, round_half_away
from tflm_quantmcu.law.ranges import requantize_weights
from tflm_quantmcu.lowering.network import LoweredNetwork
from tflm_quantmcu.lowering.regions import lower_reduction
from tflm_quantmcu.tflite.reader import read_model

OUTPUTS, INPUTS = 24, 10
INPUT, OUTPUT = Format(4, float(np.float32(0.31)), -8), Format(4, float(np.float32(0.77)), -8)
FLOAT32_STEP = 2.0**-22  # two roundings of a scale to float32


@pytest.fixture(scope="module")
def model_bytes() -> bytes:
    rng = np.random.default_rng(7)
    net = TinyModel()
    weights = rng.integers(-127, 128, (OUTPUTS, 3, 3, INPUTS), dtype=np.int8)
    bias = rng.integers(-20_000, 20_000, OUTPUTS, dtype=np.int32)
    scales = rng.uniform(0.002, 0.02, OUTPUTS).tolist()
    return net.build(net.conv2d(net.input((1, 8, 8, INPUTS)), weights, bias, filter_scales=scales, scale=0.1))


@pytest.mark.parametrize("bits", (8, 4, 2))
def test_tables_are_icn_of_the_batch_norm_before_folding(model_bytes, bits):
    graph = read_model(model_bytes)
    (op,) = graph.ops
    low = LoweredNetwork.of(graph).lower(op, weight_bits=bits)
    bias, multiplier, shift = low.requantization_table([INPUT], OUTPUT).reshape(3, OUTPUTS)

    # A convolution (kernel, b) and a batch norm that fold to just this model.
    rng = np.random.default_rng(8)
    gamma, sigma = rng.uniform(0.2, 2, OUTPUTS), rng.uniform(0.5, 3, OUTPUTS)
    beta, b = rng.normal(size=OUTPUTS), rng.normal(size=OUTPUTS)
    scales = np.asarray(graph.tensors[op.inputs[1]].scales, np.float64)
    folded = graph.tensors[op.inputs[1]].data * scales[:, None, None, None]
    folded_bias = graph.tensors[op.inputs[2]].data * graph.tensors[op.inputs[0]].scales[0] * scales
    kernel = folded * (sigma / gamma)[:, None, None, None]
    mu = b - (folded_bias - beta) * sigma / gamma

    if bits == 8:
        weights, s_w = graph.tensors[op.inputs[1]].data, scales * sigma / gamma
    else:
        weights, s_w = requantize_weights(kernel, 0, bits)
    np.testing.assert_array_equal(low.filter.values, weights)
    np.testing.assert_array_equal(bias, round_half_away((b - mu + beta * sigma / gamma) / (INPUT.scale * s_w)))
    real = gamma / sigma * INPUT.scale * s_w / OUTPUT.scale
    np.testing.assert_allclose(multiplier * 2.0 ** (shift - 31), real, rtol=FLOAT32_STEP)


def test_results_are_icn_with_rounding_to_the_nearest(model_bytes):
    graph = read_model(model_bytes)
    table = LoweredNetwork.of(graph).lower(graph.ops[0], weight_bits=4).requantization_table([INPUT], OUTPUT)
    sums = np.random.default_rng(9).integers(-3000, 3000, 500)
    for multiplier, shift in table.reshape(3, OUTPUTS)[1:].T.tolist():
        real = Fraction(multiplier, 2**31) * Fraction(2) ** shift
        second_rounding = Fraction(1, 2 ** (1 - shift)) if shift < 0 else 0
        for acc in sums.tolist():
            ours, floor = int(multiply(acc, multiplier, shift)), math.floor(real * acc)
            assert ours in (floor, floor + 1)
            assert abs(ours - real * acc) <= Fraction(1, 2) + second_rounding


@pytest.mark.parametrize(("padding", "is_reduction"), [("VALID", True), ("SAME", False)])
def test_a_pool_of_several_windows_is_no_reduction(padding, is_reduction):
    """The second window, with SAME padding, begins at the second of two columns, and no pad says so."""
    net = TinyModel()
    x = net.relu(net.input((1, 1, 2, 3)))
    graph = read_model(net.build(net.average_pool2d(x, (1, 2), padding=padding)))
    assert (lower_reduction(graph, graph.ops, {}) is not None) == is_reduction


@pytest.mark.parametrize("bits", (8, 4))
def test_a_correction_is_rounded_with_the_bias(model_bytes, bits):
    graph = read_model(model_bytes)
    low = LoweredNetwork.of(graph).lower(graph.ops[0], weight_bits=bits)
    real = np.random.default_rng(0).normal(0, 5, OUTPUTS)
    own, corrected = (
        op.requantization_table([INPUT], OUTPUT).reshape(3, OUTPUTS) for op in (low, low.corrected(real.tolist()))
    )
    np.testing.assert_array_equal(corrected[1:], own[1:])
    model_step = low.filter.model_input_scale * low.filter.model_scales.astype(np.float64)
    step = INPUT.scale * low.filter.scales.astype(np.float64)
    np.testing.assert_array_equal(corrected[0], round_half_away(low.filter.bias * (model_step / step) + real / step))
    assert (corrected[0] != own[0]).any()


def test_corrections_that_do_not_fit_are_refused(model_bytes):
    graph = read_model(model_bytes)
    low = LoweredNetwork.of(graph).lower(graph.ops[0])
    with pytest.raises(UsageError, match=f"corrects 2 biases of CONV_2D '.*', which has {OUTPUTS}"):
        low.corrected([0.5, 0.5])
