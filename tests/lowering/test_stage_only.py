"""Which ops a stage alone holds as ours: moves of channels, repeated and mixed pixels, blocks, crops."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

import tflm_quantmcu as qm
from tests.support.edit_model import StockModel
from tests.support.tiny_models import Handle
from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.lowering.network import LoweredNetwork
from tflm_quantmcu.lowering.regions import lower_region
from tflm_quantmcu.runtime.samples import random_samples
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.reader import read_model

ONES = np.ones((2, 1, 1, 6), np.int8)


def network_of(net: StockModel, output: Handle) -> LoweredNetwork:
    return LoweredNetwork.of(read_model(net.build(output)))


def slice_of(net: StockModel, x: Handle, begin: tuple[int, ...], size: tuple[int, ...]) -> Handle:
    ends = [net.constant(np.array(v, np.int32)) for v in (begin, size)]
    return net.stock("SLICE", [x, *ends], schema.SliceOptionsT(), size)


def gathered(net: StockModel, x: Handle, axis: int, indices: list[int]) -> Handle:
    shape = list(x.shape)
    shape[axis] = len(indices)
    chosen = net.constant(np.array(indices, np.int32))
    return net.stock("GATHER", [x, chosen], schema.GatherOptionsT(axis=axis), tuple(shape))


def concatenation(net: StockModel, x: Handle) -> Handle:
    pooled = net.max_pool2d(x, (3, 3), padding="SAME")
    return net.concatenation([x, pooled, x], 3)


CASES: dict[str, tuple[Any, tuple[tuple[int, int], ...]]] = {
    "concatenation": (concatenation, ((0, 6), (6, 6), (0, 6))),
    "slice": (lambda net, x: slice_of(net, x, (0, 0, 0, 2), (1, 4, 5, 3)), ((2, 3),)),
    "shuffle": (lambda net, x: gathered(net, x, 3, [0, 3, 4, 4, 1]), ((0, 1), (3, 2), (4, 1), (1, 1))),
}
STOCK = {
    "rows and channels": lambda net, x: slice_of(net, x, (0, 1, 0, 0), (1, 2, 5, 3)),
    "some columns": lambda net, x: gathered(net, x, 2, [0, 2, 1, 3, 4]),
    "concatenation of rows": lambda net, x: net.concatenation([x, x], 1),
    "nine parts": lambda net, x: net.concatenation([x, *(net.conv2d(x, ONES) for _ in range(8))], 3),
}


@pytest.mark.parametrize("case", CASES)
def test_moves_of_channels_are_runs(case: str) -> None:
    make, runs = CASES[case]
    net = StockModel()
    network = network_of(net, make(net, net.input((1, 4, 5, 6))))
    op = network.graph.ops[-1]
    lowered = network.lower_in_stage(op)
    assert (lowered.kind, lowered.runs) == ("GATHER_CHANNELS", runs)
    assert lowered.inputs == tuple(dict.fromkeys(network.graph.feature_maps(op)))
    assert network.stage_refusal(op) is None
    assert not network.is_ours(op)  # outside of stages it stays a stock op


@pytest.mark.parametrize("case", STOCK)
def test_moves_of_pixels_stay_stock(case: str) -> None:
    net = StockModel()
    network = network_of(net, STOCK[case](net, net.input((1, 4, 5, 6))))
    op = network.graph.ops[-1]
    assert network.stage_refusal(op) == f"{op.kind} has no QMCU_ kernel"


def shuffled(net: StockModel, x: Handle, groups: int) -> Handle:
    _, height, width, depth = x.shape
    y = net.reshape(x, (1, height, width, groups, depth // groups))
    return net.reshape(net.transpose(y, (0, 1, 2, 4, 3)), x.shape)


def test_a_shuffle_of_channels_is_one_op_of_a_stage() -> None:
    net = StockModel()
    network = network_of(net, shuffled(net, net.input((1, 4, 5, 6)), 2))
    ops = network.graph.ops
    (lowered,) = lower_region(network.graph, ops, {})
    assert lowered.runs == ((0, 1), (3, 1), (1, 1), (4, 1), (2, 1), (5, 1))
    assert lowered.inputs == (ops[0].inputs[0],)
    assert [network.stage_refusal(op) for op in ops] == [None] * 3
    with pytest.raises(UnsupportedModelError, match="ends inside a shuffle of channels"):
        lower_region(network.graph, ops[:2], {})


@pytest.mark.parametrize("widths", [{}, {"activation_bits": 4, "weight_bits": 4}])
@pytest.mark.parametrize("groups", [2, 4])
def test_shuffles_run_inside_stages(widths: dict[str, int], groups: int) -> None:
    rng, net = np.random.default_rng(groups), StockModel()
    x = net.input((1, 20, 20, 3))
    for _ in range(2):
        weights = rng.integers(-127, 128, (8, 3, 3, x.shape[3]), dtype=np.int8)
        x = shuffled(net, net.conv2d(x, weights, scale=0.05, zero_point=-3), groups)
    model = net.build(net.mean(net.max_pool2d(x, (3, 3))))
    samples = random_samples(read_model(model).tensors[0], 8)
    data = {"calibration_data": samples} if widths else {}
    result = qm.convert(model, search="uniform", progress=False, **data, **widths)
    kinds = {op.kind for op in read_model(result.model).ops}
    assert "QMCU_PATCH_STAGE" in kinds and "TRANSPOSE" not in kinds
    assert result.report.verification.is_same_function != bool(widths)


def test_what_another_op_reads_of_a_shuffle_stays_stock() -> None:
    net = StockModel()
    x = net.input((1, 4, 5, 6))
    y = net.reshape(x, (1, 4, 5, 2, 3))
    z = net.reshape(net.transpose(y, (0, 1, 2, 4, 3)), x.shape)
    network = LoweredNetwork.of(read_model(net.build(z, y)))
    assert all(network.stage_refusal(op) for op in network.graph.ops)


def test_shuffles_of_pixels_stay_stock() -> None:
    net = StockModel()
    x = net.input((1, 4, 4, 6))
    y = net.transpose(net.reshape(x, (1, 4, 4, 2, 3)), (0, 2, 1, 3, 4))
    network = network_of(net, net.reshape(y, x.shape))
    assert all(network.stage_refusal(op) for op in network.graph.ops)


@pytest.mark.parametrize("value", (None, 7))
@pytest.mark.parametrize(
    ("pads", "runs"),
    [((0, 2), ((0, 6), (6, 2))), ((1, 9), ((6, 1), (0, 6), (6, 6), (6, 3)))],
)
def test_channels_of_zeros_are_the_maps_times_nothing(
    pads: tuple[int, int], runs: tuple[tuple[int, int], ...], value: int | None
) -> None:
    net = StockModel()
    x = net.input((1, 4, 5, 6), zero_point=7)
    network = network_of(net, net.pad(x, ((0, 0), (0, 0), (0, 0), pads), value=value))
    lowered = network.lower_in_stage(network.graph.ops[-1])
    assert (lowered.kind, lowered.runs, len(lowered.inputs)) == ("GATHER_CHANNELS", runs, 2)
    formats = [network.graph.tensors[t].format for t in (*lowered.inputs, lowered.output)]
    assert lowered.requantization_table(formats[:2], formats[2])[:4].tolist() == [1 << 30, 1, 0, 0]


def test_a_pad_of_nothing_moves_the_map() -> None:
    net = StockModel()
    network = network_of(net, net.pad(net.input((1, 4, 5, 6)), ((0, 0),) * 4))
    assert network.lower_in_stage(network.graph.ops[-1]).kind == "REQUANTIZE"


def test_channels_of_other_values_stay_stock() -> None:
    net = StockModel()
    x = net.input((1, 4, 5, 6), zero_point=7)
    for value, pads in ((6, ((0, 0), (0, 0), (0, 0), (0, 2))), (7, ((0, 0), (1, 0), (0, 0), (0, 2)))):
        network = network_of(net, net.pad(x, pads, value=value))
        assert network.stage_refusal(network.graph.ops[-1])


@pytest.mark.parametrize("widths", [{}, {"activation_bits": 4, "weight_bits": 4}])
def test_padded_channels_run_inside_stages(widths: dict[str, int]) -> None:
    rng, net = np.random.default_rng(3), StockModel()
    x = net.conv2d(net.input((1, 24, 24, 3)), rng.integers(-127, 128, (5, 3, 3, 3), dtype=np.int8), scale=0.05)
    for depth in (7, 16):
        weights = rng.integers(-127, 128, (depth, 3, 3, x.shape[3]), dtype=np.int8)
        y = net.conv2d(x, weights, scale=0.06, zero_point=5)
        x = net.pad(x, ((0, 0), (0, 0), (0, 0), (0, depth - x.shape[3])))
        x = net.add(x, y, scale=0.07, zero_point=-20)
    model = net.build(net.mean(net.max_pool2d(x, (3, 3))))
    samples = random_samples(read_model(model).tensors[0], 8)
    data = {"calibration_data": samples} if widths else {}
    result = qm.convert(model, search="uniform", progress=False, **data, **widths)
    kinds = {op.kind for op in read_model(result.model).ops}
    assert "QMCU_PATCH_STAGE" in kinds and "PAD" not in kinds
    assert result.report.verification.is_same_function != bool(widths)


@pytest.mark.parametrize("half_pixel_centers", [False, True])
def test_a_resize_by_whole_factors_is_a_stages(half_pixel_centers: bool) -> None:
    net = StockModel()
    x = net.input((1, 4, 5, 6))
    network = network_of(net, net.resize_nearest(x, (12, 10), half_pixel_centers=half_pixel_centers))
    lowered = network.lower_in_stage(network.graph.ops[-1])
    assert lowered.kind == "RESIZE_NEAREST"
    assert (lowered.window.stride_height, lowered.window.stride_width) == (3, 2)


def resize_bilinear(net: StockModel, x: Handle, size: tuple[int, int], **options: bool) -> Handle:
    wanted = net.constant(np.array(size, np.int32))
    shape = (1, *size, x.shape[3])
    return net.stock("RESIZE_BILINEAR", [x, wanted], schema.ResizeBilinearOptionsT(**options), shape)


@pytest.mark.parametrize(
    ("options", "kernel", "pad"),
    [({"halfPixelCenters": True}, (4, 3), (2, 1)), ({}, (4, 2), (1, 0)), ({"alignCorners": True}, (6, 4), (3, 2))],
)
def test_a_bilinear_resize_holds_what_it_mixes(
    options: dict[str, bool], kernel: tuple[int, int], pad: tuple[int, int]
) -> None:
    net = StockModel()
    network = network_of(net, resize_bilinear(net, net.input((1, 4, 5, 6)), (12, 10), **options))
    window = network.lower_in_stage(network.graph.ops[-1]).window
    assert (window.stride_height, window.stride_width) == (3, 2)
    assert (window.kernel_height, window.kernel_width) == kernel
    assert (window.pad_top, window.pad_left) == pad


def test_blocks_of_pixels_are_a_stages() -> None:
    net = StockModel()
    x = net.input((1, 4, 5, 12))
    square = net.stock("DEPTH_TO_SPACE", [x], schema.DepthToSpaceOptionsT(blockSize=2), (1, 8, 10, 3))
    row = net.reshape(square, (1, 8, 30, 1))
    network = network_of(net, row)
    found = [network.lower_in_stage(op) for op in network.graph.ops]
    assert [low.kind for low in found] == ["DEPTH_TO_SPACE"] * 2
    assert [(low.window.stride_height, low.window.stride_width) for low in found] == [(2, 2), (1, 3)]


def test_crops_are_moves_or_pools_of_one_tap() -> None:
    net = StockModel()
    x = net.input((1, 6, 8, 3))
    cropped = slice_of(net, x, (0, 1, 2, 0), (1, 4, 5, 3))
    ends = [net.constant(np.array(v, np.int32)) for v in ((0, 1, 0, 0), (1, 4, 5, 3), (1, 2, 3, 1))]
    strided = net.stock("STRIDED_SLICE", [cropped, *ends], schema.StridedSliceOptionsT(), (1, 2, 2, 3))
    network = network_of(net, strided)
    crop, stride = (network.lower_in_stage(op) for op in network.graph.ops)
    assert (crop.kind, crop.window.pad_top, crop.window.pad_left) == ("REQUANTIZE", -1, -2)
    assert (stride.kind, stride.window.pad_top, stride.window.stride_height) == ("MAX_POOL_2D", -1, 2)
    assert (stride.window.pad_left, stride.window.stride_width) == (0, 3)


def test_a_resize_by_other_factors_stays_stock() -> None:
    net = StockModel()
    network = network_of(net, net.resize_nearest(net.input((1, 4, 5, 6)), (6, 10)))
    assert network.stage_refusal(network.graph.ops[-1])


def test_a_change_of_scale_that_tflm_ignores_stays_stock() -> None:
    net = StockModel()
    x = net.input((1, 4, 5, 6), scale=0.1)
    ends = [net.constant(np.array(v, np.int32)) for v in ((0, 0, 0, 0), (1, 4, 5, 2))]
    network = network_of(net, net.stock("SLICE", [x, *ends], schema.SliceOptionsT(), (1, 4, 5, 2), scale=0.2))
    assert network.stage_refusal(network.graph.ops[-1])
