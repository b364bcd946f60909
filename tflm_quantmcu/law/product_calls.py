"""Params of kernels of stock ops, as kernel_calls.py has those of the others: products, float32, relations, rows,
and what keeps a state."""

from __future__ import annotations

import dataclasses

from tflm_quantmcu.graph.types import Window
from tflm_quantmcu.law.kernel_calls import Dims, FeatureMap, Pair

Gates = tuple[tuple[Pair, Pair], ...]


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


@dataclasses.dataclass(frozen=True)
class FloatSlopeParams:
    count: int
    slope: float


@dataclasses.dataclass(frozen=True)
class FloatPairsParams:
    extents: Dims
    input0_steps: Dims
    input1_steps: Dims
    min: float
    max: float


@dataclasses.dataclass(frozen=True)
class FloatMeanParams:
    kept: Dims
    kept_steps: Dims
    reduced: Dims
    reduced_steps: Dims
    divisor: float


@dataclasses.dataclass(frozen=True)
class FloatRowsParams:
    rows: int
    depth: int


@dataclasses.dataclass(frozen=True)
class ScaledComparisonParams:
    extents: Dims
    input0_steps: Dims
    input1_steps: Dims
    input0_zero_point: int
    input1_zero_point: int
    input0_multiplier: Pair
    input1_multiplier: Pair


@dataclasses.dataclass(frozen=True)
class SelectParams:
    extents: Dims
    condition_steps: Dims
    input_steps: Dims
    wanted: int
    value_bytes: int


@dataclasses.dataclass(frozen=True)
class CastParams:
    count: int
    input_bytes: int
    output_bytes: int
    is_output_float: int


@dataclasses.dataclass(frozen=True)
class L2NormalizationParams:
    rows: int
    depth: int
    input_zero_point: int


@dataclasses.dataclass(frozen=True)
class LogSoftmaxParams:
    rows: int
    depth: int
    smallest_difference: int
    multiplier: Pair
    divisor: Pair


@dataclasses.dataclass(frozen=True)
class SvdfParams:
    batches: int
    depth: int
    filters: int
    rank: int
    memory: int
    state_bytes: int
    input_zero_point: int
    state_zero_point: int
    output_zero_point: int
    feature_multiplier: Pair
    multiplier: Pair


@dataclasses.dataclass(frozen=True)
class LstmParams:
    batches: int
    steps: int
    depth: int
    units: int
    input_batch_step: int
    input_time_step: int
    output_batch_step: int
    output_time_step: int
    input_zero_point: int
    hidden_zero_point: int
    gates: Gates
    forget_multiplier: Pair
    update_multiplier: Pair
    hidden_multiplier: Pair
    tanh_shift: int
    clip: int
