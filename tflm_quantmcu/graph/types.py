"""The central types of a model as read, formats and budgets. Beside them: precision_plan.py, calibration_result.py."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import numpy as np

from tflm_quantmcu.base.errors import UnsupportedModelError, UsageError
from tflm_quantmcu.graph.op_kind import OpKind
from tflm_quantmcu.graph.op_kinds import op_kind

BIT_WIDTHS = (8, 4, 2)
COMPENSATIONS = ("weights", "bias", "off")
PINNED_LAYERS = ("none", "first", "last", "both")
# Bytes of one value in TFLM's arena where numpy has no type or another idea.
_VALUE_BYTES = {"int4": 1, "bfloat16": 2, "resource": 4}

_Made = TypeVar("_Made")


def numpy_type(dtype: str) -> np.dtype | None:
    """The type where numpy has it itself; TensorFlow, where it is loaded, teaches it others."""
    try:
        found = np.dtype(dtype)
    except TypeError:
        return None
    return found if found.isbuiltin == 1 else None


@dataclasses.dataclass(frozen=True)
class Format:
    """How a feature map is stored: real value = (q - zero_point) * scale, q signed of `bits` bits (law A9).

    Attributes:
      bits: 8, 4 or 2.
      scale: real value of one step, > 0; a float32 value.
      zero_point: the q of real 0, within the width's range.
    """

    bits: int
    scale: float
    zero_point: int

    def __post_init__(self) -> None:
        if self.bits not in BIT_WIDTHS:
            raise UsageError(f"feature map width is {self.bits} bits; supported are 8, 4 and 2")
        with np.errstate(over="ignore", under="ignore"):
            step = np.float32(self.scale)
        if not step > 0 or not np.isfinite(step):
            raise UsageError(f"scale is {self.scale}; it must be a positive float32 number")
        if not self.qmin <= self.zero_point <= self.qmax:
            raise UsageError(f"zero point {self.zero_point} does not fit {self.bits} bits")

    @property
    def qmin(self) -> int:
        return -(1 << (self.bits - 1))

    @property
    def qmax(self) -> int:
        return (1 << (self.bits - 1)) - 1


@dataclasses.dataclass(frozen=True)
class Window:
    """The sliding window of a convolution or pool; pads are explicit (law A3), bottom and right follow from the
    output."""

    kernel_height: int = 1
    kernel_width: int = 1
    stride_height: int = 1
    stride_width: int = 1
    dilation_height: int = 1
    dilation_width: int = 1
    pad_top: int = 0
    pad_left: int = 0


@dataclasses.dataclass(frozen=True, eq=False)
class Tensor:
    """One tensor of a model.

    Attributes:
      index: T# in the `.tflite`.
      name: unique within the graph (the reader appends `#index` to repeated names).
      shape: static shape.
      dtype: lower-case numpy name: int8, uint8, int32, float32, ...
      scales: float32 values; empty when not quantised, one when per tensor, one a channel when per channel.
      zero_points: as many as scales.
      quantized_dimension: channel axis of per-channel scales.
      data: the constant's values with `shape`, or None for a feature map.
      is_variable: keeps its values from one inference to the next.
      made_of: of a streamed input: the model's own input, of which a QUANTIZE that is left out made it, where samples
        of that type are no real values; else None.
    """

    index: int
    name: str
    shape: tuple[int, ...]
    dtype: str
    scales: tuple[float, ...] = ()
    zero_points: tuple[int, ...] = ()
    quantized_dimension: int = 0
    data: np.ndarray | None = None
    is_variable: bool = False
    made_of: Tensor | None = None

    @property
    def label(self) -> str:
        """The name for messages: of a fused op's joined names the first."""
        return self.name.split(";")[0]

    @property
    def is_constant(self) -> bool:
        return self.data is not None

    @property
    def num_elements(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def sample_shape(self) -> tuple[int, ...]:
        """The shape of one sample's values: without a batch dimension of 1."""
        return self.shape[1:] if self.shape[:1] == (1,) else self.shape

    @property
    def weight_bits(self) -> int:
        """The width that the file has of weights; a plan's 8 keeps it."""
        return 4 if self.dtype == "int4" else 8

    @property
    def value_bytes(self) -> int:
        """Bytes of one value in TFLM's arena.

        Raises:
          UnsupportedModelError: a type that TFLM cannot place.
        """
        if self.dtype in _VALUE_BYTES:
            return _VALUE_BYTES[self.dtype]
        dtype = numpy_type(self.dtype)
        if dtype is None:
            raise UnsupportedModelError(f"tensor '{self.name}' is {self.dtype}, a type that TFLM cannot place")
        return dtype.itemsize

    @property
    def num_bytes(self) -> int:
        return self.num_elements * self.value_bytes

    @property
    def format(self) -> Format:
        """The 8-bit format of an int8 feature map."""
        return Format(8, self.scales[0], self.zero_points[0])


@dataclasses.dataclass(frozen=True)
class Op:
    """One operator.

    Attributes:
      index: position in execution order.
      kind: builtin operator name (CONV_2D, ADD, ...) or the custom code of a custom op.
      inputs: tensor indices, -1 for an omitted optional input.
      outputs: tensor indices.
      window: of convolutions and pools, SAME/VALID resolved to explicit pads; else None.
      activation: NONE, RELU, RELU_N1_TO_1 or RELU6, fused into the op.
      depth_multiplier: of a depthwise convolution; else 1.
      pads: of PAD/PADV2: ((before, after), ...) a dimension; else ().
      axis: of CONCATENATION, may count from the end; else 0.
      beta: of SOFTMAX, a float32 value; else 1.
      alpha: of LEAKY_RELU, a float32 value; else 0.
      align_corners, half_pixel_centers: of resizes; else False.
      options: the numbers in the options of a builtin, by the schema's names; what has a field above stands here too.
      custom_options: a custom op's own bytes, a FlexBuffer map for ours (docs/format.md F3); else empty.
    """

    index: int
    kind: str
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    window: Window | None = None
    activation: str = "NONE"
    depth_multiplier: int = 1
    pads: tuple[tuple[int, int], ...] = ()
    axis: int = 0
    beta: float = 1.0
    alpha: float = 0.0
    align_corners: bool = False
    half_pixel_centers: bool = False
    options: Mapping[str, int | float] = dataclasses.field(default_factory=dict, compare=False, repr=False)
    custom_options: bytes = b""

    @property
    def traits(self) -> OpKind:
        """What is known of its kind."""
        return op_kind(self.kind)


@dataclasses.dataclass(frozen=True, eq=False)
class ModelGraph:
    """A subgraph of a model, as read; the model itself, if it is the only one.

    Attributes:
      tensors: by index.
      ops: in execution order.
      inputs, outputs: tensor indices.
      sha256: hex digest of the model file's bytes.
      offline_offsets: arena offset a tensor, -1 where TFLM's planner chooses, of the file's
        OfflineMemoryAllocation; None if
        the file has none.
      target: the core that the offsets are pinned for, of the file's QUANTMCU_TARGET; None if it names none.
      subgraphs: of a model that stock TFLM runs as a whole (subgraphs.py), each as read, the first its own; `ops` is
        then one that stands for them all. Empty of other models.
      streamed_input: what a reader gives to a model without inputs, a tensor that is not among `tensors`; else None.
    """

    tensors: tuple[Tensor, ...]
    ops: tuple[Op, ...]
    inputs: tuple[int, ...]
    outputs: tuple[int, ...]
    sha256: str
    offline_offsets: tuple[int, ...] | None = None
    streamed_input: Tensor | None = None
    target: str | None = None
    subgraphs: tuple[ModelGraph, ...] = ()
    _derived: dict[Callable[..., Any], Any] = dataclasses.field(default_factory=dict, init=False, repr=False)

    @property
    def input_tensors(self) -> tuple[Tensor, ...]:
        """What the model is given: its inputs, or the one that is streamed."""
        if self.streamed_input is not None:
            return (self.streamed_input,)
        return tuple(self.tensors[t] for t in self.inputs)

    @functools.cached_property
    def producer(self) -> Mapping[int, Op]:
        """Tensor index -> the op that writes it."""
        return {t: op for op in self.ops for t in op.outputs}

    @functools.cached_property
    def consumers(self) -> Mapping[int, tuple[Op, ...]]:
        """Tensor index -> the ops that read it, in execution order."""
        readers: dict[int, list[Op]] = {t.index: [] for t in self.tensors}
        for op in self.ops:
            for t in dict.fromkeys(op.inputs):
                if t >= 0:
                    readers[t].append(op)
        return {t: tuple(ops) for t, ops in readers.items()}

    @functools.cached_property
    def by_name(self) -> Mapping[str, Tensor]:
        return {t.name: t for t in self.tensors}

    def derived(self, make: Callable[[ModelGraph], _Made]) -> _Made:
        """What `make` makes of the graph: made at the first call, and kept as long as the graph is."""
        if make not in self._derived:
            self._derived[make] = make(self)
        made: _Made = self._derived[make]
        return made

    def feature_maps(self, op: Op) -> tuple[int, ...]:
        """The op's non-constant inputs, in order, repeats kept."""
        return tuple(t for t in op.inputs if t >= 0 and not self.tensors[t].is_constant)


@dataclasses.dataclass(frozen=True)
class Budget:
    """Bounds of the device and on the work of one inference; None is no bound.

    Attributes:
      sram_bytes: of the RAM that is reserved on the target, or of its part that counts (`--sram_scope`).
      flash_bytes: of the model and our code, or of the model alone (`--flash_scope`).
      bit_ops: MACs x input bits x weight bits.
      instructions: of our kernels, estimated from the table of a core.
    """

    sram_bytes: int | None = None
    flash_bytes: int | None = None
    bit_ops: int | None = None
    instructions: int | None = None

    def __post_init__(self) -> None:
        for name, value in self.flags.items():
            if value is not None and value <= 0:
                raise UsageError(f"--{name} is {value}; it must be a positive float32 number")

    @property
    def flags(self) -> dict[str, int | None]:
        """The bounds by the names of their flags."""
        return {
            "sram_bytes": self.sram_bytes,
            "flash_bytes": self.flash_bytes,
            "max_bit_ops": self.bit_ops,
            "max_instructions": self.instructions,
        }
