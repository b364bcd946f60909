"""Real Keras models become full-integer `.tflite` files: the same bytes each time, and without a word."""

from __future__ import annotations

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
from tflm_quantmcu.graph.layer_names import layer_names
from tflm_quantmcu.keras_bridge.load import load_keras
from tflm_quantmcu.keras_bridge.to_tflite import check_representative_data, keras, keras_to_int8
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
        (X.astype(int), "representative_data is int64; supported are float32 and uint8: give these numbers as float32"),
        ("x.npz", "representative_data has shape"),
    ],
)
def test_data_that_do_not_fit_are_refused(data, sentence):
    with pytest.raises(UsageError, match=sentence):
        check_representative_data(functional_cnn(), data)


def test_who_looks_numbers_up_in_a_table_is_told_where_to():
    x = keras.Input((6,), dtype="int32")
    model = keras.Model(x, keras.layers.Dense(2)(keras.layers.Flatten()(keras.layers.Embedding(9, 4, name="words")(x))))
    with pytest.raises(UsageError, match=r"int32; supported are .*: layer 'words' \(Embedding\) .* in your program"):
        keras_to_int8(model, np.zeros((4, 6), np.int32))


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


def _refusing() -> keras.Model:
    x, layer = keras.Input((4,)), _Refuses()
    model = keras.Model(x, keras.Sequential([keras.Input((4,)), layer])(x))
    layer.refuses = True
    return model


def test_the_cause_is_told_from_what_keras_puts_around_it():
    with pytest.raises(UnsupportedModelError, match="cannot become an int8 .tflite: this is why") as info:
        keras_to_int8(_refusing(), np.ones((2, 4), np.float32))
    assert "\n" not in str(info.value) and "\x1b" not in str(info.value)


def test_names_that_tensorflow_does_not_take_come_back_in_the_file():
    x = keras.Input((4,), name="entrée <1>")
    model = keras.Model(x, keras.layers.Dense(2, name="卷积 1")(keras.layers.Dense(2, name="a b")(x)))
    data = np.random.default_rng(0).random((8, 4)).astype(np.float32)
    graph = read_model(keras_to_int8(model, data))
    names = [tensor.name for tensor in graph.tensors]
    assert [layer.name for layer in model.layers] == ["entrée <1>", "a b", "卷积 1"]
    assert graph.tensors[graph.inputs[0]].name == "serving_default_entrée <1>:0"
    assert any("a b" in name for name in names) and not any("qmcu_name" in name for name in names)
    variable_paths = [variable.path for variable in model.variables]
    assert variable_paths == ["a b/kernel", "a b/bias", "卷积 1/kernel", "卷积 1/bias"]


def test_where_tensorflow_aborts_the_loop_is_named_and_unrolled_it_converts():
    def recurrent(*, unroll: bool) -> keras.Model:
        x = keras.Input((5, 3))
        wrapped = keras.layers.Bidirectional(keras.layers.LSTM(2, unroll=unroll, name="memory"))
        return keras.Model(x, keras.layers.Dense(2)(wrapped(x)), name="looping")

    data = np.random.default_rng(0).normal(size=(8, 5, 3)).astype(np.float32)
    sentence = (
        r"'looping' cannot become an int8 .tflite: TensorFlow's converter ended by SIG\w+; layer 'backward_memory' "
        r"\(LSTM, activation tanh\) and 1 more runs a loop .* unroll=True"
    )
    with pytest.raises(UnsupportedModelError, match=sentence):
        keras_to_int8(recurrent(unroll=False), data)
    read_model(keras_to_int8(recurrent(unroll=True), data))  # another child


def test_operations_that_tflite_lacks_are_named_with_their_layer():
    wave = keras.layers.Lambda(lambda x: keras.ops.fft((x, x))[0], name="wave")
    sentence = r"layer 'wave' \(Lambda\) uses the operation Complex, which TFLite does not have; replace it"
    with pytest.raises(UnsupportedModelError, match=sentence):
        keras_to_int8(keras.Sequential([keras.Input(SHAPE), wave]), X)


def test_mixed_precision_models_become_what_they_are_in_float32():
    model = functional_cnn()
    expected = keras_to_int8(model, X)
    policy = keras.DTypePolicy("mixed_float16")
    for layer in model._flatten_layers():
        layer.dtype_policy = policy
    assert keras_to_int8(model, X) == expected
    assert all(layer.dtype_policy == policy for layer in model._flatten_layers())


@pytest.mark.parametrize("front", [keras.layers.Rescaling(1 / 255), lambda x: keras.ops.cast(x, "float32") / 255.0])
def test_uint8_inputs_need_no_cast(front):
    x = keras.Input(SHAPE, dtype="uint8")
    model = keras.Model(x, keras.layers.Dense(3)(keras.layers.Flatten()(front(x))))
    data = np.random.default_rng(2).integers(0, 256, (24, *SHAPE)).astype(np.uint8)
    converted = keras_to_int8(model, data)
    assert "CAST" not in {op.kind for op in read_model(converted).ops}
    expected = model.predict(data, verbose=0)
    difference = np.abs(Interpreter(converted).predict(data.astype(np.float32)) - expected).max()
    assert difference <= INT8_LOSS * np.ptp(expected) and model.inputs[0].dtype == "uint8"


def test_fixed_batches_convert_unless_an_operation_depends_on_them():
    x = keras.Input(batch_shape=(4, *SHAPE))
    dense = keras.layers.Dense(3)
    model = keras.Model(x, dense(keras.layers.Flatten()(x)))
    _assert_close_to_keras(model, keras_to_int8(model, X))
    fixed = keras.Model(x, dense(keras.ops.reshape(x, (4, -1))))
    with pytest.raises(UnsupportedModelError, match="it is built for batches of 4: build it with batch_size=1 or None"):
        keras_to_int8(fixed, X)


def test_other_backends_are_told_the_way(monkeypatch):
    monkeypatch.setattr(keras.config, "backend", lambda: "jax")
    with pytest.raises(UnsupportedModelError, match="Keras runs on jax here.*KERAS_BACKEND=tensorflow"):
        keras_to_int8(functional_cnn(), X)


def test_a_real_h5_keeps_its_accuracy():
    model = load_keras(path_of("models/ic_resnet8.h5"))
    calibration = np.load(path_of("samples/cifar10_train_500.npz"))["x"][:64]
    test = np.load(path_of("samples/cifar10_test_2000.npz"))
    x, y = test["x"][:200], test["y"][:200]
    converted = Interpreter(keras_to_int8(model, calibration)).run(x).argmax(axis=1)
    original = model.predict(x.astype(np.float32), verbose=0).argmax(axis=1)
    assert (converted == y).mean() >= (original == y).mean() - 0.02


class LooksForALayer(keras.Model):
    """Finds its layer by name when it is called."""

    def __init__(self) -> None:
        super().__init__()
        self.body = keras.Sequential([keras.Input((8, 6, 2)), keras.layers.Conv2D(3, 3, name="inner")])

    def call(self, x):
        return self.body.get_layer("inner")(x)


def _layers_of(converted: bytes) -> list[str | None]:
    graph = read_model(converted)
    names = layer_names(graph)
    return [names.get(graph.tensors[op.outputs[0]].name) for op in graph.ops]


def test_tensors_have_the_names_that_keras_gives_its_layers():
    layers = [
        keras.layers.Conv2D(3, 3, name=name) for name in ("conv", "conv_1")
    ]  # one as TensorFlow numbers the other
    model = keras.Sequential([keras.Input(SHAPE), *layers, keras.layers.Flatten(), keras.layers.Dense(2)])
    names = [layer.name for layer in model.layers]
    assert _layers_of(keras_to_int8(keras.models.clone_model(model), X)) == names
    assert [layer.name for layer in model.layers] == names


def test_a_model_may_look_for_its_layers_by_name():
    model = LooksForALayer()
    model(X[:1])
    assert len(_layers_of(keras_to_int8(model, X))) == 1
