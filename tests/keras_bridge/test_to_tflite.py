"""Real Keras models become full-integer `.tflite` files: the same bytes each time, and without a word."""

from __future__ import annotations

import json

import h5py
import numpy as np
import pytest

from tests.support.shared_data import path_of
from tests.support.tiny_keras import (
    SHAPE,
    SubclassedCnn,
    SubclassedTrainer,
    TrainsUnlessTold,
    functional_cnn,
    samples,
)
from tflm_quantmcu.base.errors import UnsupportedModelError, UsageError
from tflm_quantmcu.keras_bridge.to_tflite import check_representative_data, keras, keras_to_int8, load_keras
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.tflite.reader import read_model, require_full_integer

X, _ = samples()
# Largest difference to Keras, as a share of the outputs' range: 8-bit maps and weights.
INT8_LOSS = 0.05


def _assert_close_to_keras(model: keras.Model, converted: bytes) -> None:
    expected = model.predict(X, verbose=0)
    difference = np.abs(Interpreter(converted).predict(X) - expected).max()
    assert difference <= INT8_LOSS * np.ptp(expected)


def test_a_functional_model_becomes_static_int8_without_a_word(capfd):
    model = functional_cnn()
    capfd.readouterr()
    converted = keras_to_int8(model, X)
    assert capfd.readouterr() == ("", "")
    assert keras_to_int8(model, X) == converted
    graph = read_model(converted)
    require_full_integer(graph)
    assert graph.tensors[graph.inputs[0]].shape == (1, *SHAPE)
    assert "image" in graph.tensors[graph.inputs[0]].name
    assert not {"SHAPE", "STRIDED_SLICE", "PACK"} & {op.kind for op in graph.ops}
    _assert_close_to_keras(model, converted)


def test_open_sizes_take_those_of_the_data():
    model = functional_cnn((None, None, 2))
    converted = keras_to_int8(model, X)
    graph = read_model(converted)
    assert graph.tensors[graph.inputs[0]].shape == (1, *SHAPE)
    _assert_close_to_keras(model, converted)


def test_subclassed_models_convert_once_they_are_built():
    model = SubclassedCnn()
    model(X[:1])
    _assert_close_to_keras(model, keras_to_int8(model, X))


def _nested(*layers: keras.layers.Layer) -> keras.Model:
    """Layers in front of a network, as a model within a model."""
    x = keras.Input(SHAPE)
    front = keras.Sequential([keras.Input(SHAPE), *layers])
    return keras.Model(x, functional_cnn()(front(x)))


@pytest.mark.parametrize("make", [lambda: _nested(TrainsUnlessTold()), SubclassedTrainer])
def test_layers_compute_what_predict_does_though_training_be_their_default(make):
    keras.utils.set_random_seed(5)
    model = make()
    trained = model(X, training=True)
    expected = model.predict(X, verbose=0)
    assert np.abs(trained - expected).max() > 2 * INT8_LOSS * np.ptp(expected)
    _assert_close_to_keras(model, keras_to_int8(model, X))


def test_random_augmentation_leaves_no_op():
    layers = keras.layers
    augmented = _nested(
        layers.RandomFlip(), layers.RandomRotation(0.1), layers.RandomZoom(0.1), layers.GaussianNoise(1.0)
    )
    converted = keras_to_int8(augmented, X)
    kinds = [[op.kind for op in read_model(m).ops] for m in (converted, keras_to_int8(functional_cnn(), X))]
    assert kinds[0] == kinds[1]
    _assert_close_to_keras(augmented, converted)


@pytest.mark.parametrize("input_type", ["uint8", "float32"])
def test_other_input_types(input_type):
    graph = read_model(keras_to_int8(functional_cnn(), X[:4], input_type=input_type))
    ends = [graph.tensors[t].dtype for t in (*graph.inputs, *graph.outputs)]
    assert ends == [input_type, input_type]


@pytest.mark.parametrize(
    "data, sentence",
    [
        (X[:, :5], r"representative_data has shape \(24, 5, 6, 2\); the model needs \[N, 8, 6, 2\]"),
        (X[..., 0], r"representative_data has shape \(24, 8, 6\)"),
        (X[:0], "representative_data is empty"),
        (X * np.nan, "representative_data has .* not finite"),
        (X.astype(int), "representative_data is int64; supported is float32"),
        ("x.npz", "representative_data has shape"),
    ],
)
def test_data_that_do_not_fit_are_refused(data, sentence):
    with pytest.raises(UsageError, match=sentence):
        check_representative_data(functional_cnn(), data)


def test_several_inputs_and_unknown_types_are_refused():
    inputs = [keras.Input(SHAPE), keras.Input(SHAPE)]
    model = keras.Model(inputs, keras.layers.add(inputs), name="two")
    with pytest.raises(UnsupportedModelError, match="the Keras model 'two' has 2 inputs; supported is 1"):
        keras_to_int8(model, X)
    with pytest.raises(UsageError, match="input_type is int16; supported are int8, uint8, float32"):
        keras_to_int8(functional_cnn(), X, input_type="int16")


def test_ops_that_tflite_lacks_are_named_in_one_line():
    x = keras.Input((4, 4))
    model = keras.Model(x, keras.ops.linalg.cholesky(x), name="exotic")
    data = np.tile(np.eye(4, dtype=np.float32), (2, 1, 1))
    with pytest.raises(UnsupportedModelError, match="the Keras model 'exotic' cannot become an int8 .tflite: ") as info:
        keras_to_int8(model, data)
    assert "\n" not in str(info.value)


class _Refuses(keras.layers.Layer):
    """Fails once it is told to."""

    refuses = False

    def call(self, x):
        if self.refuses:
            raise RuntimeError("this is why")
        return x


def _named(name: str) -> keras.Model:
    x = keras.Input((4,))
    return keras.Model(x, keras.layers.Dense(2, name=name)(x))


def _refusing() -> keras.Model:
    x, layer = keras.Input((4,)), _Refuses()
    model = keras.Model(x, keras.Sequential([keras.Input((4,)), layer])(x))
    layer.refuses = True
    return model


@pytest.mark.parametrize(
    "make, cause", [(lambda: _named("卷积 1"), "'卷积 1' is not a valid .*scope name"), (_refusing, "this is why")]
)
def test_the_cause_is_told_from_what_keras_puts_around_it(make, cause):
    with pytest.raises(UnsupportedModelError, match=f"cannot become an int8 .tflite: {cause}") as info:
        keras_to_int8(make(), np.ones((2, 4), np.float32))
    assert "\n" not in str(info.value) and "\x1b" not in str(info.value)


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_saved_models_load_again(tmp_path, suffix):
    model = functional_cnn()
    model.save(tmp_path / f"m{suffix}")
    loaded = load_keras(tmp_path / f"m{suffix}")
    assert np.array_equal(loaded.predict(X, verbose=0), model.predict(X, verbose=0))


def test_h5_files_of_keras_2_load(tmp_path):
    path = tmp_path / "m.h5"
    model = functional_cnn()
    model.save(path)
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        (depthwise,) = (c for c in config["config"]["layers"] if c["class_name"] == "DepthwiseConv2D")
        depthwise["config"]["groups"] = 1
        file.attrs["model_config"] = json.dumps(config)
    with pytest.raises(Exception, match="groups"):
        keras.models.load_model(path, compile=False)
    assert np.array_equal(load_keras(path).predict(X, verbose=0), model.predict(X, verbose=0))


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_files_that_keras_cannot_load_are_refused(tmp_path, suffix):
    path = tmp_path / f"m{suffix}"
    with pytest.raises(UsageError, match="there is no such file"):
        load_keras(path)
    path.write_bytes(b"text")
    with pytest.raises(UnsupportedModelError, match=f"m{suffix} cannot be loaded by Keras: ") as info:
        load_keras(path)
    assert "\n" not in str(info.value)


def test_a_real_h5_keeps_its_accuracy():
    model = load_keras(path_of("models/ic_resnet8.h5"))
    calibration = np.load(path_of("samples/cifar10_train_500.npz"))["x"][:64]
    test = np.load(path_of("samples/cifar10_test_2000.npz"))
    x, y = test["x"][:200], test["y"][:200]
    converted = Interpreter(keras_to_int8(model, calibration)).run(x).argmax(axis=1)
    original = model.predict(x.astype(np.float32), verbose=0).argmax(axis=1)
    assert (converted == y).mean() >= (original == y).mean() - 0.02
