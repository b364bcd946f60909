"""What a search needs beside a model: calibration on random samples, and conversion to measure plans."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from tflm_quantmcu.app import api
from tflm_quantmcu.app.plan_costs import PlanCosts
from tflm_quantmcu.arena.predict import predict_arena
from tflm_quantmcu.graph.calibration_result import CalibrationResult
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.graph.target import STOCK_REFERENCE, WORST_CORE, Target
from tflm_quantmcu.search.options import Options
from tflm_quantmcu.search.problem import PlanBytes, SearchProblem
from tflm_quantmcu.tflite.model_file import ModelFile


class MapCosts(PlanCosts):
    """Costs on the cores whose kernels take no scratch: of models so small that scratch would rule their budgets."""

    def __init__(self, model: ModelFile, **options: Any):
        super().__init__(model, target=Target.of(stock_kernels=STOCK_REFERENCE), **options)

    def bytes_of(self, plan: PrecisionPlan) -> PlanBytes:
        converted = self.convert(plan)
        return PlanBytes(predict_arena(converted.graph), len(converted.data))


# Bounds as papers count them, without scratch of kernels outside of stages, kept on every core.
MAPS_ON_ANY_CORE = {
    "core": "any",
    "sram_scope": "nonpersistent",
    "flash_scope": "model",
    "stock_kernels": STOCK_REFERENCE,
}
# Searches as their papers have them: no patches, whatever accuracy it takes.
WIDTHS_ALONE = {"split": "off", "max_accuracy_drop": "off"}


def problem_of(model: bytes, x: np.ndarray | None, **options: Any) -> SearchProblem:
    """The problem of a search with these options, calibrated on int8 samples [N, H, W, C] if there are any."""
    chosen = Options.of(options)
    target = dataclasses.replace(WORST_CORE, stock_kernels=chosen.target.stock_kernels)
    costs = PlanCosts(ModelFile(model), target=target)
    calibration = None if x is None else api.calibrate_model(model, x, progress=False)
    return SearchProblem(costs.model.graph, calibration, chosen.budget, costs, chosen, seed=chosen.seed)


def calibration_of(model: bytes, *, shape: tuple[int, ...], count: int = 8, seed: int = 0) -> CalibrationResult:
    """Random int8 samples [count, *shape] through the model."""
    samples = np.random.default_rng(seed).integers(-100, 100, (count, *shape), dtype=np.int8)
    return api.calibrate_model(model, samples, progress=False)


def plain_bytes(model: bytes, **options: Any) -> tuple[int, int]:
    """(arena, flash) of the model through our converter at 8 bits, not split."""
    result = api.convert(model, search="memory_driven", split="off", progress=False, **MAPS_ON_ANY_CORE, **options)
    return result.report.converted.arena_bytes, len(result.model)
