"""Gates: the published formulas by hand, the noise, the rule of test time, and what gradients reach."""

from __future__ import annotations

import numpy as np
import pytest

from tflm_quantmcu.graph.types import Format
from tflm_quantmcu.keras_bridge.to_tflite import keras, tf
from tflm_quantmcu.search.gates import (
    GatedKernel,
    GatedLayer,
    GatedMap,
    Gates,
    bit_ops_regulariser,
    chosen_width,
    cycles_regulariser,
    open_probabilities,
    sample_gates,
)

WIDTHS = (2, 4, 8)
FORMATS = (Format(2, 1.0, -2), Format(4, 0.25, -8), Format(8, 1 / 64, -128))
X = np.array([[0.1, 0.45, 1.3, 3.2, 2.0]], np.float32)
ALWAYS, NEVER = 50.0, -50.0


def _gates(logits, widths=WIDTHS, seed: int = 0) -> Gates:
    gates = Gates(widths, seed=seed)
    gates.logits.assign(np.array(logits, np.float32))
    return gates


def _held(x: np.ndarray, format: Format) -> np.ndarray:
    q = np.clip(np.floor(x / format.scale + 0.5) + format.zero_point, format.qmin, format.qmax)
    return (q - format.zero_point) * format.scale


def test_gates_follow_the_formula():
    u, logits = np.array([0.2, 0.5, 0.9]), np.array([-0.4, 0.1, 0.3])
    z = 1 / (1 + np.exp(-(np.log(u / (1 - u)) + logits) / 0.5)) * 1.2 - 0.1
    assert np.allclose(sample_gates(logits.astype(np.float32), u), np.clip(z, 0, 1), atol=1e-6)
    ends = np.asarray(sample_gates(np.float32(0), np.array([0.0, 1.0], np.float32)))
    assert ends.tolist() == [0, 1]


@pytest.mark.parametrize("logit", (-2.0, 0.0, 1.0))
def test_a_gate_is_above_0_as_often_as_its_probability_says(logit):
    u = np.random.default_rng(1).uniform(size=40_000).astype(np.float32)
    share = float(np.mean(np.asarray(sample_gates(np.float32(logit), u)) > 0))
    assert abs(share - float(open_probabilities(np.float32(logit)))) < 0.01
    assert np.isclose(float(open_probabilities(np.float32(2.0))), 1 / (1 + np.exp(-(2 + 0.5 * np.log(11)))))


def test_the_width_is_that_of_the_last_gate_before_the_first_closed_one():
    edge = -0.5 * np.log(11) + np.log(0.66 / 0.34)  # where P(z = 0) is 0.34
    is_open, is_closed = edge + 0.01, edge - 0.01
    for logits, expected in (
        ((is_open, is_open), 8),
        ((is_open, is_closed), 4),
        ((is_closed, is_open), 2),
        ((is_closed, is_closed), 2),
    ):
        assert chosen_width(np.array(logits), WIDTHS) == expected
    assert chosen_width(np.array([]), (8,)) == 8


@pytest.mark.parametrize("logits, chosen", (((NEVER, ALWAYS), 0), ((ALWAYS, NEVER), 1), ((ALWAYS, ALWAYS), 2)))
def test_a_map_has_the_values_of_its_width(logits, chosen):
    found = GatedMap(_gates(logits), FORMATS)(X)
    assert np.allclose(found, _held(X, FORMATS[chosen]), atol=1e-6)


def test_a_map_of_one_width_is_held_to_it():
    assert np.allclose(GatedMap(_gates([], (4,)), FORMATS[1:2])(X), _held(X, FORMATS[1]), atol=1e-6)


def test_each_sample_has_noise_of_its_own_and_seeds_decide_it():
    x = np.repeat(X, 64, axis=0)
    found = np.asarray(GatedMap(_gates((0.0, 0.0), seed=3), FORMATS)(x))
    assert len(np.unique(found, axis=0)) > 30
    assert np.array_equal(found, GatedMap(_gates((0.0, 0.0), seed=3), FORMATS)(x))
    assert not np.array_equal(found, GatedMap(_gates((0.0, 0.0), seed=4), FORMATS)(x))


def test_gradients_pass_straight_through_within_the_widest_range():
    x = tf.Variable([[-0.5, 0.3, 1.6, 3.9, 4.5]])
    layer = GatedMap(_gates((NEVER, NEVER)), FORMATS)
    with tf.GradientTape() as tape:
        y = tf.reduce_sum(layer(x))
    assert tape.gradient(y, x).numpy().tolist() == [[0, 1, 1, 1, 0]]  # 8 bits hold 0 to 255 / 64


def test_gradients_tell_gates_what_their_width_is_worth():
    """Nearer to x with more bits: opening lowers the error, the first gate more than the second."""
    gates = _gates((0.2, 0.2))
    layer, x = GatedMap(gates, FORMATS), np.repeat(X, 512, axis=0)
    with tf.GradientTape() as tape:
        loss = tf.reduce_mean(tf.square(layer(x) - x))
    first, second = tape.gradient(loss, gates.logits.value).numpy()
    assert first < second < 0


def test_a_kernel_has_the_values_of_its_width_and_its_layer_is_not_trained():
    layer = keras.layers.Dense(2)
    layer.build((None, 3))
    bias = np.array([0.5, -1.0], np.float32)
    layer.set_weights([np.zeros((3, 2)), bias])
    kernels = [np.full((3, 2), value, np.float32) for value in (1.0, 2.0, 4.0)]
    x = np.array([[1.0, 2.0, 3.0]], np.float32)
    for logits, value in (((NEVER, NEVER), 1.0), ((ALWAYS, NEVER), 2.0), ((ALWAYS, ALWAYS), 4.0)):
        gated = GatedKernel(_gates(logits), layer, kernels)
        assert np.allclose(gated(x), 6 * value + bias)
    assert [v.name for v in gated.trainable_variables] == ["logits"]


def _q(*logits: float) -> list[float]:
    return [1 / (1 + np.exp(-(logit + 0.5 * np.log(11)))) for logit in logits]


def test_the_bit_ops_regulariser_is_the_published_sum():
    kernel, map = _gates((0.5, -1.0)), _gates((1.0, 0.0))
    layers = [GatedLayer(300, None, kernel, {}), GatedLayer(100, map, kernel, {})]
    (a, b), (c, d) = _q(0.5, -1.0), _q(1.0, 0.0)
    of_kernel, of_map = a * 4 + a * b * 8, c * 4 + c * d * 8
    assert np.isclose(float(bit_ops_regulariser(layers)), of_kernel + (of_map + of_kernel) / 3)


def test_the_cycles_regulariser_is_what_widths_cost_above_the_best():
    kernel, map = _gates((0.5,), (4, 8)), _gates((1.0,), (4, 8))
    slow = {(8, 4): 400.0, (8, 8): 300.0}
    mixed = {(4, 4): 100.0, (4, 8): 150.0, (8, 4): 200.0, (8, 8): 120.0}
    (w,), (a,) = _q(0.5), _q(1.0)
    expected = (1 - w) * 100 + (1 - a) * w * 50 + a * (1 - w) * 100 + a * w * 20
    found = cycles_regulariser([GatedLayer(9, None, kernel, slow), GatedLayer(1, map, kernel, mixed)])
    assert np.isclose(float(found), expected / 400)


def test_probabilities_of_all_widths_sum_to_1():
    shares = {bits: float(p) for bits, p in _gates((0.5, -1.0)).probabilities().items()}
    a, b = _q(0.5, -1.0)
    assert np.allclose(list(shares.values()), [1 - a, a * (1 - b), a * b])
    assert list(shares) == list(WIDTHS)
