"""Which kernels a model links: those for the widths that it runs."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from tests.support import networks, shared_data
from tests.support.plans import mixed, split
from tests.support.tiny_models import TinyModel
from tflm_quantmcu.converter.convert import convert_model
from tflm_quantmcu.graph.target import DSP, MVE, REFERENCE
from tflm_quantmcu.graph.types import ModelGraph, Window
from tflm_quantmcu.law.kernel_calls import (
    CHANNEL_TABLE,
    AddParams,
    Conv2DParams,
    DepthwiseConv2DParams,
    FeatureMap,
    KernelCall,
)
from tflm_quantmcu.native.linked import (
    cpp_name,
    fast_kernels,
    linked_kernel,
    regular_kernels,
    stage_kernels,
    stage_units,
)
from tflm_quantmcu.stage.custom_ops import PATCH_STAGE, program_of
from tflm_quantmcu.tflite.reader import read_model

HALF, QUARTER, TWO = (1 << 30, 0), (1 << 30, -1), (1 << 30, 2)


def feature_map(channels: int = 8, bits: int = 8) -> FeatureMap:
    return FeatureMap(4, 4, channels, 4 * channels, bits, 0)


def convolution(bits: int = 8, weight_bits: int = 8, channels: int = 8, size: int = 3) -> Conv2DParams:
    window = Window(kernel_height=size, kernel_width=size)
    return Conv2DParams(feature_map(channels, bits), feature_map(), window, (-128, 127), weight_bits)


def depthwise(size: int, multiplier: int = 1, stride: int = 1) -> DepthwiseConv2DParams:
    window = Window(kernel_height=size, kernel_width=size, stride_height=stride, stride_width=stride)
    output = feature_map(8 * multiplier)
    return DepthwiseConv2DParams(feature_map(), output, window, (-128, 127), 8, multiplier)


def add(bits: tuple[int, int, int] = (8, 8, 8), factor: tuple[int, int] = QUARTER) -> AddParams:
    maps = [feature_map(bits=b) for b in bits]
    return AddParams(maps[0], maps[1], maps[2], (-128, 127), (HALF, factor, QUARTER))


def test_one_pair_of_widths_has_a_kernel_of_its_own() -> None:
    kernel = linked_kernel("Conv2D", [convolution(), convolution(channels=3)], DSP)
    assert kernel.name == "kernels::Conv2DOf<8, 8>"
    assert kernel.units == {"kernels::Conv2DOf<8x8>"}
    assert cpp_name(kernel) == "quantmcu::kernels::Conv2DOf<8, 8>"
    assert linked_kernel("Add", [add()], DSP).name == "kernels::AddOf<8>"
    assert linked_kernel("Add", [add((8, 4, 8))], DSP).name == "kernels::AddOf<0>"


def test_several_pairs_are_chosen_among() -> None:
    kernel = linked_kernel("Conv2D", [convolution(), convolution(8, 4), convolution(4, 2)], DSP)
    assert kernel.name == "Conv2DAmong<88, 84, 42>"
    assert kernel.units == {f"kernels::Conv2DOf<{pair}>" for pair in ("8x8", "8x4", "4x2")}
    assert cpp_name(kernel, "kernels") == "quantmcu::Conv2DAmong<88, 84, 42>"


@pytest.mark.parametrize(
    ("kernel", "fast", "other"),
    [
        ("Conv2D", convolution(channels=3640), convolution(channels=3641)),  # 32 KB a filter
        ("DepthwiseConv2D", depthwise(7), depthwise(8)),
        ("Add", add(), add(factor=TWO)),
    ],
)
def test_what_the_dsp_kernel_leaves_to_the_reference_links_it(kernel: str, fast: object, other: object) -> None:
    assert linked_kernel(kernel, [fast], DSP).name.startswith("kernels::")
    assert linked_kernel(kernel, [other], DSP).units == {f"reference::{kernel}"}
    assert linked_kernel(kernel, [fast, other], DSP).units == {f"kernels::{kernel}"}


@pytest.mark.parametrize("variant", [REFERENCE, MVE])
def test_variants_with_one_kernel_for_all_widths_name_it(variant: str) -> None:
    assert linked_kernel("Conv2D", [convolution(8, 4)], variant).name == "kernels::Conv2D"


def call(params: Conv2DParams | DepthwiseConv2DParams, shift: int = -8) -> KernelCall:
    table = [np.full(params.output.channels, value, np.int32) for value in (0, 1 << 30, shift)]
    kernel = type(params).__name__.removesuffix("Params")
    return KernelCall(kernel, params, (0,), 1, dict(zip(CHANNEL_TABLE, table, strict=True)))


def without_stage() -> ModelGraph:
    return read_model(networks.inverted_residual())


def test_calls_that_need_no_seldom_path_link_none() -> None:
    found = regular_kernels(without_stage(), [call(convolution()), call(depthwise(3))], DSP)
    assert found == {"Conv2DRegular", "DepthwiseConv2DRegular"}
    kernel = linked_kernel("Conv2D", [convolution()], DSP, found)
    assert kernel.name == "kernels::Conv2DRegular"
    assert kernel.units == {"kernels::Conv2DRegular"}
    assert linked_kernel("Conv2D", [convolution(8, 4)], DSP, found).name == "kernels::Conv2DOf<8, 4>"
    assert regular_kernels(without_stage(), [call(convolution())], MVE) == frozenset()


def test_tflites_own_convolutions_run_on_the_kernels_that_their_calls_need() -> None:
    found = fast_kernels(without_stage(), DSP, {"Conv2DRegular"})
    assert {kind: kernel.name for kind, kernel in found.items()} == {
        "CONV_2D": "kernels::Conv2DRegular",
        "DEPTHWISE_CONV_2D": "kernels::DepthwiseConv2DOf<8, 8>",
    }
    assert found["DEPTHWISE_CONV_2D"].units == {"kernels::DepthwiseConv2DOf<8x8>"}


@pytest.mark.parametrize(
    "other",
    [
        call(convolution(channels=13)),  # runs of no whole words
        call(convolution(), shift=0),  # a factor of 1/2
        call(dataclasses.replace(convolution(), clamp=(-128, 100))),
        call(dataclasses.replace(convolution(), output=feature_map(bits=4))),
        call(dataclasses.replace(convolution(), output=feature_map(channels=5))),
    ],
)
def test_one_call_that_needs_them_links_them_for_all(other: KernelCall) -> None:
    assert regular_kernels(without_stage(), [call(convolution()), other], DSP) == frozenset()


@pytest.mark.parametrize(
    ("calls", "least"),
    [
        ((depthwise(3),), {"DepthwiseConv2DRegular"}),
        ((depthwise(3), depthwise(3, 4, stride=2)), {"DepthwiseConv2DWhole"}),
        ((depthwise(5, 8), depthwise(3)), {"DepthwiseConv2DWhole"}),
        ((depthwise(3, 4),), set()),  # rows of one input channel
        ((depthwise(3, 3, stride=2),), set()),  # blocks of three channels
    ],
)
def test_a_block_may_read_one_input_channel(calls: tuple[DepthwiseConv2DParams, ...], least: set[str]) -> None:
    found = regular_kernels(without_stage(), [call(params) for params in calls], DSP)
    assert found == least
    names = {linked_kernel("DepthwiseConv2D", [params], DSP, found).name for params in calls}
    assert names == {f"kernels::{name}" for name in least or {"DepthwiseConv2DOf<8, 8>"}}


def test_calls_of_other_widths_do_not_count() -> None:
    calls = [call(convolution()), call(convolution(8, 4))]
    assert regular_kernels(without_stage(), calls, DSP) == {"Conv2DRegular"}


def test_a_stage_counts_too() -> None:
    clamped = networks.inverted_residual()
    stage = read_model(convert_model(clamped, split(read_model(clamped))))
    assert regular_kernels(stage, [call(convolution()), call(depthwise(3))], DSP) == frozenset()
    model = shared_data.model("kws_dscnn_int8")
    stage = read_model(convert_model(model, split(read_model(model))))
    assert "Conv2DRegular" in regular_kernels(stage, (), DSP)
    assert stage_kernels(stage, DSP, {"Conv2DRegular"})["conv2d"].name == "kernels::Conv2DRegular"


def test_what_runs_rare_ops_is_linked_where_there_are_such() -> None:
    plain = networks.inverted_residual()
    assert "reference::RareOp" not in stage_units(read_model(convert_model(plain, split(read_model(plain)))), DSP)
    net = TinyModel()
    x = net.input((1, 18, 18, 4))
    product = net.mul(net.max_pool2d(x, (3, 3)), net.average_pool2d(x, (3, 3)))
    model = net.build(net.max_pool2d(product, (4, 4), stride=(4, 4)))
    assert "reference::RareOp" in stage_units(read_model(convert_model(model, split(read_model(model)))), DSP)


def test_a_stage_links_the_widths_of_all_its_classes() -> None:
    model = networks.inverted_residual()
    graph = read_model(model)
    kernels = stage_kernels(read_model(convert_model(model, split(graph))), DSP)
    assert kernels["conv2d"].name == "kernels::Conv2DOf<8, 8>"
    assert kernels["conv2d_scratch_bytes"].name == "kernels::Conv2DScratchBytes"
    converted = read_model(convert_model(model, mixed(graph, 0)))
    program = program_of(converted, next(op for op in converted.ops if op.kind == PATCH_STAGE))
    widths = {
        f"kernels::Conv2DOf<{formats[op.inputs[0]].bits}x{op.weight_bits}>"
        for formats in program.formats
        for op in program.ops
        if op.kind == "CONV_2D"
    }
    assert len(widths) > 1
    assert stage_kernels(converted, DSP)["conv2d"].units == widths
