"""The table of op kinds: what is known of a kind without a model, one row a kind.

A kind is a builtin operator of TFLite, by its name, or an op of ours, by the name behind QMCU_; where one of ours
carries over a builtin of the same name, both are one row. What a room does with a kind (its C++ params, its oracle, its
Keras layer) is registered in that room by the kind's name; tests/test_op_kinds.py goes through the table and names each
place that lacks a kind.
"""

from __future__ import annotations

from collections.abc import Mapping

from tflm_quantmcu.graph.op_kind import Formats, OpKind, Reach, Table


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
        reach=Reach.PADS,
        table=Table.ENTRIES,
        stage=9,
        stage_kernels=("lut",),
    ),
    OpKind(
        "CHANNEL_LUT",
        kernel="Lut",
        reach=Reach.PADS,
        table=Table.CHANNEL_ENTRIES,
        stage=10,
        stage_kernels=("lut",),
    ),
    OpKind(
        "GATHER_CHANNELS",
        table=Table.CHANNEL_RUNS,
        num_maps=0,
        stage=11,
        stage_kernels=("gather_channels",),
    ),
    OpKind(
        "RESIZE_NEAREST",
        table=Table.FACTOR,
        stage=12,
        stage_kernels=("resize_nearest",),
        upsamples=True,
    ),
    OpKind(
        "DEPTH_TO_SPACE",
        num_inputs=1,
        formats=Formats.SHARED,
        in_stage="DEPTH_TO_SPACE",
        table=Table.FACTOR,
        stage=13,
        stage_kernels=("depth_to_space",),
        upsamples=True,
    ),
    OpKind(
        "RESIZE_BILINEAR",
        num_inputs=2,
        formats=Formats.SHARED,
        in_stage="RESIZE_BILINEAR",
        table=Table.FACTOR,
        stage=14,
        stage_kernels=("resize_bilinear",),
        upsamples=True,
    ),
    OpKind(
        "MUL",
        num_inputs=2,
        formats=Formats.FREE,
        in_stage="MUL",
        table=Table.FACTOR,
        num_maps=2,
        stage=15,
        stage_kernels=("product",),
    ),
    OpKind(
        "SUB",
        num_inputs=2,
        formats=Formats.FREE,
        in_stage="SUB",
        table=Table.SUM,
        num_maps=2,
        stage=16,
        stage_kernels=("difference",),
    ),
    OpKind("PAD", num_inputs=2, formats=Formats.SHARED, becomes="REQUANTIZE", is_pad=True),
    OpKind("PADV2", num_inputs=3, formats=Formats.SHARED, becomes="REQUANTIZE", is_pad=True),
    OpKind("QUANTIZE", num_inputs=1, formats=Formats.FREE, becomes="REQUANTIZE"),
    OpKind("RELU", num_inputs=1, formats=Formats.FREE, becomes="REQUANTIZE", activation="RELU"),
    OpKind("RELU6", num_inputs=1, formats=Formats.SHARED, becomes="REQUANTIZE", activation="RELU6"),
    OpKind("ABS", num_inputs=1, formats=Formats.FREE, becomes="LUT"),
    OpKind("ELU", num_inputs=1, becomes="LUT"),
    OpKind("HARD_SWISH", num_inputs=1, formats=Formats.FREE, becomes="LUT"),
    OpKind("LEAKY_RELU", num_inputs=1, formats=Formats.FREE, becomes="LUT"),
    OpKind("LOGISTIC", num_inputs=1, formats=Formats.OWN_OUTPUT, becomes="LUT"),
    OpKind("TANH", num_inputs=1, formats=Formats.OWN_OUTPUT, becomes="LUT"),
    OpKind("EXP", num_inputs=1, formats=Formats.FREE, becomes="LUT", is_missing=True),
    OpKind("GELU", num_inputs=1, formats=Formats.FREE, becomes="LUT", is_missing=True),
    OpKind("LOG", num_inputs=1, formats=Formats.FREE, becomes="LUT", is_missing=True),
    OpKind("NEG", num_inputs=1, formats=Formats.FREE, becomes="LUT", is_missing=True),
    OpKind("SELECT", num_inputs=3, is_missing=True),
    OpKind("DEQUANTIZE", num_inputs=1, formats=Formats.FREE),
    OpKind("SOFTMAX", num_inputs=1, formats=Formats.OWN_OUTPUT),
    OpKind("RESHAPE", num_inputs=1, formats=Formats.SHARED, is_reshape=True),
    OpKind("SQUEEZE", formats=Formats.SHARED, is_reshape=True),
    OpKind("EXPAND_DIMS", formats=Formats.SHARED, is_reshape=True),
    OpKind("CONCATENATION", formats=Formats.SHARED, in_stage="GATHER_CHANNELS"),
    OpKind("GATHER", formats=Formats.SHARED, in_stage="GATHER_CHANNELS"),
    OpKind("SLICE", formats=Formats.SHARED, in_stage="GATHER_CHANNELS"),
    OpKind("STRIDED_SLICE", formats=Formats.SHARED, in_stage="GATHER_CHANNELS"),
    OpKind("RESIZE_NEAREST_NEIGHBOR", num_inputs=2, formats=Formats.SHARED, in_stage="RESIZE_NEAREST"),
    OpKind("TRANSPOSE", formats=Formats.SHARED),
    OpKind("TRANSPOSE_CONV", num_inputs=3, formats=Formats.FREE, bias_input=3, map_input=2),
)
# Of these nothing more is known.
_ONLY_FORMATS = {
    Formats.FREE: (
        *("ARG_MAX", "ARG_MIN", "BATCH_MATMUL", "DIV", "EQUAL", "GREATER", "GREATER_EQUAL", "LESS", "LESS_EQUAL"),
        *("NOT_EQUAL", "PRELU", "SQUARED_DIFFERENCE", "SUM"),
    ),
    Formats.OWN_OUTPUT: ("L2_NORMALIZATION", "LOG_SOFTMAX"),
    Formats.SHARED: (
        *("BATCH_TO_SPACE_ND", "BROADCAST_TO", "GATHER_ND", "MAXIMUM", "MINIMUM"),
        *("MIRROR_PAD", "PACK", "REDUCE_MAX", "REDUCE_MIN", "SELECT_V2", "SPACE_TO_BATCH_ND"),
        *("SPACE_TO_DEPTH", "SPLIT", "SPLIT_V", "TILE", "UNPACK"),
    ),
}
OP_KINDS: Mapping[str, OpKind] = {row.name: row for row in _ROWS} | {
    name: OpKind(name, formats=formats) for formats, names in _ONLY_FORMATS.items() for name in names
}
# [number in a stage's program]
STAGE_KINDS = tuple(sorted((row for row in _ROWS if row.stage is not None), key=lambda row: row.stage or 0))
RESHAPES = tuple(row.name for row in _ROWS if row.is_reshape)
