"""Calls of the portable kernels as data: what emitted code is made of, and what the oracle of stock ops runs.

Each params class has the fields of the C++ struct of the same name, in its order (tflm_kernels/portable).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from tflm_quantmcu.graph.types import Window

NUM_DIMS = 4
CHANNEL_TABLE = ("Bias", "Multiplier", "Shift")  # constants that a call takes as one ChannelTable

Dims = tuple[int, ...]
Pair = tuple[int, int]


@dataclasses.dataclass(frozen=True)
class StridedCopyParams:
    extents: Dims
    input_steps: Dims
    output_steps: Dims


@dataclasses.dataclass(frozen=True)
class FillParams:
    num_bytes: int
    value: int


@dataclasses.dataclass(frozen=True)
class MeanParams:
    kept: Dims
    kept_steps: Dims
    reduced: Dims
    reduced_steps: Dims
    input_zero_point: int
    output_zero_point: int
    multiplier: Pair


@dataclasses.dataclass(frozen=True)
class MulParams:
    extents: Dims
    input0_steps: Dims
    input1_steps: Dims
    input0_zero_point: int
    input1_zero_point: int
    output_zero_point: int
    clamp: Pair
    multiplier: Pair


@dataclasses.dataclass(frozen=True)
class BroadcastAddParams:
    extents: Dims
    input0_steps: Dims
    input1_steps: Dims
    input0_zero_point: int
    input1_zero_point: int
    output_zero_point: int
    clamp: Pair
    multipliers: tuple[Pair, Pair, Pair]


@dataclasses.dataclass(frozen=True)
class ComparisonParams:
    extents: Dims
    input0_steps: Dims
    input1_steps: Dims


@dataclasses.dataclass(frozen=True)
class ReductionParams:
    kept: Dims
    kept_steps: Dims
    reduced: Dims
    reduced_steps: Dims


@dataclasses.dataclass(frozen=True)
class BroadcastPreluParams:
    extents: Dims
    input_steps: Dims
    slope_steps: Dims
    input_zero_point: int
    slope_zero_point: int
    output_zero_point: int
    identity: Pair
    negative: Pair


@dataclasses.dataclass(frozen=True)
class ResizeAxis:
    step: int
    first: int
    size: int
    begin: int


@dataclasses.dataclass(frozen=True)
class ResizeBilinearParams:
    input: FeatureMap
    output: FeatureMap
    rows: ResizeAxis
    columns: ResizeAxis
    clamp: Pair
    multiplier: Pair


@dataclasses.dataclass(frozen=True)
class SoftmaxParams:
    rows: int
    depth: int
    smallest_difference: int
    multiplier: Pair


@dataclasses.dataclass(frozen=True)
class LogisticParams:
    count: int
    input_zero_point: int
    radius: int
    multiplier: Pair


@dataclasses.dataclass(frozen=True)
class HardSwishParams:
    count: int
    input_zero_point: int
    output_zero_point: int
    gate_multiplier: int
    gate_shift: int
    output_multiplier: int
    output_shift: int


@dataclasses.dataclass(frozen=True)
class QuantizeParams:
    count: int
    scale: float
    zero_point: int


@dataclasses.dataclass(frozen=True)
class RequantizeBytesParams:
    count: int
    is_input_unsigned: int
    input_zero_point: int
    output_zero_point: int
    clamp: Pair
    multiplier: Pair


@dataclasses.dataclass(frozen=True)
class FeatureMap:
    height: int
    width: int
    channels: int
    row_bytes: int
    bits: int
    zero_point: int


@dataclasses.dataclass(frozen=True)
class Conv2DParams:
    input: FeatureMap
    output: FeatureMap
    window: Window
    clamp: Pair
    weight_bits: int


@dataclasses.dataclass(frozen=True)
class DepthwiseConv2DParams:
    input: FeatureMap
    output: FeatureMap
    window: Window
    clamp: Pair
    weight_bits: int
    depth_multiplier: int


@dataclasses.dataclass(frozen=True)
class FullyConnectedParams:
    input: FeatureMap
    output: FeatureMap
    clamp: Pair
    weight_bits: int


@dataclasses.dataclass(frozen=True)
class AddParams:
    input0: FeatureMap
    input1: FeatureMap
    output: FeatureMap
    clamp: Pair
    multipliers: tuple[Pair, Pair, Pair]


@dataclasses.dataclass(frozen=True)
class Pool2DParams:
    input: FeatureMap
    output: FeatureMap
    window: Window
    clamp: Pair
    multiplier: Pair


@dataclasses.dataclass(frozen=True)
class RequantizeParams:
    input: FeatureMap
    output: FeatureMap
    pad_top: int
    pad_left: int
    clamp: Pair
    multiplier: Pair


@dataclasses.dataclass(frozen=True)
class LutParams:
    input: FeatureMap
    output: FeatureMap
    pad_top: int
    pad_left: int
    channel_step: int = 0


@dataclasses.dataclass(frozen=True)
class StructArray:
    """An array of a C++ struct in flash; a row's items are numbers or tuples of them."""

    struct: str
    rows: tuple[tuple[Any, ...], ...]

    @property
    def num_bytes(self) -> int:
        """All numbers are int32."""
        return 4 * sum(np.size(item) for row in self.rows for item in row)


@dataclasses.dataclass(frozen=True, eq=False)
class PatchStageParams:
    """Arrays stand for pointers to them."""

    header: tuple[int, ...]
    ops: StructArray
    maps: StructArray
    formats: StructArray
    table_offsets: np.ndarray
    patch_classes: np.ndarray
    tables: np.ndarray
    filters: np.ndarray

    @property
    def num_inputs(self) -> int:
        """The maps that no op writes."""
        return len(self.maps.rows) - len(self.ops.rows)


@dataclasses.dataclass(frozen=True, eq=False)
class KernelCall:
    """One call: kernel(params, inputs..., constants..., output, scratch if it takes any).

    Attributes:
      kernel: name of the C++ function.
      params: its first argument: a dataclass.
      inputs: tensor indices.
      output: tensor index.
      constants: what an array is called -> the array in flash, in the order of the arguments.
      input_offsets: bytes into each input; empty for none.
      output_offset: bytes into the output.
      scratch_bytes: of the arena, during the call; None where the kernel takes no scratch.
    """

    kernel: str
    params: Any
    inputs: tuple[int, ...]
    output: int
    constants: Mapping[str, np.ndarray] = dataclasses.field(default_factory=dict)
    input_offsets: tuple[int, ...] = ()
    output_offset: int = 0
    scratch_bytes: int | None = None

    @property
    def factors(self) -> np.ndarray | None:
        """int32 [2, output channels], multipliers and shifts; None without a table of channels."""
        table = [self.constants[label] for label in CHANNEL_TABLE[1:] if label in self.constants]
        return np.stack(table) if table else None
