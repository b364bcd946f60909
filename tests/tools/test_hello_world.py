"""The example's models: what train.py writes, as accurate as it says, and small where they are split."""

from __future__ import annotations

import numpy as np

import tflm_quantmcu as qm
from tflm_kernels.examples.hello_world import drawings, evaluate
from tflm_quantmcu.stage.custom_ops import PATCH_STAGE
from tflm_quantmcu.tflite.reader import read_model
from tools.hello_world import MODELS, VERSIONS

SAMPLES = drawings.draw(60, seed=3)[0]


def _model(version: str) -> bytes:
    return (MODELS / f"hello_world_{version}.tflite").read_bytes()


def test_each_model_knows_directions() -> None:
    found = evaluate.accuracies(MODELS, 200)
    assert set(found) == {f"hello_world_{version}" for version in VERSIONS}
    assert min(found.values()) > 0.95, found


def test_the_split_model_computes_the_same_in_a_third_of_the_arena() -> None:
    stock, split = qm.Interpreter(_model("int8")), qm.Interpreter(_model("split"))
    np.testing.assert_array_equal(stock.predict(SAMPLES), split.predict(SAMPLES))
    assert 3 * split.allocations().non_persistent_bytes < stock.allocations().non_persistent_bytes


def test_a_stage_is_in_each_but_the_first() -> None:
    for version in VERSIONS:
        kinds = {op.kind for op in read_model(_model(version)).ops}
        assert (PATCH_STAGE in kinds) == (version != "int8")
