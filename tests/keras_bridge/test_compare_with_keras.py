"""The int8 model beside its Keras model: good data give no warning, data in another range one that says so."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.shared_data import path_of
from tests.support.tiny_keras import functional_cnn, samples
from tflm_quantmcu.calibration.calibration_file import load_calibration, save_calibration
from tflm_quantmcu.keras_bridge.activation_calibrator import calibrate_keras
from tflm_quantmcu.keras_bridge.compare_with_keras import compare_with_keras
from tflm_quantmcu.keras_bridge.load import load_keras
from tflm_quantmcu.keras_bridge.to_tflite import keras, keras_to_int8
from tflm_quantmcu.tflite.reader import read_model

X, _ = samples()


def _with_statistics(model: keras.Model) -> keras.Model:
    """Gives batch normalisation the statistics of X."""
    for _ in range(300):
        model(X, training=True)
    return model


@pytest.mark.parametrize("share, warns", [(1.0, False), (1 / 255, True), (255.0, True)])
def test_a_trained_normalisation_tells_inputs_in_another_range(tmp_path, recwarn, share, warns):
    model = _with_statistics(functional_cnn())
    before = model.get_weights()
    result = calibrate_keras(model, X * np.float32(share), progress=False)
    comparison = result.comparison
    assert comparison is not None and comparison.spread is not None
    assert comparison.spread.ratio == pytest.approx(share, rel=0.1 if share == 1 else 0.5)
    assert ["the range of preprocessing" in w for w in comparison.warnings] == [True] * warns
    assert [str(w.message) for w in recwarn if w.category is UserWarning] == comparison.warnings
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    assert "call" not in vars(model.get_layer(comparison.spread.layer))
    save_calibration(result, tmp_path / "c.npz")
    assert load_calibration(tmp_path / "c.npz").comparison == comparison


def test_figures_are_those_of_the_two_models():
    model = functional_cnn()  # its batch normalisation has no statistics
    converted = keras_to_int8(model, X)
    found = compare_with_keras(model, converted, X)
    assert found.spread is None and found.saturated_share == 0 and found.num_samples == len(X)
    (output,) = found.outputs
    assert (output.name, output.num_values) == ("logits", 3)
    assert 15 < output.sqnr_db < 60 and output.agreement >= 0.9
    wide = compare_with_keras(model, converted, X * 2)
    outside = np.abs(X * 2) > np.abs(X).max()
    assert wide.saturated_share == pytest.approx(outside.mean(), abs=0.05) and wide.saturated_share > 0.01
    other = functional_cnn()
    other.set_weights([w[..., ::-1] for w in model.get_weights()])
    assert "SQNR" in compare_with_keras(other, converted, X).warnings[0]


@pytest.mark.parametrize("name", ["argmax", "argmin"])
@pytest.mark.parametrize("options", [{"axis": -1}, {"axis": 1, "keepdims": True}])
def test_decisions_of_the_model_itself_are_compared_one_by_one(name, options):
    """Keras' own argmax works on bits, which TFLite does not."""
    source = keras.Input(X.shape[1:])
    normal = keras.initializers.RandomNormal(seed=3)
    scores = keras.layers.Conv2D(5, 3, padding="same", kernel_initializer=normal)(source)
    model = keras.Model(source, getattr(keras.ops, name)(scores, **options))
    own = getattr(keras.src.backend.numpy, name)
    converted = keras_to_int8(model, X)
    assert getattr(keras.src.backend.numpy, name) is own
    graph = read_model(converted)
    assert [graph.tensors[t].dtype for t in graph.outputs] == ["int32"]
    (output,) = compare_with_keras(model, converted, X).outputs
    assert output.agreement > 0.9 and output.sqnr_db is None


def test_an_output_of_all_samples_together_is_one_of_each():
    source = keras.Input(X.shape[1:])
    model = keras.Model(source, [keras.ops.mean(source), keras.ops.max(source, axis=0)])
    outputs = compare_with_keras(model, keras_to_int8(model, X), X).outputs
    assert sorted(output.num_values for output in outputs) == [1, X[0].size]
    assert all(output.sqnr_db > 20 for output in outputs)


def test_several_outputs_are_found_by_what_they_hold():
    x = keras.Input((4,), name="x")
    model = keras.Model(x, {name: keras.layers.Dense(3, name=f"{name}_layer")(x) for name in ("b", "a")})
    data = np.random.default_rng(1).normal(size=(20, 4)).astype(np.float32)
    found = compare_with_keras(model, keras_to_int8(model, data), data)
    assert len(found.outputs) == 2 and all(output.sqnr_db > 20 for output in found.outputs)


@pytest.mark.parametrize("divisor, warns", [(1, False), (255, True)])
def test_a_real_network_that_takes_0_to_255(divisor, warns):
    x = np.load(path_of("samples/cifar10_train_500.npz"))["x"][:32].astype(np.float32) / divisor
    model = load_keras(path_of("models/ic_resnet8.h5"))
    comparison = compare_with_keras(model, keras_to_int8(model, x), x)
    assert ["range of preprocessing" in sentence for sentence in comparison.warnings] == [True] * warns
