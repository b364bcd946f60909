"""The table of op kinds: what is known of a kind without a model, one row a kind.

A kind is a builtin operator of TFLite, by its name, or an op of ours, by the name behind QMCU_; where one of ours
carries over a builtin of the same name, both are one row. What a room does with a kind (its C++ params, its oracle, its
Keras layer) is registered in that room by the kind's name; tests/test_op_kinds.py goes through the table and names each
place that lacks a kind.
"""

from __future__ import annotations

import dataclasses
import enum
import re
from collections.abc import Callable, Mapping


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


_TAPS = ("kernel_height", "kernel_width", "stride_height", "stride_width")


class Reach(enum.Enum):
    """Which part of a window (graph/types.py) an op of ours has."""

    NOTHING = ()
    PADS = ("pad_top", "pad_left")
    POOL = (*_TAPS, *PADS)
    FILTER = (*_TAPS, "dilation_height", "dilation_width", *PADS)


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
      activation: the fused activation that the op is, of RELU and RELU6.
      is_reshape: the output's bytes are the input's.
      is_pad: of height and width, by constant amounts.

    Attributes of the op of ours, "" and None of kinds that are none:
      kernel: its C++ function outside of stages.
      has_variants: a core may have one of its own (tflm_kernels/cortex_m/kernels.h).
      reach: see `Reach`.
      table: see `Table`.
      num_maps: feature maps that it reads.
      products: see `Products`; None for ops without multiply-accumulates.
      is_vector: it reads its whole input as one pixel.
      is_depthwise: each output channel reads one input channel, and filters are [Kh, Kw, O].
      stage: its number in a stage's program (docs/format.md F4); None if no stage holds it.
      stage_kernels: what it runs in a stage, fields of C++ Kernels.
      is_reduction: in a stage it is the last op, and makes one pixel of its input.
    """

    name: str
    num_inputs: int = 0
    formats: Formats = Formats.KEPT
    weight_axis: int = 0
    bias_input: int = 0
    map_input: int = 0
    becomes: str = ""
    activation: str = ""
    is_reshape: bool = False
    is_pad: bool = False
    kernel: str = ""
    has_variants: bool = True
    reach: Reach = Reach.NOTHING
    table: Table | None = None
    num_maps: int = 1
    products: Products | None = None
    is_vector: bool = False
    is_depthwise: bool = False
    stage: int | None = None
    stage_kernels: tuple[str, ...] = ()
    is_reduction: bool = False

    @property
    def has_filter(self) -> bool:
        """Whether it is an op of ours with weights: a convolution or fully connected."""
        return self.table is Table.CHANNELS

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


def op_kind(name: str) -> OpKind:
    """The row of a kind; of a kind without a row one that says that nothing is known."""
    return OP_KINDS.get(name) or OpKind(name)


_ROWS = (
    OpKind(
        "CONV_2D",
        num_inputs=2,
        formats=Formats.FREE,
        bias_input=2,
        becomes="CONV_2D",
        kernel="Conv2D",
        reach=Reach.FILTER,
        table=Table.CHANNELS,
        products=lambda taps, inputs, outputs: taps * inputs * outputs,
        stage=0,
        stage_kernels=("conv2d", "conv2d_scratch_bytes"),
    ),
    OpKind(
        "DEPTHWISE_CONV_2D",
        num_inputs=2,
        formats=Formats.FREE,
        weight_axis=-1,
        bias_input=2,
        becomes="DEPTHWISE_CONV_2D",
        kernel="DepthwiseConv2D",
        reach=Reach.FILTER,
        table=Table.CHANNELS,
        products=lambda taps, inputs, outputs: taps * outputs,
        is_depthwise=True,
        stage=1,
        stage_kernels=("depthwise_conv2d", "depthwise_conv2d_scratch_bytes"),
    ),
    OpKind(
        "ADD",
        num_inputs=2,
        formats=Formats.FREE,
        becomes="ADD",
        kernel="Add",
        table=Table.SUM,
        num_maps=2,
        stage=2,
        stage_kernels=("add",),
    ),
    OpKind(
        "AVERAGE_POOL_2D",
        num_inputs=1,
        formats=Formats.SHARED,
        becomes="AVERAGE_POOL_2D",
        kernel="AveragePool2D",
        reach=Reach.POOL,
        table=Table.FACTOR,
        stage=3,
        stage_kernels=("average_pool2d",),
    ),
    OpKind(
        "MAX_POOL_2D",
        num_inputs=1,
        formats=Formats.SHARED,
        becomes="MAX_POOL_2D",
        kernel="MaxPool2D",
        reach=Reach.POOL,
        table=Table.FACTOR,
        stage=4,
        stage_kernels=("max_pool2d",),
    ),
    OpKind(
        "REQUANTIZE",
        kernel="Requantize",
        reach=Reach.PADS,
        table=Table.FACTOR,
        stage=5,
        stage_kernels=("requantize",),
    ),
    OpKind(
        "MEAN",
        num_inputs=2,
        formats=Formats.FREE,
        table=Table.FACTOR,
        stage=6,
        stage_kernels=("sum_pixels",),
        is_reduction=True,
    ),
    OpKind(
        "GLOBAL_AVERAGE_POOL_2D",
        table=Table.FACTOR,
        stage=7,
        stage_kernels=("sum_pixels",),
        is_reduction=True,
    ),
    OpKind(
        "FULLY_CONNECTED",
        num_inputs=2,
        formats=Formats.FREE,
        bias_input=2,
        becomes="FULLY_CONNECTED",
        kernel="FullyConnected",
        table=Table.CHANNELS,
        products=lambda taps, inputs, outputs: taps * inputs * outputs,
        is_vector=True,
        stage=8,
        stage_kernels=("dot_pixels",),
        is_reduction=True,
    ),
    OpKind(
        "LUT",
        kernel="Lut",
        has_variants=False,
        reach=Reach.PADS,
        table=Table.ENTRIES,
        stage=9,
        stage_kernels=("lut",),
    ),
    OpKind(
        "CHANNEL_LUT",
        kernel="Lut",
        has_variants=False,
        reach=Reach.PADS,
        table=Table.CHANNEL_ENTRIES,
        stage=10,
        stage_kernels=("lut",),
    ),
    OpKind("PAD", num_inputs=2, formats=Formats.SHARED, becomes="REQUANTIZE", is_pad=True),
    OpKind("PADV2", num_inputs=3, formats=Formats.SHARED, becomes="REQUANTIZE", is_pad=True),
    OpKind("QUANTIZE", num_inputs=1, formats=Formats.FREE, becomes="REQUANTIZE"),
    OpKind("RELU", num_inputs=1, formats=Formats.FREE, becomes="REQUANTIZE", activation="RELU"),
    OpKind("RELU6", num_inputs=1, formats=Formats.SHARED, becomes="REQUANTIZE", activation="RELU6"),
    OpKind("ELU", num_inputs=1, becomes="LUT"),
    OpKind("HARD_SWISH", num_inputs=1, formats=Formats.FREE, becomes="LUT"),
    OpKind("LEAKY_RELU", num_inputs=1, formats=Formats.FREE, becomes="LUT"),
    OpKind("LOGISTIC", num_inputs=1, formats=Formats.OWN_OUTPUT, becomes="LUT"),
    OpKind("TANH", num_inputs=1, formats=Formats.OWN_OUTPUT, becomes="LUT"),
    OpKind("MUL", num_inputs=2, formats=Formats.FREE),
    OpKind("DEQUANTIZE", num_inputs=1, formats=Formats.FREE),
    OpKind("SOFTMAX", num_inputs=1, formats=Formats.OWN_OUTPUT),
    OpKind("RESHAPE", num_inputs=1, formats=Formats.SHARED, is_reshape=True),
    OpKind("SQUEEZE", formats=Formats.SHARED, is_reshape=True),
    OpKind("EXPAND_DIMS", formats=Formats.SHARED, is_reshape=True),
    OpKind("CONCATENATION", formats=Formats.SHARED),
    OpKind("RESIZE_NEAREST_NEIGHBOR", num_inputs=2, formats=Formats.SHARED),
    OpKind("TRANSPOSE", formats=Formats.SHARED),
    OpKind("TRANSPOSE_CONV", num_inputs=3, formats=Formats.FREE, bias_input=3, map_input=2),
)
# Of these nothing more is known.
_ONLY_FORMATS = {
    Formats.FREE: (
        *("ARG_MAX", "ARG_MIN", "BATCH_MATMUL", "DIV", "EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL"),
        *("NOT_EQUAL", "PRELU", "SQUARED_DIFFERENCE", "SUB", "SUM"),
    ),
    Formats.OWN_OUTPUT: ("L2_NORMALIZATION", "LOG_SOFTMAX"),
    Formats.SHARED: (
        *("BATCH_TO_SPACE_ND", "BROADCAST_TO", "DEPTH_TO_SPACE", "GATHER", "GATHER_ND", "MAXIMUM", "MINIMUM"),
        *("MIRROR_PAD", "PACK", "REDUCE_MAX", "REDUCE_MIN", "RESIZE_BILINEAR", "SLICE", "SPACE_TO_BATCH_ND"),
        *("SPACE_TO_DEPTH", "SPLIT", "SPLIT_V", "STRIDED_SLICE", "TILE", "UNPACK"),
    ),
}
OP_KINDS: Mapping[str, OpKind] = {row.name: row for row in _ROWS} | {
    name: OpKind(name, formats=formats) for formats, names in _ONLY_FORMATS.items() for name in names
}
# [number in a stage's program]
STAGE_KINDS = tuple(sorted((row for row in _ROWS if row.stage is not None), key=lambda row: row.stage or 0))
RESHAPES = tuple(row.name for row in _ROWS if row.is_reshape)
