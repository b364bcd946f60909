"""plan.json: written for people, read back whole, forgiving where a person edits it."""

from __future__ import annotations

import dataclasses
import json
import tracemalloc
import zlib

import numpy as np
import pytest

from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.graph.precision_plan import PatchClass, PrecisionPlan, RoundedWeights, StagePlan
from tflm_quantmcu.graph.types import Format

FORMAT = Format(4, 0.5, -8)
PLAN = PrecisionPlan(
    "0" * 64,
    {"method": "by hand", "seed": 0, "calibration_sha256": "1" * 64, "scores": {"b": {"4": 0.25}}},
    stages=(
        StagePlan(
            "x",
            "y",
            2,
            2,
            ((0, 1), (1, 1)),
            (PatchClass("outlier", {}), PatchClass("ordinary", {"b": FORMAT})),
            layers=("depthwise", "pointwise"),
        ),
    ),
    formats={"a": FORMAT},
    weight_bits={"w": 2},
    notes=("a note",),
    layers={"a": "conv", "b": "depthwise", "w": "conv"},
)


def test_a_plan_comes_back_whole_with_its_layers():
    again = PrecisionPlan.from_json(PLAN.to_json())
    assert again == PLAN
    assert again.layers == PLAN.layers and again.stages[0].layers == ("depthwise", "pointwise")
    assert "depthwise" not in PLAN.to_json(compact=True)
    assert again.to_json() == PLAN.to_json()


def test_what_makes_up_for_widths_is_in_the_file_only_where_there_is_some():
    assert "rounded_weights" not in PLAN.to_json() and "bias_corrections" not in PLAN.to_json()
    outlier, ordinary = PLAN.stages[0].classes
    classes = (outlier, dataclasses.replace(ordinary, bias_corrections={"b": (0.5, -1.25)}))
    plan = dataclasses.replace(
        PLAN,
        stages=(dataclasses.replace(PLAN.stages[0], classes=classes),),
        rounded_weights={"w": RoundedWeights.of(2, np.array([0.1, 0.2]), np.array([0, 1, -2, -1], np.int8))},
        bias_corrections={"a": (1e-3,)},
    )
    assert PrecisionPlan.from_json(plan.to_json()) == plan
    assert plan.to_json(compact=True) == PLAN.to_json(compact=True)


@pytest.mark.parametrize("values, message", (("AAAA", "are no zlib data"), ("no base64!", "the plan cannot be read")))
def test_rounded_weights_that_cannot_be_read_are_refused(values, message):
    fields = json.loads(PLAN.to_json()) | {"rounded_weights": {"w": {"bits": 2, "scales": [1.0], "values": values}}}
    with pytest.raises(UsageError, match=message):
        PrecisionPlan.from_json(json.dumps(fields))


def test_rounded_weights_are_unpacked_as_far_as_the_model_has_some():
    bomb = RoundedWeights(4, (1.0,), zlib.compress(bytes(1 << 26), 9))
    text = dataclasses.replace(PLAN, rounded_weights={"w": bomb}).to_json()
    tracemalloc.start()
    rounded = PrecisionPlan.from_json(text).rounded_weights["w"]
    assert len(rounded.values(9)) == 10, "one too many shows that they do not fit"
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1 << 20


def test_layers_stand_beside_tensor_names_and_a_row_of_patches_on_a_line():
    fields = json.loads(PLAN.to_json())
    assert fields["formats"]["a"]["layer"] == fields["weight_bits"]["w"]["layer"] == "conv"
    assert fields["stages"][0]["classes"][1]["formats"]["b"]["layer"] == "depthwise"
    lines = [line.strip() for line in PLAN.to_json().splitlines()]
    assert '"w": {"bits": 2, "layer": "conv"}' in lines
    assert "[0, 1]," in lines


def test_layers_decide_nothing():
    fields = json.loads(PLAN.to_json())
    del fields["formats"]["a"]["layer"]
    fields["weight_bits"]["w"]["layer"] = "another"
    assert PrecisionPlan.from_json(json.dumps(fields)) == PLAN


def test_weights_may_be_edited_to_a_number():
    fields = json.loads(PLAN.to_json())
    fields["weight_bits"] = {"w": 2}
    assert PrecisionPlan.from_json(json.dumps(fields)) == PLAN


def test_compact_is_one_line_without_layers_and_scores():
    text = PLAN.to_json(compact=True)
    assert "\n" not in text and "layer" not in text
    unscored = {key: value for key, value in PLAN.search.items() if key != "scores"}
    assert PrecisionPlan.from_json(text) == dataclasses.replace(PLAN, search=unscored) != PLAN


@pytest.mark.parametrize("weights", ('{"w": {"layer": "conv"}}', "[2]", '{"w": {"bits": 2, "scale": 1}}'))
def test_ill_typed_weights_are_refused(weights):
    text = PLAN.to_json().replace('{\n  "w": {"bits": 2, "layer": "conv"}\n }', weights)
    assert weights in text
    with pytest.raises(UsageError, match="the plan cannot be read"):
        PrecisionPlan.from_json(text)
