"""The oracle on whole models: equal to stock TFLM at 8 bits, and to itself however it is split."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.support import shared_data
from tests.support.edit_model import StockModel
from tests.support.property_settings import examples
from tests.support.random_cnn import random_cnns, random_formats, random_stages, stage_regions
from tests.support.stock_tflm import run_stock
from tests.support.tiny_models import TinyModel
from tflm_quantmcu.base.errors import UnsupportedModelError, UsageError
from tflm_quantmcu.graph.precision_plan import PatchClass, PrecisionPlan, StagePlan
from tflm_quantmcu.graph.types import BIT_WIDTHS, Format, ModelGraph
from tflm_quantmcu.oracle.run_stage import run_patches, run_stage
from tflm_quantmcu.oracle.simulate import simulate
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.stage.build import build_program
from tflm_quantmcu.tflite.reader import read_model

INT8_MODELS = ("ad01_int8", "hello_world_int8", "ic_resnet8_int8", "kws_dscnn_int8", "person_detect")


def input_shape(graph: ModelGraph) -> tuple[int, ...]:
    return graph.tensors[graph.inputs[0]].shape


@examples(300)
@given(random_cnns())
def test_simulation_equals_stock_tflm(cnn):
    graph = read_model(cnn.model)
    x = cnn.inputs(input_shape(graph))
    values = simulate(graph, None, x)
    for tensor, expected in zip(graph.outputs, run_stock(cnn.model, x), strict=True):
        if graph.producer[tensor].kind != "SOFTMAX":
            actual = values[graph.tensors[tensor].name]
            np.testing.assert_array_equal(actual, expected, str(cnn))


@pytest.mark.parametrize("name", INT8_MODELS)
def test_every_map_of_a_real_model_equals_tflm(name):
    data = shared_data.model(name)
    graph = read_model(data)
    x = noise(2, *input_shape(graph)[1:])
    values = simulate(graph, None, x)
    assert len(values) >= len(graph.ops)  # the input, and all but a trailing softmax
    interpreter = Interpreter(data, preserve_all_tensors=True)
    for sample, inputs in enumerate(x):
        interpreter.invoke(inputs)
        for map_name, actual in values.items():
            expected = interpreter.tensor(graph.by_name[map_name].index)
            actual = actual[sample].reshape(expected.shape)
            np.testing.assert_array_equal(actual, expected, map_name)


@examples(200)
@given(st.data())
def test_splitting_at_eight_bits_changes_nothing(data):
    cnn = data.draw(random_cnns())
    graph = read_model(cnn.model)
    assume(stage_regions(graph))
    stage = data.draw(random_stages(graph))
    x = cnn.inputs(input_shape(graph))
    unsplit = simulate(graph, None, x)
    split = simulate(graph, PrecisionPlan(graph.sha256, {}, stages=(stage,)), x)
    for name, actual in split.items():
        np.testing.assert_array_equal(actual, unsplit[name], f"{name} {stage}\n{cnn}")


@examples(200)
@given(st.data())
def test_tile_size_changes_nothing_at_any_width(data):
    cnn = data.draw(random_cnns(has_tail=False))
    graph = read_model(cnn.model)
    assume(stage_regions(graph))
    stage = data.draw(random_stages(graph))
    maps = [t for t in graph.tensors if not t.is_constant and t.dtype == "int8"]
    formats = data.draw(random_formats(maps, bits=BIT_WIDTHS))
    classes = (PatchClass("all", formats),)
    height, width = graph.by_name[stage.output].shape[1:3]
    tiled = dataclasses.replace(stage, classes=classes)
    whole = dataclasses.replace(tiled, tile_height=height, tile_width=width, patch_classes=((0,),))
    x = cnn.inputs(input_shape(graph))
    try:
        source = simulate(graph, None, x)[stage.input]
        expected, actual = (
            run_stage(build_program(graph, plan, weight_bits={}, formats={}), source) for plan in (whole, tiled)
        )
    except UnsupportedModelError as error:
        assert "leaves int32" in str(error)
        return
    np.testing.assert_array_equal(actual, expected, f"{tiled}\n{cnn}")


def conv_chain(*, pads: tuple[tuple[int, int], ...] = ()) -> bytes:
    rng = np.random.default_rng(0)
    net = TinyModel()
    x = net.input((1, 6, 5, 2), scale=0.05, zero_point=3)
    if pads:
        x = net.pad(x, pads)
    for channels in (4, 3):
        filter = rng.integers(-127, 128, (channels, 3, 3, x.shape[3])).astype(np.int8)
        x = net.conv2d(x, filter, scale=0.5, zero_point=-5)
    return net.build(x)


def noise(*shape: int) -> np.ndarray:
    return np.random.default_rng(1).integers(-128, 128, shape).astype(np.int8)


def one_tile(graph: ModelGraph, source: str, target: str, formats: Mapping[str, Format]) -> StagePlan:
    height, width = graph.by_name[target].shape[1:3]
    return StagePlan(source, target, height, width, ((0,),), (PatchClass("all", formats),))


def test_widths_outside_stages_compute_as_a_stage_of_one_tile():
    graph = read_model(conv_chain())
    source, inner, target = (graph.tensors[t] for t in (0, *(op.outputs[0] for op in graph.ops)))
    weights = {graph.tensors[op.inputs[1]].name: b for op, b in zip(graph.ops, (4, 2), strict=True)}
    formats = {
        inner.name: dataclasses.replace(inner.format, bits=4, scale=2.0, zero_point=-2),
        target.name: dataclasses.replace(target.format, bits=2, scale=8.0, zero_point=0),
    }
    plan = PrecisionPlan(graph.sha256, {}, formats=formats, weight_bits=weights)
    x = noise(3, 6, 5, 2)
    stage = one_tile(graph, source.name, target.name, formats)
    program = build_program(graph, stage, weight_bits=weights, formats=formats)
    values = simulate(graph, plan, x)
    np.testing.assert_array_equal(run_stage(program, x), values[target.name])
    np.testing.assert_array_equal(next(run_patches(program, x))[2][1], values[inner.name])
    assert len(np.unique(values[inner.name])) == 16
    assert set(np.unique(values[target.name])) <= {-2, -1, 0, 1}


def test_patch_maps_are_the_regions_of_the_whole_maps():
    graph = read_model(conv_chain(pads=((0, 0), (1, 0), (0, 2), (0, 0))))
    stage = dataclasses.replace(
        one_tile(graph, "map0", graph.tensors[graph.outputs[0]].name, {}),
        tile_height=2,
        tile_width=4,
        patch_classes=((0, 0),) * 4,
    )
    program = build_program(graph, stage, weight_bits={}, formats={})
    x = noise(2, 6, 5, 2)
    whole = simulate(graph, None, x)
    names = ["map0", *(graph.tensors[op.outputs[0]].name for op in graph.ops[1:])]
    for row, col, maps in run_patches(program, x):
        for m, values in enumerate(maps):
            y0, y1, x0, x1 = program.region(row, col, m)
            np.testing.assert_array_equal(values, whole[names[m]][:, y0:y1, x0:x1])


def every_stock_op(net: TinyModel) -> bytes:
    x = net.input((1, 5, 4, 3), scale=0.1, zero_point=7)
    x = net.pad(x, ((0, 0), (1, 2), (0, 1), (1, 1)))
    x = net.pad(x, ((0, 0), (0, 0), (1, 0), (0, 2)), value=-77)
    x = net.mean(x, (-2,), keep_dims=True, scale=0.07, zero_point=-3)
    x = net.quantize(x, scale=0.03, zero_point=11)
    return net.build(net.reshape(x, (1, 8 * 7)))


def test_stock_ops_that_no_kernel_replaces_equal_tflm():
    model = every_stock_op(TinyModel())
    graph = read_model(model)
    x = noise(5, 5, 4, 3)
    (expected,) = run_stock(model, x)
    actual = simulate(graph, None, x)[graph.tensors[graph.outputs[0]].name]
    np.testing.assert_array_equal(actual, expected)


@pytest.mark.parametrize("dtype", ("float32", "uint8"))
def test_inputs_of_other_types_are_quantized_as_tflm_does(dtype):
    net = TinyModel()
    x = net.input((1, 4, 4, 2), scale=0.02, zero_point=131, dtype=dtype)
    model = net.build(net.quantize(x, scale=0.0171, zero_point=-9))
    graph = read_model(model)
    rng = np.random.default_rng(2)
    x = rng.normal(0, 2, (9, 4, 4, 2)).astype(np.float32)
    if dtype == "uint8":
        x = rng.integers(0, 256, x.shape).astype(np.uint8)
    (expected,) = run_stock(model, x)
    actual = simulate(graph, None, x)[graph.tensors[graph.outputs[0]].name]
    np.testing.assert_array_equal(actual, expected)


def test_what_follows_an_unknown_op_is_left_out():
    net = StockModel()
    x = net.reshape(net.input((1, 10), scale=0.1), (1, 10))
    model = net.build(net.dequantize(net.stock("SIN", [x], None, x.shape)))
    assert set(simulate(read_model(model), None, noise(2, 10))) == {"map0", "map2"}


def test_inputs_that_do_not_fit_are_refused():
    graph = read_model(conv_chain())
    with pytest.raises(UsageError, match="the model takes int8"):
        simulate(graph, None, np.zeros((2, 6, 5, 3), np.int8))
    with pytest.raises(UsageError, match="the inputs are float32"):
        simulate(graph, None, np.zeros((2, 6, 5, 2), np.float32))
