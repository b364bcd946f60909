"""What a fused activation clamps values to (law A8)."""

from __future__ import annotations

import math

import numpy as np

from tflm_quantmcu.graph.types import Format
from tflm_quantmcu.law.fixed_point import round_half_away

_LOW = {"RELU": 0.0, "RELU6": 0.0, "RELU_N1_TO_1": -1.0}
_HIGH = {"RELU6": 6.0, "RELU_N1_TO_1": 1.0}


def real_range(activation: str) -> tuple[float, float]:
    """The least and the largest real value that an activation lets through."""
    return _LOW.get(activation, -math.inf), _HIGH.get(activation, math.inf)


def clamp_range(activation: str, output: Format) -> tuple[int, int]:
    """The clamps of an activation in the output's format."""

    def q(real: float) -> int:
        steps = np.float32(real) / np.float32(output.scale)
        return output.zero_point + int(round_half_away(np.float64(steps)))

    low, high = real_range(activation)
    clamp_min = output.qmin if low == -math.inf else max(output.qmin, q(low))
    clamp_max = output.qmax if high == math.inf else min(output.qmax, q(high))
    return clamp_min, clamp_max
