"""Convolutions of a few groups of channels as convolutions of all of them: the same bytes, and in patch stages."""

from __future__ import annotations

import dataclasses
import types

import numpy as np
import pytest

import tflm_quantmcu as qm
from tests.support.stock_tflm import run_stock
from tests.support.tiny_models import TinyModel
from tflm_quantmcu.runtime.samples import random_samples
from tflm_quantmcu.tflite.canonical.canonical import canonical
from tflm_quantmcu.tflite.canonical.depthwise_groups import make_depthwise
from tflm_quantmcu.tflite.canonical.grouped_convs import MAX_GROUPS
from tflm_quantmcu.tflite.model_file import ModelFile


def network(groups: int, seed: int = 0, *, front: int = 1, depth: int = 0) -> bytes:
    """A convolution, `front` times as deep as what the grouped one reads, that one, of `depth` channels a group, and a
    mean."""
    rng = np.random.default_rng(seed)
    net = TinyModel()
    depth, outputs = depth or int(rng.integers(2, 4)), groups * int(rng.integers(1, 4))
    x = net.input((1, 24, 24, 3), scale=0.05, zero_point=int(rng.integers(-128, 128)))
    x = net.conv2d(
        x, values(rng, (front * groups * depth, 3, 3, 3)), scale=0.3, zero_point=int(rng.integers(-128, 128))
    )
    if front > 1:
        x = net.conv2d(x, values(rng, (groups * depth, 1, 1, x.shape[3])), scale=0.5, zero_point=-7)
    stride, kernel = (1 + seed % 2, 1 + seed // 2 % 2), ((3, 3), (1, 1), (2, 3))[seed % 3]
    y = net.conv2d(
        x,
        values(rng, (outputs, *kernel, depth)),
        rng.integers(-2000, 2000, outputs).astype(np.int32) if seed % 3 else None,
        filter_scales=rng.uniform(0.002, 0.01, outputs if seed % 2 else 1).astype(np.float32).tolist(),
        stride=stride,
        padding=("SAME", "VALID")[seed // 3 % 2],
        activation=("NONE", "RELU", "RELU6")[seed % 3],
        scale=0.2,
        zero_point=int(rng.integers(-128, 128)),
    )
    return net.build(net.mean(y, scale=0.1))


def values(rng: np.random.Generator, shape: tuple[int, ...]) -> np.ndarray:
    return rng.integers(-127, 128, shape).astype(np.int8)


def filters(model: bytes) -> list[tuple[int, ...]]:
    graph = canonical(ModelFile(model)).graph
    return [graph.tensors[op.inputs[1]].shape for op in graph.ops if op.kind == "CONV_2D"]


@pytest.mark.parametrize("seed", range(12))
def test_they_give_tflms_bytes(seed: int) -> None:
    model = ModelFile(network(2 + seed % 3, seed))
    found = canonical(model)
    grouped = found.graph.ops[1]
    assert found.graph.tensors[grouped.inputs[1]].shape[3] == found.graph.tensors[grouped.inputs[0]].shape[3]
    x = random_samples(model.graph.tensors[model.graph.inputs[0]], 3, seed=seed)
    for before, after in zip(run_stock(model.data, x), run_stock(found.data, x), strict=True):
        np.testing.assert_array_equal(before, after)


def test_of_many_groups_and_beside_larger_maps_they_stay() -> None:
    many, small = network(MAX_GROUPS + 1), network(2, front=16)
    assert canonical(ModelFile(many)).data == many and filters(small)[-1][3] < filters(small)[-2][0]


@pytest.mark.parametrize("bits", [8, 4])
def test_patch_stages_hold_them(bits: int) -> None:
    model = network(2, 3)
    x = random_samples(ModelFile(model).graph.tensors[0], 4, seed=0)
    options = {"calibration_data": x, "activation_bits": bits, "weight_bits": bits, "progress": False}
    report = qm.convert(model, search="uniform", **options).report
    assert report.converted.recorded_non_persistent_bytes < report.baseline.recorded_non_persistent_bytes
    assert report.verification.is_same_function or (bits == 4 and report.verification.num_maps)


@pytest.mark.parametrize("seed", range(12))
def test_groups_of_one_channel_are_depthwise(seed: int) -> None:
    model = ModelFile(network(2 + 3 * seed, seed, depth=1))
    found = canonical(model)
    assert [op.kind for op in found.graph.ops[:3]] == ["CONV_2D", "DEPTHWISE_CONV_2D", "MEAN"]
    x = random_samples(model.graph.tensors[model.graph.inputs[0]], 3, seed=seed)
    for before, after in zip(run_stock(model.data, x), run_stock(found.data, x), strict=True):
        np.testing.assert_array_equal(before, after)


def test_patch_stages_hold_groups_of_one_channel() -> None:
    report = qm.convert(network(32, 3, depth=1), search="uniform", progress=False).report
    assert report.converted.recorded_non_persistent_bytes * 2 < report.baseline.recorded_non_persistent_bytes
    assert report.verification.is_same_function


def test_an_op_of_no_input_is_left_alone() -> None:
    graph = ModelFile(network(4, depth=1)).graph
    alone = dataclasses.replace(graph.ops[0], kind="VAR_HANDLE", inputs=())
    found = make_depthwise(types.SimpleNamespace(graph=dataclasses.replace(graph, ops=(alone,))))
    assert found is None
