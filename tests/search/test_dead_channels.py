"""Output channels whose weights are all 0, as trained networks have: their scales are tiny and their biases huge."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from tests.support.search_problems import MAPS_ON_ANY_CORE, WIDTHS_ALONE, calibration_of, plain_bytes
from tests.support.tiny_models import TinyModel
from tflm_quantmcu.app import api
from tflm_quantmcu.app.accuracy_lines import accuracy_of
from tflm_quantmcu.base.errors import BudgetError
from tflm_quantmcu.compensation.compensate import has_low_widths
from tflm_quantmcu.oracle.simulate import simulate
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.search.registry import SEARCHES
from tflm_quantmcu.tflite.canonical.canonical import canonical
from tflm_quantmcu.tflite.model_file import ModelFile

DEAD_SCALE, DEAD_BIAS = 5e-10, 1 << 30  # what TFLite's converter makes of one: the bias just fits


def _model() -> bytes:
    """A third of the channels of each convolution is dead."""
    net, rng = TinyModel(), np.random.default_rng(1)
    relu = {"activation": "RELU6", "zero_point": -128, "scale": 0.05}
    x = net.input((1, 16, 16, 3))
    for shape, scale in (((12, 3, 3, 3), 0.01), ((3, 3, 12), 0.01), ((18, 3, 3, 12), 0.004), ((24, 1, 1, 18), 0.004)):
        is_depthwise = len(shape) == 3
        outputs = shape[-1 if is_depthwise else 0]
        dead = np.arange(outputs) % 3 == 1
        weights = np.moveaxis(rng.integers(-127, 128, shape, dtype=np.int8), -1 if is_depthwise else 0, 0)
        weights[dead] = 0
        biases = np.where(dead, DEAD_BIAS * (-1) ** np.arange(outputs), rng.integers(-200, 200, outputs))
        rest: dict[str, Any] = {"filter_scales": np.where(dead, DEAD_SCALE, scale).tolist(), **relu}
        if is_depthwise:
            x = net.depthwise_conv2d(x, np.moveaxis(weights, 0, -1), biases.astype(np.int32), **rest)
        else:
            x = net.conv2d(x, weights, biases.astype(np.int32), **rest)
    x = net.reshape(net.average_pool2d(x, (16, 16), padding="VALID"), (1, 24))
    return net.build(net.softmax(net.fully_connected(x, rng.integers(-127, 128, (5, 24), dtype=np.int8), scale=0.1)))


MODEL = _model()
GRAPH = canonical(ModelFile(MODEL)).graph  # without what is constant
ARENA_BYTES, FLASH_BYTES = plain_bytes(MODEL, strip_metadata=True)
BOUNDS = {"sram_bytes": ARENA_BYTES * 8 // 10, "flash_bytes": FLASH_BYTES * 97 // 100, **MAPS_ON_ANY_CORE}
LOWERS: dict[str, dict[str, Any]] = {
    "uniform": {"activation_bits": 4, "weight_bits": 4},
    "vdqs": {"objective": "bit_ops", "vdqs_lambda": 0.0, "vdqs_min_weight_bits": 4},
    "memory_driven": BOUNDS,
    "rl": {**BOUNDS, "rl_episodes": 12, "rl_warmup_episodes": 8},
    "hybrid": {**BOUNDS, "hybrid_steps": 8, "hybrid_batch": 8},
}


@pytest.mark.parametrize("compensation", ("bias", "weights"))
@pytest.mark.parametrize("search", SEARCHES)
def test_every_search_lowers_a_network_with_dead_channels(search, compensation):
    options = {
        "search": search,
        "compensation": compensation,
        "strip_metadata": True,
        "progress": False,
        **WIDTHS_ALONE,
    }
    calibration = calibration_of(MODEL, shape=(16, 16, 3))
    result = api.convert(MODEL, calibration=calibration, **options, **LOWERS[search])
    corrected = [result.plan, *(c for stage in result.plan.stages for c in stage.classes)]
    assert any(part.bias_corrections for part in corrected), "something was lowered"
    x = np.random.default_rng(3).integers(-128, 128, (8, 16, 16, 3), dtype=np.int8)
    expected = simulate(GRAPH, result.plan, x)[GRAPH.tensors[GRAPH.outputs[0]].name]
    np.testing.assert_array_equal(Interpreter(result.model).run(x), expected)


@pytest.mark.parametrize("search", SEARCHES)
def test_every_search_keeps_the_accuracy_bound_on_a_network_with_dead_channels(search):
    calibration = calibration_of(MODEL, shape=(16, 16, 3), count=160)
    bounds = {} if search == "uniform" else BOUNDS
    lengths = {name: value for name, value in LOWERS[search].items() if name.startswith(f"{search}_")}
    options = {**bounds, **(lengths if search in ("rl", "hybrid") else {}), "strip_metadata": True, "progress": False}
    try:
        plan = api.plan(MODEL, calibration=calibration, search=search, max_accuracy_drop=0.5, **options)
    except BudgetError as error:
        assert re.search("--max_accuracy_drop is 0.5 .* points of accuracy are lost|smallest", str(error))
        return
    found = accuracy_of(plan.search)
    assert found is None or found["points"] <= (0.5 if has_low_widths(plan) else 0)
    assert found is not None or not has_low_widths(plan)
