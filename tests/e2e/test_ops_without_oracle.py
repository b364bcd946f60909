"""Stock ops that the numpy oracle does not know convert wherever they stand: what follows them is not simulated."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

import tflm_quantmcu as qm
from tests.support.edit_model import StockModel
from tests.support.search_problems import WIDTHS_ALONE
from tests.support.tiny_models import Handle
from tflm_quantmcu.app.plan_costs import PlanCosts
from tflm_quantmcu.compensation.compensate import compensate, with_room
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.oracle.simulate import simulate
from tflm_quantmcu.oracle.stock_kernels import is_known
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.model_file import ModelFile
from tflm_quantmcu.tflite.reader import read_model

SIZE, CHANNELS = 20, 4
SEARCHES = {
    "vdqs": {"vdqs_lambda": 0.1, "vdqs_min_weight_bits": 4},
    "memory_driven": {
        "sram_bytes": 6400,
        "flash_bytes": 11000,
        "flash_scope": "model",
        "strip_metadata": True,
        "stock_kernels": "reference",
        **WIDTHS_ALONE,
    },
    "uniform": {"activation_bits": 4, "weight_bits": 4},
}


def _slice(net: StockModel, x: Handle) -> Handle:
    ends = [net.constant(np.array(v, np.int32)) for v in ((0, 0, 0, 0), (1, *x.shape[1:]), (1, 1, 1, 1))]
    return net.stock("STRIDED_SLICE", [x, *ends], schema.StridedSliceOptionsT(), x.shape)


def _resize(net: StockModel, x: Handle) -> Handle:
    size = net.constant(np.array(x.shape[1:3], np.int32))
    return net.stock("RESIZE_BILINEAR", [x, size], schema.ResizeBilinearOptionsT(), x.shape)


def _sum_up(net: StockModel, x: Handle) -> Handle:
    return net.stock("CUMSUM", [x, net.constant(np.array([3], np.int32))], schema.CumsumOptionsT(), x.shape)


def _scale(net: StockModel, x: Handle) -> Handle:
    return net.mul(x, net.constant(np.full((1, 1, 1, x.shape[3]), 20, np.int8), scale=0.05), scale=x.scale)


def _concatenate(net: StockModel, x: Handle) -> Handle:
    return net.concatenation([x, x], 3)


OPS = {
    "STRIDED_SLICE": _slice,
    "RESIZE_BILINEAR": _resize,
    "CUMSUM": _sum_up,
    "MUL": _scale,
    "CONCATENATION": _concatenate,
}


def _model(place: str, op: Callable[[StockModel, Handle], Handle]) -> bytes:
    """Two pairs of convolutions and a classifier, the op in front of, between or behind the pairs."""
    net, rng = StockModel(), np.random.default_rng(0)

    def convolve(x: Handle, stride: int = 1) -> Handle:
        filter = rng.integers(-127, 128, (16, 3, 3, x.shape[3]))
        scale = 0.3 / np.sqrt(filter[0].size) / 70
        return net.conv2d(
            x, filter, filter_scales=(scale,), stride=(stride, stride), activation="RELU", zero_point=-128
        )

    x = net.input((1, SIZE, SIZE, CHANNELS))
    for at in ("front", "between", "behind"):
        x = op(net, x) if place == at else x
        x = convolve(convolve(x), 2) if at != "behind" else x
    x = net.mean(x)
    return net.build(net.fully_connected(x, rng.integers(-127, 128, (5, x.shape[1]))))


def _samples(count: int = 8) -> np.ndarray:
    return np.random.default_rng(1).integers(-128, 128, (count, SIZE, SIZE, CHANNELS)).astype(np.int8)


@pytest.mark.parametrize("kind", ["CUMSUM"])
def test_the_oracle_leaves_out_what_follows(kind):
    graph = read_model(_model("between", OPS[kind]))
    (unknown,) = (op for op in graph.ops if op.kind == kind)
    assert not is_known(graph, unknown)
    found = simulate(graph, None, _samples(2))
    assert len(found) == 1 + unknown.index
    assert graph.tensors[unknown.outputs[0]].name not in found


@pytest.mark.parametrize("search", SEARCHES)
@pytest.mark.parametrize("place", ["front", "between", "behind"])
@pytest.mark.parametrize("kind", OPS)
def test_models_convert_and_are_verified(kind, place, search):
    x = _samples()
    result = qm.convert(
        _model(place, OPS[kind]), calibration_data=x, search=search, progress=False, n_jobs=1, **SEARCHES[search]
    )
    assert qm.Interpreter(result.model).run(x).shape == (len(x), 5)


@pytest.mark.parametrize("place", ["front", "between", "behind"])
def test_room_is_left_just_where_a_correction_is_found(place):
    model = _model(place, _slice)
    graph = read_model(model)
    names = [graph.tensors[op.inputs[1]].name for op in graph.ops if op.kind == "CONV_2D"]
    plan = PrecisionPlan(graph.sha256, {}, weight_bits=dict.fromkeys(names, 4))
    found = compensate(graph, plan, _samples())
    assert with_room(graph, plan).bias_corrections.keys() == found.bias_corrections.keys()
    costs = PlanCosts(ModelFile(model))
    assert costs.bytes_of(with_room(graph, plan)) == costs.bytes_of(found)
