"""Params of the kernels that multiply maps by each other, as kernel_calls.py has those of the others."""

from __future__ import annotations

import dataclasses

from tflm_quantmcu.law.kernel_calls import Dims, Pair


@dataclasses.dataclass(frozen=True)
class MatMulParams:
    extents: Dims
    left_steps: Dims
    right_steps: Dims
    depth: int
    left_depth_step: int
    right_depth_step: int
    left_zero_point: int
    right_zero_point: int
    output_zero_point: int
    num_biases: int
    clamp: Pair
    multiplier: Pair
