"""Maps and filters of an int8 file are found in the Keras model by their values, whatever they are called there."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.tiny_keras import SHAPE, SubclassedCnn, functional_cnn, samples
from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.graph.types import ModelGraph
from tflm_quantmcu.keras_bridge.mapping import KerasMapping, map_model, rebuild
from tflm_quantmcu.keras_bridge.to_tflite import keras, keras_to_int8
from tflm_quantmcu.tflite.reader import read_model

X, _ = samples()
layers = keras.layers


def _sequential() -> keras.Model:
    return keras.Sequential(
        [
            keras.Input(SHAPE),
            layers.ZeroPadding2D(1),
            layers.Conv2D(4, 3, use_bias=False, name="conv"),
            layers.BatchNormalization(name="norm"),
            layers.ReLU(6.0, name="relu"),
            layers.Dropout(0.5),
            layers.MaxPooling2D(2, name="pool"),
            layers.Flatten(),
            layers.Dense(3, activation="softmax", name="shares"),
        ]
    )


def _nested() -> keras.Model:
    """A block that is a model of its own, a layer that is called twice, and an add that is no layer."""
    block = keras.Sequential(
        [keras.Input((8, 6, 4)), layers.Conv2D(4, 1, name="inner"), layers.BatchNormalization(), layers.ReLU()],
        name="block",
    )
    shared = layers.DepthwiseConv2D(3, padding="same", activation="relu", name="shared")
    x = keras.Input(SHAPE)
    y = shared(block(layers.Conv2D(4, 3, padding="same", activation="relu", name="stem")(x)))
    y = y + shared(y)
    return keras.Model(x, layers.Dense(3, name="logits")(layers.GlobalAveragePooling2D()(y)))


def _residual_that_starts_at_zero() -> keras.Model:
    """The add gives what its input was: only names tell the two apart."""
    x = keras.Input(SHAPE)
    y = layers.Conv2D(4, 3, padding="same", activation="relu", name="stem")(x)
    z = layers.Conv2D(4, 3, padding="same", name="branch", kernel_initializer="random_normal")(y)
    z = layers.BatchNormalization(gamma_initializer=keras.initializers.Constant(1e-4), name="branch_norm")(z)
    y = layers.Conv2D(4, 1, activation="relu", name="after")(layers.Add(name="sum")([y, z]))
    return keras.Model(x, layers.Dense(3, name="logits")(layers.GlobalAveragePooling2D()(y)))


def _mapped(model: keras.Model) -> tuple[ModelGraph, KerasMapping, dict[int, str]]:
    """Also shakes batch normalisation, so that folding it changes kernels, some by a negative factor."""
    rng = np.random.default_rng(0)
    for layer in model._flatten_layers(include_self=False):
        if isinstance(layer, layers.BatchNormalization) and layer.name != "branch_norm":
            signs = np.where(np.arange(layer.gamma.shape[0]) % 2, 1, -1)
            layer.gamma.assign(rng.uniform(0.5, 2, layer.gamma.shape) * signs)
            layer.moving_mean.assign(rng.normal(0, 0.2, layer.gamma.shape))
    data = keras_to_int8(model, X)
    graph = read_model(data)
    names: dict[int, str] = {}
    rebuild(model, wrap=lambda layer: layer, observe=lambda number, name, x: names.setdefault(number, name) and x)
    return graph, map_model(model, data, X[:4]), names


def _by_name(graph: ModelGraph, mapping: KerasMapping, names: dict[int, str]) -> list[tuple[str, str]]:
    """(op kind, name of the Keras operation that gives its output) of each op that is found."""
    ops = [op for op in graph.ops if op.outputs[0] in mapping.points]
    return [(op.kind, names[mapping.points[op.outputs[0]]]) for op in ops]


def _kernels(graph: ModelGraph, mapping: KerasMapping) -> list[str]:
    filters = [op.inputs[1] for op in graph.ops if op.traits.has_filter]
    return [mapping.kernels[t].layer.name for t in filters]


def test_a_functional_model_with_a_residual_add():
    graph, mapping, names = _mapped(functional_cnn())
    assert _kernels(graph, mapping) == ["stem", "depthwise", "logits"]
    found = dict(_by_name(graph, mapping, names))
    assert found["DEPTHWISE_CONV_2D"] == "depthwise"
    assert found["CONV_2D"] == "stem"
    assert found["ADD"].startswith(("add", "re_lu"))


def test_a_sequential_model_with_folded_normalisation_and_padding():
    graph, mapping, names = _mapped(_sequential())
    assert _kernels(graph, mapping) == ["conv", "shares"]
    found = _by_name(graph, mapping, names)
    assert ("CONV_2D", "relu") in found and ("MAX_POOL_2D", "pool") in found and ("SOFTMAX", "shares") in found
    conv = next(op for op in graph.ops if op.kind == "CONV_2D")
    assert mapping.kernels[conv.inputs[1]].signs.tolist() == [-1, 1, -1, 1]


def test_models_inside_models_and_layers_called_twice():
    graph, mapping, names = _mapped(_nested())
    assert _kernels(graph, mapping) == ["stem", "inner", "shared", "shared", "logits"]
    depthwise = [op for op in graph.ops if op.kind == "DEPTHWISE_CONV_2D"]
    points = [mapping.points[op.outputs[0]] for op in depthwise]
    assert len(set(points)) == 2 and {names[p] for p in points} == {"shared"}


def test_names_decide_where_values_cannot():
    graph, mapping, names = _mapped(_residual_that_starts_at_zero())
    add = next(op for op in graph.ops if op.kind == "ADD")
    assert names[mapping.points[add.outputs[0]]] == "sum"
    stem = next(op for op in graph.ops if op.kind == "CONV_2D")
    assert names[mapping.points[stem.outputs[0]]] == "stem"
    assert _kernels(graph, mapping) == ["stem", "branch", "after", "logits"]


def test_both_kernels_of_a_separable_convolution_but_not_the_map_between():
    x = keras.Input(SHAPE)
    y = layers.SeparableConv2D(4, 3, activation="relu", name="separable")(x)
    graph, mapping, names = _mapped(keras.Model(x, layers.Dense(3)(layers.Flatten()(y))))
    depthwise, pointwise = graph.ops[:2]
    assert _kernels(graph, mapping)[:2] == ["separable", "separable"]
    assert mapping.kernels[depthwise.inputs[1]].index != mapping.kernels[pointwise.inputs[1]].index
    assert depthwise.outputs[0] not in mapping.points
    assert names[mapping.points[pointwise.outputs[0]]] == "separable"


def test_a_rebuilt_model_of_the_same_layers_computes_the_same():
    for model in (_sequential(), _nested()):
        again = rebuild(model, wrap=lambda layer: layer, observe=lambda number, name, x: x)
        assert np.array_equal(again(X), model(X))


def test_subclassed_models_are_refused():
    model = SubclassedCnn()
    model(X)
    with pytest.raises(UnsupportedModelError, match="is a subclass whose layers cannot be seen"):
        rebuild(model, wrap=lambda layer: layer, observe=lambda number, name, x: x)
