"""Whole conversions: what comes out runs on TFLM as it must, and what is refused."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest

from tests.support import networks, shared_data
from tests.support.edit_model import with_tensor
from tests.support.plans import mixed, split
from tests.support.tiny_models import TinyModel
from tflm_quantmcu.base.errors import UnsupportedModelError, UsageError
from tflm_quantmcu.converter.convert import convert_model
from tflm_quantmcu.converter.verify import verify_conversion
from tflm_quantmcu.graph.precision_plan import PatchClass, PrecisionPlan, StagePlan
from tflm_quantmcu.graph.types import Format, ModelGraph
from tflm_quantmcu.patches.planner import plan_stages
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.runtime.samples import random_samples
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.reader import read_model

MODEL = networks.inverted_residual()
SAMPLES = {"kws_dscnn_int8": "kws_calibration_125", "person_detect": "person_detect_2"}


def samples_of(name: str, graph: ModelGraph) -> np.ndarray:
    if name not in SAMPLES:
        return random_samples(graph.tensors[graph.inputs[0]], 2, seed=1)
    return np.load(shared_data.path_of(f"samples/{SAMPLES[name]}.npz"))["x"][:4]


@pytest.mark.parametrize("name", shared_data.CONVOLUTIONAL)
def test_real_models_split_at_eight_bits_are_the_same_function(name):
    model = shared_data.model(name)
    graph = read_model(model)
    best = plan_stages(graph).best
    assert best is not None
    plan = PrecisionPlan(graph.sha256, {}, stages=best.plans(graph))
    converted = convert_model(model, plan)
    result = verify_conversion(model, converted, plan, samples_of(name, graph))
    assert result.is_same_function
    assert result.arena_bytes < Interpreter(model).allocations().non_persistent_bytes


@pytest.mark.parametrize("name", ["ad01_int8", "hello_world_int8"])
def test_real_models_that_cannot_be_split_stay_as_they_are(name):
    model = shared_data.model(name)
    graph = read_model(model)
    plan = PrecisionPlan(graph.sha256, {})
    converted = convert_model(model, plan)
    assert not any(op.kind.startswith("QMCU_") for op in read_model(converted).ops)
    assert verify_conversion(model, converted, plan, samples_of(name, graph)).is_same_function


@pytest.mark.parametrize("name", shared_data.CONVOLUTIONAL)
def test_real_models_at_mixed_widths_equal_the_oracle(name):
    model = shared_data.model(name)
    graph = read_model(model)
    plan = mixed(graph, seed=len(name))
    result = verify_conversion(model, convert_model(model, plan), plan, samples_of(name, graph))
    assert result.num_maps > 3


@pytest.mark.parametrize("seed", range(6))
def test_a_small_network_at_mixed_widths_equals_the_oracle(seed):
    model = networks.inverted_residual(seed)
    graph = read_model(model)
    plan = mixed(graph, seed)
    verify_conversion(model, convert_model(model, plan), plan, random_samples(graph.tensors[0], 3))


def test_the_same_plan_gives_the_same_bytes():
    plan = mixed(read_model(MODEL), seed=0)
    converted = convert_model(MODEL, plan)
    assert convert_model(MODEL, PrecisionPlan.from_json(plan.to_json())) == converted


@pytest.mark.parametrize("dtype", ["uint8", "float32"])
def test_ends_of_another_type_stay(dtype):
    net = TinyModel()
    x = net.quantize(net.input((1, 8, 8, 3), dtype=dtype), scale=0.05, zero_point=0)
    y = net.conv2d(net.conv2d(x, np.ones((8, 3, 3, 3), np.int8)), np.ones((2, 3, 3, 8), np.int8))
    y = net.dequantize(y) if dtype == "float32" else net.quantize(y, scale=0.1, zero_point=128, dtype=dtype)
    model = net.build(y)
    graph = read_model(model)
    stage = StagePlan("map1", "map5", 3, 3, ((0,) * 3,) * 3, (PatchClass("outlier", {}),))
    plan = PrecisionPlan(graph.sha256, {}, stages=(stage,))
    converted = convert_model(model, plan)
    assert [t.dtype for t in Interpreter(converted).outputs] == [dtype]
    assert verify_conversion(model, converted, plan, random_samples(graph.tensors[0], 3)).is_same_function


def test_repeated_names_are_told_apart():
    net = TinyModel()
    model = net.build(net.relu(net.relu(net.relu(net.input((1, 6, 6, 3))))))
    model = model.replace(b"map2", b"map1")
    graph = read_model(model)
    plan = PrecisionPlan(graph.sha256, {}, formats={"map1#2": Format(4, 0.5, 0)})
    converted = convert_model(model, plan)
    assert "map1#2" in read_model(converted).by_name
    assert verify_conversion(model, converted, plan, random_samples(graph.tensors[0], 2)).num_maps == 4


STAGE = split(read_model(MODEL)).stages[0]
FOUR = Format(4, 0.5, 0)
REFUSED = {
    "another model": (
        {"model_sha256": "f" * 64},
        "the plan was made for the model with SHA-256 ffffffffffff..., this one has ",
    ),
    "format of nothing": ({"formats": {"nothing": FOUR}}, "a format to 'nothing', which is no int8 feature map"),
    "format of a constant": ({"formats": {"constant1": FOUR}}, "a format to 'constant1', which is no int8 feature"),
    "format in a class": (
        {"stages": (dataclasses.replace(STAGE, classes=(PatchClass("ordinary", {"nothing": FOUR}),)),)},
        "a format to 'nothing', which is no int8 feature map of the model",
    ),
    "bits of a map": ({"weight_bits": {"map0": 4}}, "bits to 'map0', which is no weights of the model"),
    "bits of a bias": ({"weight_bits": {"constant2": 4}}, "bits to 'constant2', which is no weights of the model"),
    "three bits": ({"weight_bits": {"constant1": 3}}, "3 bits to 'constant1'; supported are 8, 4 and 2"),
    "stage of nothing": ({"stages": (dataclasses.replace(STAGE, input="nothing"),)}, "names tensor 'nothing'"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refuses_plans_that_do_not_fit(case):
    fields, sentence = REFUSED[case]
    plan = PrecisionPlan(**{"model_sha256": read_model(MODEL).sha256, "search": {}, **fields})
    with pytest.raises(UsageError, match=re.escape(sentence)):
        convert_model(MODEL, plan)


def test_refuses_a_converted_model():
    converted = convert_model(MODEL, split(read_model(MODEL)))
    plan = PrecisionPlan(read_model(converted).sha256, {})
    with pytest.raises(UnsupportedModelError, match=r"converted already \(op 0 is QMCU_PATCH_STAGE\)"):
        convert_model(converted, plan)


def test_refuses_a_float_model():
    net = TinyModel()
    x = net.input((1, 4, 4, 3), dtype="float32")
    y = net.reshape(x, (1, 48))
    model = with_tensor(net.build(y), y.index, type=schema.TensorType.FLOAT32)
    with pytest.raises(UnsupportedModelError, match="computes on float32"):
        convert_model(model, PrecisionPlan(read_model(model).sha256, {}))


def test_refuses_a_stage_with_an_op_that_has_no_kernel():
    net = TinyModel()
    x = net.relu(net.input((1, 6, 6, 3)))
    model = net.build(net.relu(net.softmax(x)))
    stage = StagePlan("map0", "map3", 3, 3, ((0, 0), (0, 0)), (PatchClass("outlier", {}),))
    plan = PrecisionPlan(read_model(model).sha256, {}, stages=(stage,))
    with pytest.raises(UnsupportedModelError, match=r"SOFTMAX 'map2' \(op 1\) cannot become a QMCU_ op"):
        convert_model(model, plan)
