"""What a search needs beside a model: calibration on random samples, and conversion to measure plans."""

from __future__ import annotations

from typing import Any

import numpy as np

from tflm_quantmcu import api
from tflm_quantmcu.types import CalibrationResult


def calibration_of(model: bytes, *, shape: tuple[int, ...], count: int = 8, seed: int = 0) -> CalibrationResult:
    """Random int8 samples [count, *shape] through the model."""
    samples = np.random.default_rng(seed).integers(-100, 100, (count, *shape), dtype=np.int8)
    return api.calibrate_model(model, samples, progress=False)


def plain_bytes(model: bytes, **options: Any) -> tuple[int, int]:
    """(arena, flash) of the model through our converter at 8 bits, not split."""
    result = api.convert(model, search="memory_driven", progress=False, **options)
    return result.report.converted.predicted_non_persistent_bytes, len(result.model)
