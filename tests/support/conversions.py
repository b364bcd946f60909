"""What the conversion of a random CNN must keep, on the real TFLM."""

from __future__ import annotations

import numpy as np

from tests.support.random_cnn import RandomCnn
from tests.support.stock_tflm import run_stock
from tflm_quantmcu.arena.predict import predict_arena
from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.converter.convert import convert_model
from tflm_quantmcu.converter.verify import verify_conversion
from tflm_quantmcu.graph.precision_plan import PrecisionPlan, StagePlan
from tflm_quantmcu.graph.types import ModelGraph
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.tflite.reader import read_model

# What the converter may refuse at random widths, and why that is right.
REFUSALS = (
    "leaves int32",  # far narrower maps can push a bias out of int32
    "has no QMCU_ kernel",  # the map lies between stock ops and cannot be packed
    "whose 2-bit runs have gaps",
    "whose 4-bit runs have gaps",
)


def assert_split_equals_stock(cnn: RandomCnn, graph: ModelGraph, stage: StagePlan) -> None:
    """Asserts that with a stage at 8 bits the model gives stock TFLM's bytes and takes the arena that is predicted."""
    converted = convert_model(cnn.model, PrecisionPlan(graph.sha256, {}, stages=(stage,)))
    interpreter = Interpreter(converted)
    x = _inputs(cnn, graph)
    outputs = zip(*(interpreter.invoke(sample) for sample in x), strict=True)
    for actual, expected in zip(outputs, run_stock(cnn.model, x), strict=True):
        np.testing.assert_array_equal(np.concatenate(actual), expected, f"{stage}\n{cnn}")
    assert interpreter.allocations().non_persistent_bytes == predict_arena(read_model(converted))


def assert_equals_oracle(cnn: RandomCnn, graph: ModelGraph, plan: PrecisionPlan) -> None:
    """Every map of the converted model equals the oracle's, or the converter refuses the plan for a known reason."""
    try:
        converted = convert_model(cnn.model, plan)
    except UnsupportedModelError as error:
        assert any(reason in str(error) for reason in REFUSALS), error
        return
    verify_conversion(cnn.model, converted, plan, _inputs(cnn, graph))


def _inputs(cnn: RandomCnn, graph: ModelGraph) -> np.ndarray:
    return cnn.inputs(graph.tensors[graph.inputs[0]].shape)
