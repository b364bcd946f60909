"""Transposed convolutions as convolutions of blocks of pixels: the same bytes on TFLM, and in patch stages."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.edit_model import StockModel
from tests.support.stock_tflm import run_stock
from tflm_quantmcu.converter.convert import convert_model
from tflm_quantmcu.converter.verify import verify_conversion
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.patches.planner import plan_stages
from tflm_quantmcu.runtime.samples import random_samples
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.canonical.canonical import canonical
from tflm_quantmcu.tflite.model_file import ModelFile


def network(seed: int, stride: tuple[int, int], kernel: tuple[int, int], padding: str, *, is_odd: bool = False):
    """A convolution, the transposed one and a convolution; `is_odd`: its output ends within a block."""
    rng = np.random.default_rng(seed)
    net = StockModel()
    height = 1 if stride[0] == 1 else int(rng.integers(3, 7))
    x = net.input((1, height, int(rng.integers(4, 9)), 3), scale=0.05, zero_point=int(rng.integers(-128, 128)))
    outputs, scales = int(rng.integers(1, 6)), int(rng.integers(0, 2))
    filter = rng.integers(-127, 128, (outputs, 1 if height == 1 else kernel[0], kernel[1], 3)).astype(np.int8)
    bias = rng.integers(-2000, 2000, outputs).astype(np.int32) if seed % 3 else None
    more = [0 if padding == "SAME" else max(k - s, 0) for k, s in zip(filter.shape[1:3], stride, strict=True)]
    size = [n * s + m - is_odd * (s > 1) for n, s, m in zip(x.shape[1:3], stride, more, strict=True)]
    options = {"filter_scales": rng.uniform(0.002, 0.01, outputs if scales else 1).astype(np.float32).tolist()}
    activation = ("NONE", "RELU", "RELU6")[seed % 3]
    options |= {"stride": stride, "padding": padding, "size": tuple(size), "activation": activation}
    y = net.transpose_conv(x, filter, bias, scale=0.04, zero_point=int(rng.integers(-128, 128)), **options)
    return net.build(net.conv2d(y, rng.integers(-127, 128, (2, 1, 1, outputs)).astype(np.int8), scale=0.1))


CASES = [
    (stride, kernel, padding, is_odd)
    for stride in ((2, 2), (3, 3), (1, 2), (1, 1))
    for kernel in ((1, 1), (2, 2), (3, 3), (2, 5), (4, 4))
    for padding in ("SAME", "VALID")
    for is_odd in (False, True)
]


@pytest.mark.parametrize("case", range(len(CASES)))
def test_it_gives_tflms_bytes(case: int) -> None:
    stride, kernel, padding, is_odd = CASES[case]
    model = ModelFile(network(case, stride, kernel, padding, is_odd=is_odd))
    found = canonical(model)
    kinds = [op.kind for op in found.graph.ops]
    assert "TRANSPOSE_CONV" not in kinds or min(kernel) < max(stride) or is_odd
    x = random_samples(model.graph.tensors[model.graph.inputs[0]], 3, seed=case)
    for before, after in zip(run_stock(model.data, x), run_stock(found.data, x), strict=True):
        np.testing.assert_array_equal(before, after)


@pytest.mark.parametrize("case", range(0, len(CASES), 3))
def test_stages_hold_it(case: int) -> None:
    stride, kernel, padding, is_odd = CASES[case]
    file = canonical(ModelFile(network(case, stride, kernel, padding, is_odd=is_odd)))
    found = plan_stages(file.graph, max_slowdown=20.0)
    plan = PrecisionPlan(file.sha256, {}, stages=found.best.plans(file.graph) if found.best else ())
    samples = random_samples(file.graph.tensors[file.graph.inputs[0]], 2, seed=case)
    assert verify_conversion(file, convert_model(file, plan), plan, (samples,)).is_same_function


def test_what_keras_makes_needs_no_crop() -> None:
    for kernel in (2, 3):
        file = canonical(ModelFile(network(4, (2, 2), (kernel, kernel), "SAME")))
        pads = ["PAD"] if kernel > 2 else []
        assert [op.kind for op in file.graph.ops] == [*pads, "CONV_2D", "DEPTH_TO_SPACE", "CONV_2D"]


def test_filters_that_are_no_constants_stay() -> None:
    net = StockModel()
    x, filter = net.input((1, 4, 4, 3)), net.input((2, 3, 3, 3), scale=0.01)
    shape = net.constant(np.array([1, 8, 8, 2], np.int32))
    options = schema.TransposeConvOptionsT(strideH=2, strideW=2)
    model = ModelFile(net.build(net.stock("TRANSPOSE_CONV", [shape, filter, x], options, (1, 8, 8, 2))))
    assert canonical(model) is model


def test_tensors_keep_their_names() -> None:
    model = ModelFile(network(1, (2, 2), (4, 4), "SAME"))
    names = {t.name for op in canonical(model).graph.ops for t in [canonical(model).graph.tensors[op.outputs[0]]]}
    assert names >= {model.graph.tensors[op.outputs[0]].name for op in model.graph.ops}
