"""Params of kernels of stock ops, as kernel_calls.py has those of the others: products of maps, float32 values."""

from __future__ import annotations

import dataclasses

from tflm_quantmcu.graph.types import Window
from tflm_quantmcu.law.kernel_calls import Dims, FeatureMap, Pair


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


@dataclasses.dataclass(frozen=True)
class GroupedConv2DParams:
    input: FeatureMap
    output: FeatureMap
    window: Window
    clamp: Pair
    weight_bits: int
    num_groups: int


@dataclasses.dataclass(frozen=True)
class FloatValuesParams:
    count: int
