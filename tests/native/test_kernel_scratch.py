"""TFLM on the host records the arena of a core: our ops ask for the scratch that its kernels take."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support import networks
from tests.support.plans import split
from tflm_quantmcu.arena.predict import predict_arena
from tflm_quantmcu.converter.convert import convert_model
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.graph.target import DSP, KERNEL_VARIANTS, MVE, REFERENCE
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.runtime.samples import random_samples
from tflm_quantmcu.tflite.reader import read_model


def converted_models() -> dict[str, bytes]:
    model = networks.inverted_residual()
    graph = read_model(model)
    filters = {graph.tensors[op.inputs[1]].name: 4 for op in graph.ops if op.traits.has_filter}
    plans = {"single ops": PrecisionPlan(graph.sha256, {}, weight_bits=filters), "a stage": split(graph)}
    return {name: convert_model(model, plan) for name, plan in plans.items()}


def recorded(model: bytes, variant: str) -> int:
    return Interpreter(model, kernel_variant=variant).allocations().non_persistent_bytes


@pytest.mark.parametrize("name", ["single ops", "a stage"])
def test_tflm_records_what_is_planned_for_each_variant(name: str) -> None:
    model = converted_models()[name]
    graph = read_model(model)
    found = {variant: recorded(model, variant) for variant in KERNEL_VARIANTS}
    assert found == {variant: predict_arena(graph, variant) for variant in KERNEL_VARIANTS}
    assert len(set(found.values())) > 1, "no variant takes more: the test tells nothing"
    assert recorded(model, REFERENCE) == found[REFERENCE], "a variant outlived its interpreter"


@pytest.mark.parametrize("name", ["single ops", "a stage"])
def test_values_do_not_depend_on_the_variant(name: str) -> None:
    model = converted_models()[name]
    x = random_samples(read_model(model).input_tensors[0], 1)[0]
    expected = Interpreter(model).invoke(x)
    for variant in (DSP, MVE):
        np.testing.assert_array_equal(Interpreter(model, kernel_variant=variant).invoke(x), expected)
