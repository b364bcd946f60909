"""Layer names as TensorFlow's and Keras' converters write them into tensor names."""

from __future__ import annotations

import pytest

from tests.support.tiny_keras import functional_cnn, samples
from tests.support.tiny_models import TinyModel
from tflm_quantmcu.graph import layer_names as module
from tflm_quantmcu.graph.layer_names import layer_names, op_place
from tflm_quantmcu.keras_bridge.to_tflite import keras_to_int8
from tflm_quantmcu.tflite.reader import read_model


@pytest.mark.parametrize(
    "name, layer",
    (
        ("model/activation/Relu;model/batch_normalization/FusedBatchNormV3;model/conv2d/BiasAdd", "conv2d"),
        ("model/activation/Relu;model/conv2d/BiasAdd/ReadVariableOp/resource;model/conv2d_2/Conv2D", "conv2d"),
        ("net_1/block_BN_1/batchnorm/add_1;net_1/block_1/convolution;", "block_1"),
        ("net/depthwise_conv2d_1/depthwise;net/conv2d_4/Conv2D1", "depthwise_conv2d_1"),
        ("MobilenetV1/MobilenetV1/Conv2d_0/Relu6", "MobilenetV1/Conv2d_0"),
        ("model/activation_2/Relu;model/add/add", "activation_2"),
        ("net_1/bn_1/batchnorm/add_1", "bn_1"),
        ("model/backbone/conv1/Conv2D", "backbone/conv1"),
        ("net/depthwise_1/depthwise", "depthwise_1"),
        ("dense/MatMul", "dense"),
        ("net/sep/separable_conv2d/depthwise", "sep"),
        ("net/separable_conv2d/separable_conv2d", "separable_conv2d"),
        ("serving_default_image:0", "image"),
        ("StatefulPartitionedCall:0", None),
        ("tfl.pseudo_qconst98", None),
    ),
)
def test_names_of_converters(name, layer):
    assert module._layer_of(name) == layer


def test_maps_and_weights_of_a_keras_model_have_their_layers_names():
    graph = read_model(keras_to_int8(functional_cnn(), samples()[0]))
    names = layer_names(graph)
    for op, layer in zip(graph.ops, ("stem", "depthwise"), strict=False):
        for t in (op.inputs[1], op.outputs[0]):
            assert names[graph.tensors[t].name] == layer
    assert names[graph.tensors[graph.inputs[0]].name] == "image"


def test_names_that_tell_nothing_are_left_out():
    net = TinyModel()
    assert layer_names(read_model(net.build(net.relu(net.input((1, 4, 4, 2)))))) == {}


def test_messages_call_an_op_by_its_layer_and_else_by_its_output():
    graph = read_model(keras_to_int8(functional_cnn(), samples()[0]))
    assert op_place(graph, graph.ops[0]) == "CONV_2D 'stem' (op 0)"
    net = TinyModel()
    plain = read_model(net.build(net.relu(net.input((1, 4, 4, 2)))))
    assert op_place(plain, plain.ops[0]) == f"RELU '{plain.tensors[plain.outputs[0]].label}' (op 0)"
