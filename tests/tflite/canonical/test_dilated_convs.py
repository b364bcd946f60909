"""Convolutions on blocks as dilated ones: the same bytes on TFLM, and left alone where they may not be."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.blocks import Amounts, blocks_of, conv, map_of
from tests.support.edit_model import StockModel
from tests.support.stock_tflm import run_stock
from tflm_quantmcu.runtime.samples import random_samples
from tflm_quantmcu.tflite.canonical.canonical import canonical
from tflm_quantmcu.tflite.model_file import ModelFile

NOTHING = [(0, 0), (0, 0)]


def gates(
    shape: tuple[int, ...],
    blocks: tuple[int, ...],
    pads: Amounts,
    crops: Amounts,
    *,
    kernel: tuple[int, int] = (1, 3),
    is_depthwise: bool = False,
) -> ModelFile:
    """Two convolutions that read the same blocks, as a WaveNet's."""
    net = StockModel()
    inner = blocks_of(net, net.relu(net.input(shape, zero_point=5)), blocks, pads)
    made = [map_of(net, conv(net, inner, kernel, is_depthwise=is_depthwise), blocks, crops) for _ in range(2)]
    return ModelFile(net.build(net.add(*made, scale=0.2, zero_point=1)))


def assert_equal_bytes(model: ModelFile, found: ModelFile) -> None:
    samples = random_samples(model.graph.tensors[model.graph.inputs[0]], 4)
    for before, after in zip(run_stock(model.data, samples), run_stock(found.data, samples), strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("is_depthwise", [False, True])
@pytest.mark.parametrize(
    ("shape", "blocks", "pads", "crops", "kernel"),
    [
        ((1, 12, 4), (3,), [(0, 0)], [(0, 0)], (1, 3)),
        ((1, 13, 4), (3,), [(0, 2)], [(0, 2)], (1, 3)),
        ((1, 13, 4), (3,), [(2, 0)], [(2, 0)], (1, 2)),
        ((1, 12, 10, 4), (3, 2), NOTHING, NOTHING, (2, 3)),
        ((1, 11, 9, 4), (3, 2), [(1, 0), (0, 1)], [(1, 0), (0, 1)], (3, 2)),
    ],
)
def test_it_gives_tflms_bytes(
    shape: tuple[int, ...],
    blocks: tuple[int, ...],
    pads: Amounts,
    crops: Amounts,
    kernel: tuple[int, int],
    is_depthwise: bool,
) -> None:
    model = gates(shape, blocks, pads, crops, kernel=kernel, is_depthwise=is_depthwise)
    found = canonical(model)
    convs = [op for op in found.graph.ops if op.window]
    assert not any("BATCH" in op.kind for op in found.graph.ops) and len(convs) == 2
    assert {(op.options["dilationHFactor"], op.options["dilationWFactor"]) for op in convs} == {(1, *blocks)[-2:]}
    assert_equal_bytes(model, found)


def test_a_byte_that_is_padded_and_read_stays_tflms() -> None:
    model = gates((1, 12, 4), (3,), [(3, 3)], [(0, 0)])
    assert [op.kind for op in canonical(model).graph.ops].count("SPACE_TO_BATCH_ND") == 1


def test_what_is_no_dilated_convolution_stays() -> None:
    net = StockModel()
    inner = blocks_of(net, net.input((1, 12, 10, 4)), (3, 2), NOTHING)
    strided = map_of(net, conv(net, inner, (1, 2), stride=2), (3, 2), NOTHING)
    cropped = map_of(net, conv(net, inner, (1, 2)), (3, 2), [(0, 1), (0, 0)])
    shared = conv(net, inner, (2, 2))
    model = ModelFile(net.build(strided, cropped, map_of(net, shared, (3, 2), NOTHING), shared))
    found = canonical(model)
    assert [op.kind for op in found.graph.ops].count("BATCH_TO_SPACE_ND") == 3
    assert_equal_bytes(model, found)


def test_blocks_that_something_else_reads_stay_for_it() -> None:
    net = StockModel()
    inner = blocks_of(net, net.input((1, 12, 4)), (3,), [(0, 0)])
    model = ModelFile(net.build(map_of(net, conv(net, inner, (1, 3)), (3,), [(0, 0)]), inner))
    found = canonical(model)
    kinds = [op.kind for op in found.graph.ops]
    assert "SPACE_TO_BATCH_ND" in kinds and "BATCH_TO_SPACE_ND" not in kinds
    assert_equal_bytes(model, found)
