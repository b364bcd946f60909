"""A streamed input changes nothing but the arena: same bytes in every cache mode, on real and random models."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

import tflm_quantmcu as qm
from tests.support import networks, shared_data
from tests.support.conversions import assert_equals_oracle, assert_split_equals_stock
from tests.support.plans import front_stage, mixed
from tests.support.property_settings import examples
from tests.support.random_cnn import random_cnns, random_formats, random_stages, streamable_regions
from tests.support.streamed import streamed
from tflm_quantmcu.base.errors import UnsupportedModelError, UsageError
from tflm_quantmcu.converter.convert import convert_model
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.graph.types import BIT_WIDTHS
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.runtime.samples import random_samples
from tflm_quantmcu.stage.layout import CACHE_MODES
from tflm_quantmcu.tflite.reader import read_model


@pytest.mark.parametrize("name", shared_data.CONVOLUTIONAL)
def test_real_models_give_stock_tflms_bytes_without_an_input(name: str) -> None:
    model = shared_data.model(name)
    graph = read_model(model)
    x = random_samples(graph.tensors[graph.inputs[0]], 2)
    resident = PrecisionPlan(graph.sha256, {}, stages=(front_stage(graph),))
    expected = Interpreter(model).run(x)
    for mode in CACHE_MODES:
        modes = {"cache_mode": mode, "map_caches": {}}
        stage = dataclasses.replace(resident.stages[0], **modes)
        before = Interpreter(convert_model(model, dataclasses.replace(resident, stages=(stage,))))
        after = Interpreter(convert_model(model, streamed(resident, **modes)))
        assert np.array_equal(after.run(x), expected), mode
        assert after.allocations().non_persistent_bytes <= before.allocations().non_persistent_bytes


@pytest.mark.parametrize("name", shared_data.CONVOLUTIONAL)
def test_real_models_at_mixed_widths_equal_the_resident_ones(name: str) -> None:
    model = shared_data.model(name)
    graph = read_model(model)
    plan = mixed(graph, seed=len(name))
    x = random_samples(graph.tensors[graph.inputs[0]], 2)
    expected = Interpreter(convert_model(model, plan)).run(x)
    for mode in CACHE_MODES:
        converted = convert_model(model, streamed(plan, map_caches={plan.stages[0].input: mode}))
        assert np.array_equal(Interpreter(converted).run(x), expected), mode


@pytest.mark.parametrize(
    ("name", "data", "options"),
    [
        ("ic_resnet8_int8", None, {"search": "uniform"}),
        ("mcunet_vww80", None, {"search": "uniform"}),
        ("ic_resnet8_int8", "cifar10_train_500", {"search": "vdqs", "vdqs_lambda": 0.2, "max_samples": 8}),
    ],
)
def test_convert_plans_verifies_and_reports_it(name: str, data: str | None, options: dict) -> None:
    model = shared_data.model(name)
    calibration = shared_data.path_of(f"samples/{data}.npz") if data else None
    result = qm.convert(model, calibration_data=calibration, input="streamed", progress=False, **options)
    assert result.plan.streamed_input and read_model(result.model).inputs == ()
    assert result.plan.search["input"] == "streamed"
    assert re.search(r"reads (each input row once|the input in \d+ regions)", result.report.stages[0])
    x = random_samples(qm.Interpreter(model).inputs[0], 2)
    if result.report.verification.is_same_function:
        assert np.array_equal(qm.Interpreter(result.model).run(x), qm.Interpreter(model).run(x))


def test_a_search_without_stages_cannot_stream() -> None:
    with pytest.raises(UsageError, match="--input is streamed, and --search memory_driven made no patch stage"):
        qm.convert(networks.inverted_residual(), search="memory_driven", split="off", input="streamed", progress=False)


def test_a_network_without_a_stage_at_its_input_cannot_stream() -> None:
    with pytest.raises(UnsupportedModelError, match="the input cannot be streamed"):
        qm.convert(shared_data.model("ad01_int8"), search="uniform", input="streamed", progress=False)


@examples(150)
@given(st.data())
def test_random_models_give_stock_tflms_bytes(data: st.DataObject) -> None:
    cnn = data.draw(random_cnns())
    graph = read_model(cnn.model)
    regions = streamable_regions(graph)
    assume(regions)
    stage = data.draw(random_stages(graph, input_modes=("streamed",), regions=regions))
    assert_split_equals_stock(cnn, graph, stage)


@examples(60)
@given(st.data())
def test_random_models_at_random_widths_equal_the_oracle(data: st.DataObject) -> None:
    cnn = data.draw(random_cnns())
    graph = read_model(cnn.model)
    regions = streamable_regions(graph)
    assume(regions)
    stage = data.draw(random_stages(graph, bits=BIT_WIDTHS, input_modes=("streamed",), regions=regions))
    maps = [t for t in graph.tensors if not t.is_constant and t.name == stage.output]
    formats = data.draw(random_formats(maps, bits=BIT_WIDTHS))
    plan = PrecisionPlan(graph.sha256, {}, stages=(stage,), formats=formats)
    assert_equals_oracle(cnn, graph, plan)
