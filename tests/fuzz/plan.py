"""Any text as plan.json: it is refused by one sentence, or comes back as written, and converts a model or does not."""

from __future__ import annotations

import json
import random

import atheris

from tests.fuzz import json_changes
from tests.fuzz.targets import run

with atheris.instrument_imports(include=["tflm_quantmcu.graph", "tflm_quantmcu.base", "tflm_quantmcu.converter"]):
    from tests.support.networks import inverted_residual
    from tflm_quantmcu.app.accuracy_lines import accuracy_lines
    from tflm_quantmcu.base.errors import QuantMcuError
    from tflm_quantmcu.converter.convert import convert_model
    from tflm_quantmcu.graph.precision_plan import PrecisionPlan
    from tflm_quantmcu.tflite.model_file import ModelFile

MODEL = ModelFile(inverted_residual(size=6, channels=2))


def one_input(data: bytes) -> None:
    try:
        plan = PrecisionPlan.from_json(data.decode("utf-8", "replace"))
    except QuantMcuError:
        return
    assert PrecisionPlan.from_json(plan.to_json()) == plan
    accuracy_lines(plan.search)
    try:
        convert_model(MODEL, plan)
    except QuantMcuError:
        return


def mutate(data: bytes, rng: random.Random) -> bytes:
    return json.dumps(json_changes.changed(json.loads(data), rng)).encode()


if __name__ == "__main__":
    run(one_input, mutate)
