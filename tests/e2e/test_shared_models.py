"""Real models: at 8 bits the split model is stock TFLM's function in less arena, predicted to the byte."""

from __future__ import annotations

import numpy as np
import pytest

import tflm_quantmcu as qm
from tests.support import shared_data
from tests.support.search_problems import MAPS_ON_ANY_CORE
from tflm_quantmcu.runtime.samples import random_samples, to_model_input
from tflm_quantmcu.tflite.reader import read_model

# Samples of each model; a test takes a few, `experiments/compare_with_stock.py` takes all.
SAMPLES = {
    "ic_resnet8_int8": "cifar10_test_2000",
    "kws_dscnn_int8": "kws_test_375",
    "person_detect": "person_detect_2",
}
NUM_SAMPLES = 12


def _inputs(name: str, model: bytes) -> np.ndarray:
    graph = read_model(model)
    tensor = graph.tensors[graph.inputs[0]]
    noise = random_samples(tensor, 4)
    if name not in SAMPLES:
        return noise
    x = np.load(shared_data.path_of(f"samples/{SAMPLES[name]}.npz"))["x"][:NUM_SAMPLES]
    return np.concatenate([to_model_input(x, tensor), noise])


@pytest.mark.parametrize("name", shared_data.CONVOLUTIONAL)
def test_eight_bit_split_equals_stock_tflm_in_less_arena(name: str) -> None:
    model = shared_data.model(name)
    result = qm.convert(model, search="uniform", activation_bits=8, weight_bits=8)
    stock, split = qm.Interpreter(model), qm.Interpreter(result.model)
    x = _inputs(name, model)
    assert np.array_equal(stock.run(x), split.run(x))
    before, after = stock.allocations(), split.allocations()
    assert after.non_persistent_bytes < before.non_persistent_bytes
    figures = result.report.converted
    assert figures.predicted_non_persistent_bytes == after.non_persistent_bytes


@pytest.mark.parametrize(
    ("name", "data", "bits"),
    [
        ("ic_resnet8_int8", "cifar10_train_500", {}),
        ("kws_dscnn_int8", "kws_calibration_125", {"vdpc_phi": 0.9}),
        ("kws_dscnn_int8", "kws_calibration_125", {"vdpc": "dynamic", "vdpc_phi": 0.98}),
        ("ic_resnet8_int8", "cifar10_train_500", {"vdpc": "dynamic", "vdpc_phi": 0.9, "max_macs_ratio": 4.0}),
        ("kws_dscnn_int8", "kws_calibration_125", {"search": "uniform", "activation_bits": 4, "weight_bits": 4}),
        ("ic_resnet8_int8", "cifar10_train_500", {"search": "uniform", "activation_bits": 2, "weight_bits": 4}),
        (
            "ic_resnet8_int8",
            "cifar10_train_500",
            {
                "search": "memory_driven",
                "sram_bytes": 30_000,
                "flash_bytes": 60_000,
                "split": "off",
                "max_accuracy_drop": "off",
            },
        ),
        (
            "kws_dscnn_int8",
            "kws_calibration_125",
            {"search": "memory_driven", "sram_bytes": 10_000, "split": "off", "max_accuracy_drop": "off"},
        ),
        (
            "person_detect",
            "person_detect_2",
            {
                "search": "memory_driven",
                "sram_bytes": 40_000,
                "flash_bytes": 200_000,
                "split": "off",
                "max_accuracy_drop": "off",
            },
        ),
    ],
)
def test_mixed_widths_equal_the_oracle_and_the_predicted_arena(name: str, data: str, bits: dict) -> None:
    model = shared_data.model(name)
    result = qm.convert(
        model,
        calibration_data=shared_data.path_of(f"samples/{data}.npz"),
        max_samples=16,
        **({} if "search" in bits else {"vdqs_lambda": 0.2}),
        **bits,
        **MAPS_ON_ANY_CORE,
    )
    assert not result.report.verification.is_same_function
    recorded = qm.Interpreter(result.model).allocations().non_persistent_bytes
    assert result.report.converted.predicted_non_persistent_bytes == recorded


@pytest.mark.parametrize("name", ["ad01_int8", "hello_world_int8"])
def test_networks_without_convolutions_are_left_alone_with_a_reason(name: str) -> None:
    model = shared_data.model(name)
    result = qm.convert(model, search="uniform")
    assert result.plan.stages == ()
    assert "no convolution" in result.plan.notes[0]
    assert np.array_equal(
        qm.Interpreter(model).run(_inputs(name, model)), qm.Interpreter(result.model).run(_inputs(name, model))
    )
