"""Stock ops on our kernels in TFLM's Python interpreter: its bytes, in the arena of a core that runs them so."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.support import networks, shared_data
from tests.support.fast_op_models import computed_weights, odd_shapes
from tflm_quantmcu.arena.machine import HOST
from tflm_quantmcu.arena.persistent import replay_allocation
from tflm_quantmcu.arena.predict import op_scratch_bytes, predict_arena
from tflm_quantmcu.graph.target import DSP, MVE, QUANTMCU, REFERENCE, STOCK_REFERENCE
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.runtime.samples import random_inputs
from tflm_quantmcu.tflite.reader import read_model

MODELS: dict[str, Callable[[], bytes]] = {
    "computed weights": computed_weights,
    "inverted residual": networks.inverted_residual,
    "odd shapes": odd_shapes,
    **{
        name: lambda name=name: shared_data.model(name)
        for name in ("ad01_int8", "ic_resnet8_int8", "kws_dscnn_int8", "person_detect")
    },
}


@pytest.mark.parametrize("variant", (DSP, MVE))
@pytest.mark.parametrize("name", MODELS)
def test_bytes_and_arena(name: str, variant: str) -> None:
    model = MODELS[name]()
    graph = read_model(model)
    for stock_kernels in (QUANTMCU, STOCK_REFERENCE):
        found = Interpreter(model, kernel_variant=variant, stock_kernels=stock_kernels)
        recorded, replayed = found.allocations(), replay_allocation(graph, HOST, variant, stock_kernels)
        assert recorded.non_persistent_bytes == predict_arena(graph, variant, stock_kernels)
        assert recorded.persistent_bytes == replayed.persistent.total
        assert found.least_arena_bytes() == replayed.needed_bytes
        for sample in zip(*random_inputs(graph.input_tensors, 2), strict=True):
            for wanted, values in zip(Interpreter(model).invoke(sample), found.invoke(sample), strict=True):
                np.testing.assert_array_equal(values, wanted)


@pytest.mark.parametrize("name", ("ic_resnet8_int8", "odd shapes"))
def test_ours_ask_for_scratch_where_tflms_do_not(name: str) -> None:
    graph = read_model(MODELS[name]())
    asked = {v: sum(sum(op_scratch_bytes(graph, op, v)) for op in graph.ops) for v in (REFERENCE, DSP, MVE)}
    assert asked[REFERENCE] == 0 < asked[DSP] != asked[MVE]
    assert not any(op_scratch_bytes(graph, op, DSP, STOCK_REFERENCE) for op in graph.ops)
