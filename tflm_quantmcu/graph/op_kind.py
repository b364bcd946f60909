"""What there is to know of a kind of op without a model; the kinds themselves are rows of op_kinds.py."""

from __future__ import annotations

import dataclasses
import enum
import re
from collections.abc import Callable


class Formats(enum.Enum):
    """Which formats TFLM's kernel of a kind allows its maps."""

    KEPT = "all maps keep those they have"  # also of every kind that is in no row
    FREE = "any of each map"
    OWN_OUTPUT = "any of the inputs; the output has one of its own"
    SHARED = "one of all maps: the kernel moves or pools bytes whatever the formats say"


class Table(enum.Enum):
    """Which int32 table an op of ours requantises with (docs/format.md F3, F4)."""

    CHANNELS = "bias, multiplier and shift of each output channel"
    SUM = "multiplier and shift of both inputs and of the output"
    FACTOR = "multiplier and shift"
    ENTRIES = "an int8 output value for every input value, four a word"
    CHANNEL_ENTRIES = "ENTRIES of each channel"
    CHANNEL_RUNS = "multiplier and shift of each input, then runs of channels"


_TAPS, _PADS = "kernel_height kernel_width stride_height stride_width", "pad_top pad_left"


class Reach(enum.Enum):
    """Which part of a window (graph/types.py) an op of ours has: fields, with blanks between."""

    NOTHING = ""
    PADS = _PADS
    POOL = f"{_TAPS} {_PADS}"
    FILTER = f"{_TAPS} dilation_height dilation_width {_PADS}"

    @property
    def keys(self) -> tuple[str, ...]:
        """Names of its fields in a `Window`."""
        return tuple(self.value.split())


# (taps, input channels, output channels) -> multiply-accumulates of one output pixel.
Products = Callable[[int, int, int], int]


@dataclasses.dataclass(frozen=True)
class OpKind:
    """One kind.

    Attributes of the builtin:
      name: TFLite's name, or ours.
      num_inputs: those without which such an op means nothing.
      formats: see `Formats`.
      weight_axis: of the output channels of the weights, its second input; 0 without weights.
      bias_input: which input is the bias; 0 of kinds without weights.
      map_input: which input of one with weights is the feature map.
      becomes: name of the op of ours that carries it over; "" if none does.
      in_stage: name of the op of ours that carries it over in stages alone, where its form allows it.
      activation: the fused activation that the op is, of RELU and RELU6.
      is_reshape: the output's bytes are the input's.
      is_pad: of height and width, by constant amounts.
      is_missing: TFLM has no int8 kernel of it, so that another op stands in its place everywhere.

    Attributes of the op of ours, "" and None of kinds that are none:
      kernel: its C++ function outside of stages.
      reach: see `Reach`.
      table: see `Table`.
      num_maps: feature maps that it reads; 0: as many as an op names.
      products: see `Products`; None for ops without multiply-accumulates.
      is_vector: it reads its whole input as one pixel.
      is_depthwise: each output channel reads one input channel, and filters are [Kh, Kw, O].
      stage: its number in a stage's program (docs/format.md F4); None if no stage holds it.
      stage_kernels: what it runs in a stage, fields of C++ Kernels.
      upsamples: it makes its map larger, by its strides.
      is_reduction: in a stage it is the last op, and makes one pixel of its input.
    """

    name: str
    num_inputs: int = 0
    formats: Formats = Formats.KEPT
    weight_axis: int = 0
    bias_input: int = 0
    map_input: int = 0
    becomes: str = ""
    in_stage: str = ""
    activation: str = ""
    is_reshape: bool = False
    is_pad: bool = False
    is_missing: bool = False
    kernel: str = ""
    reach: Reach = Reach.NOTHING
    table: Table | None = None
    num_maps: int = 1
    products: Products | None = None
    is_vector: bool = False
    is_depthwise: bool = False
    stage: int | None = None
    stage_kernels: tuple[str, ...] = ()
    upsamples: bool = False
    is_reduction: bool = False

    @property
    def has_filter(self) -> bool:
        """Whether it is an op of ours with weights: a convolution or fully connected."""
        return self.table is Table.CHANNELS

    @property
    def has_multiplier(self) -> bool:
        """Whether the depth multiplier of a stage's op (docs/format.md F4) is one, or the mode of a bilinear resize."""
        return self.is_depthwise or self.in_stage == "RESIZE_BILINEAR"

    @property
    def is_pool(self) -> bool:
        return self.reach is Reach.POOL

    @property
    def is_windowed(self) -> bool:
        """Whether it slides a window over its map: a convolution or a pool."""
        return self.reach in (Reach.POOL, Reach.FILTER)

    @property
    def is_lookup(self) -> bool:
        """Whether it is a function of one value, which a table holds (law A18)."""
        return self.becomes == "LUT"

    @property
    def has_entries(self) -> bool:
        """Whether it is an op of ours that looks its output up."""
        return self.table in (Table.ENTRIES, Table.CHANNEL_ENTRIES)

    @property
    def reads_in_place(self) -> bool:
        """Whether each pixel of its output is made of the pixels at the same place in several maps."""
        return self.num_maps != 1

    @property
    def takes_scratch(self) -> bool:
        """Whether its kernel outside of stages asks for scratch on some core."""
        return self.has_filter

    @property
    def stage_scratch(self) -> str:
        """Its kernel in a stage, if that asks for scratch on some core; else ""."""
        return self.kernel if f"{self.snake_name}_scratch_bytes" in self.stage_kernels else ""

    @property
    def snake_name(self) -> str:
        """The kernel as fields of C++ Kernels and rows of instruction tables call it: Conv2D is conv2d."""
        return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", self.kernel).lower()
