"""A streamed input changes nothing but the arena: same bytes in every cache mode, on real and random models."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.e2e.test_random_cnns import REFUSALS, inputs_of
from tests.support import shared_data
from tests.support.plans import front_stage, mixed
from tests.support.property_settings import examples
from tests.support.random_cnn import random_cnns, random_formats, random_stages, streamable_regions
from tests.support.stock_tflm import run_stock
from tests.support.streamed import streamed
from tflm_quantmcu.arena import predict_arena
from tflm_quantmcu.converter.convert import convert_model
from tflm_quantmcu.converter.reader import read_model
from tflm_quantmcu.converter.verify import verify_conversion
from tflm_quantmcu.errors import UnsupportedModelError
from tflm_quantmcu.runtime import Interpreter
from tflm_quantmcu.samples import random_samples
from tflm_quantmcu.stage_program import CACHE_MODES
from tflm_quantmcu.types import BIT_WIDTHS, PrecisionPlan


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


@examples(150)
@given(st.data())
def test_random_models_give_stock_tflms_bytes(data: st.DataObject) -> None:
    cnn = data.draw(random_cnns())
    graph = read_model(cnn.model)
    regions = streamable_regions(graph)
    assume(regions)
    stage = data.draw(random_stages(graph, input_modes=("streamed",), regions=regions))
    converted = convert_model(cnn.model, PrecisionPlan(graph.sha256, {}, stages=(stage,)))
    interpreter = Interpreter(converted)
    x = inputs_of(cnn, graph)
    outputs = zip(*(interpreter.invoke(sample) for sample in x), strict=True)
    for actual, expected in zip(outputs, run_stock(cnn.model, x), strict=True):
        np.testing.assert_array_equal(np.concatenate(actual), expected, f"{stage}\n{cnn}")
    assert interpreter.allocations().non_persistent_bytes == predict_arena(read_model(converted))


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
    try:
        converted = convert_model(cnn.model, plan)
    except UnsupportedModelError as error:
        assert any(reason in str(error) for reason in REFUSALS), error
        return
    verify_conversion(cnn.model, converted, plan, inputs_of(cnn, graph))
