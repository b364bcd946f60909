"""A model's ops as calls of the portable kernels: ours as their options say, stock ones as TFLM's Prepare would.

In: a ModelGraph, stock or converted, that TFLM has prepared, so that options and shapes are sound. Out: KernelCalls.
Refuses, naming the op, what no kernel computes.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.graph.layer_names import op_place
from tflm_quantmcu.graph.op_kind import OpKind, Table
from tflm_quantmcu.graph.op_kinds import op_kind
from tflm_quantmcu.graph.subgraphs import SUBGRAPHS, why_whole
from tflm_quantmcu.graph.target import REFERENCE
from tflm_quantmcu.graph.types import ModelGraph, Op, Tensor, Window
from tflm_quantmcu.law.kernel_calls import (
    CHANNEL_TABLE,
    AddParams,
    Conv2DParams,
    DepthwiseConv2DParams,
    FeatureMap,
    FullyConnectedParams,
    KernelCall,
    LutParams,
    PatchStageParams,
    Pool2DParams,
    RequantizeParams,
    StructArray,
)
from tflm_quantmcu.law.packing import run_bytes
from tflm_quantmcu.lowering.images import calls_of_images
from tflm_quantmcu.lowering.network import LoweredNetwork
from tflm_quantmcu.lowering.stock_ops import KINDS as STOCK_KINDS
from tflm_quantmcu.lowering.stock_ops import stock_calls
from tflm_quantmcu.native.kernel_scratch import kernel_scratch_bytes, stage_scratch_bytes
from tflm_quantmcu.stage.custom_ops import PATCH_STAGE, PREFIX, decode_options, program_of
from tflm_quantmcu.stage.format_version import check_keys, check_version
from tflm_quantmcu.stage.op_words import OP_WORDS
from tflm_quantmcu.stage.program import FORMAT_WORDS, MAP_WORDS, StageProgram
from tflm_quantmcu.tflite.operators import QmcuMap, QmcuOp

_OPTIONAL_KEYS = {"filter_layout": (0,)}
_WINDOW_KEYS = tuple(f.name for f in dataclasses.fields(Window))


def calls_of(graph: ModelGraph, op: Op, *, variant: str = REFERENCE) -> tuple[KernelCall, ...]:
    """The calls that compute `op`, in order, with the scratch that this variant of the kernels takes.

    Raises:
      UnsupportedModelError: no kernel computes it exactly.
    """
    if op.kind == SUBGRAPHS:
        raise UnsupportedModelError(f"code without TFLM does not run the network: {why_whole(graph)}")
    if op.kind == PATCH_STAGE:
        return (_stage_call(graph, op, variant),)
    if op.kind.startswith(PREFIX):
        return (_qmcu_call(graph, op, _read_qmcu_op(graph, op), variant),)
    if (calls := calls_of_images(graph, op, lambda one: calls_of(one, op, variant=variant))) is not None:
        return calls
    network = LoweredNetwork.of(graph)
    reason = network.refusal(op)
    if (op.traits.has_filter or op.traits.is_pool) and not (reason and op.kind in STOCK_KINDS):
        if reason:
            raise UnsupportedModelError(f"{op_place(graph, op)} cannot run on a portable kernel: {reason}")
        return (_qmcu_call(graph, op, _lowered_qmcu_op(graph, op), variant),)
    # A table of ops of which this is the last stands only in converted models.
    if op.traits.num_maps == 2 and reason is None and network.lower(op).lookup is None:
        return (_qmcu_call(graph, op, _lowered_qmcu_op(graph, op), variant),)
    return tuple(_with_scratch(call, variant) for call in stock_calls(graph, op))


def _with_scratch(call: KernelCall, variant: str) -> KernelCall:
    if call.scratch_bytes is None:
        return call
    return dataclasses.replace(call, scratch_bytes=kernel_scratch_bytes(variant, call.kernel, call.params))


def _lowered_qmcu_op(graph: ModelGraph, op: Op) -> QmcuOp:
    lowered = LoweredNetwork.of(graph).lower(op)
    sources = [graph.tensors[t] for t in lowered.inputs]
    output = graph.tensors[lowered.output]
    num_inputs = lowered.filter.values.shape[1] if op.traits.is_vector and lowered.filter else 0
    channels = [num_inputs or t.shape[-1] for t in sources] + [output.shape[-1]]
    return QmcuOp.of(lowered, [t.format for t in sources], output.format, channels)


def _read_qmcu_op(graph: ModelGraph, op: Op) -> QmcuOp:
    """The inverse of QmcuOp.options and its constants (docs/format.md F3)."""
    options = decode_options(op.custom_options)
    check_version(op.kind, options)
    kind = op_kind(op.kind.removeprefix(PREFIX))
    filter, table = (graph.tensors[t].data for t in op.inputs[1:]) if kind.has_filter else (None, None)
    if kind.has_entries:
        entries = graph.tensors[op.inputs[1]].data
        assert entries is not None
        table = entries.view("<i4").astype(np.int32)
    if kind.table is Table.SUM:
        names = [f"{name}_{key}" for name in ("input0", "input1", "output") for key in ("multiplier", "shift")]
        table = np.array([options[name] for name in names], np.int32)
    elif table is None:
        table = np.array([options["multiplier"], options["shift"]], np.int32)
    qmcu = QmcuOp(
        kind=kind.name,
        inputs=_read_inputs(kind, options),
        output=_read_map("output", options),
        clamps=(options["clamp_min"], options["clamp_max"]),
        window=Window(**{key: options[key] for key in _WINDOW_KEYS if key in options}),
        table=table,
        filter=filter,
        weight_bits=options.get("weight_bits", 0),
        depth_multiplier=options.get("depth_multiplier", 1),
        origins=tuple((options.get(f"input{j}_top", 0), options.get(f"input{j}_left", 0)) for j in range(2)),
    )
    check_keys(op.kind, options, qmcu.options(), _OPTIONAL_KEYS if kind.has_filter else {})
    return qmcu


def _read_inputs(kind: OpKind, options: Mapping[str, Any]) -> tuple[QmcuMap, ...]:
    if kind.num_maps == 1:
        return (_read_map("input", options),)
    return tuple(
        QmcuMap(options["channels"], options[f"input{j}_bits"], options[f"input{j}_zero_point"]) for j in range(2)
    )


def _read_map(prefix: str, options: Mapping[str, Any]) -> QmcuMap:
    return QmcuMap(options[f"{prefix}_channels"], options[f"{prefix}_bits"], options[f"{prefix}_zero_point"])


def _view(tensor: Tensor, map: QmcuMap) -> FeatureMap:
    height, width = tensor.shape[1:3] if len(tensor.shape) == 4 else (1, 1)
    return FeatureMap(height, width, map.channels, width * run_bytes(map.channels, map.bits), map.bits, map.zero_point)


def _qmcu_call(graph: ModelGraph, op: Op, qmcu: QmcuOp, variant: str) -> KernelCall:
    sources = graph.feature_maps(op)
    kind = qmcu.traits
    if kind.is_vector:
        views = [FeatureMap(1, 1, m.channels, run_bytes(m.channels, m.bits), m.bits, m.zero_point) for m in _maps(qmcu)]
    else:
        tensors = [graph.tensors[t] for t in (*sources, op.outputs[0])]
        views = [_view(tensor, map) for tensor, map in zip(tensors, _maps(qmcu), strict=True)]
    constants = {}
    if qmcu.filter is not None:
        filter = np.ascontiguousarray(qmcu.filter).view(np.uint8).ravel()
        constants = dict(zip(("Filter", *CHANNEL_TABLE), (filter, *qmcu.table.reshape(3, -1)), strict=True))
    elif kind.has_entries:
        constants = {"Table": qmcu.table.astype("<i4").view(np.uint8)}
    params = PARAMS[qmcu.kind](qmcu, views)
    return KernelCall(
        kind.kernel,
        params,
        inputs=sources,
        output=op.outputs[0],
        constants=constants,
        input_offsets=tuple(
            top * view.row_bytes + left * run_bytes(view.channels, view.bits)
            for view, (top, left) in zip(views[:-1], qmcu.origins, strict=False)
        ),
        scratch_bytes=kernel_scratch_bytes(variant, kind.kernel, params) if qmcu.filter is not None else None,
    )


def _maps(qmcu: QmcuOp) -> tuple[QmcuMap, ...]:
    return (*qmcu.inputs, qmcu.output)


def _conv2d(op: QmcuOp, maps: Sequence[FeatureMap]) -> Conv2DParams:
    source, output = maps
    return Conv2DParams(source, output, op.window, op.clamps, op.weight_bits)


def _depthwise_conv2d(op: QmcuOp, maps: Sequence[FeatureMap]) -> DepthwiseConv2DParams:
    source, output = maps
    return DepthwiseConv2DParams(source, output, op.window, op.clamps, op.weight_bits, op.depth_multiplier)


def _fully_connected(op: QmcuOp, maps: Sequence[FeatureMap]) -> FullyConnectedParams:
    source, output = maps
    return FullyConnectedParams(source, output, op.clamps, op.weight_bits)


def _add(op: QmcuOp, maps: Sequence[FeatureMap]) -> AddParams:
    x0, x1, output = maps
    factor0, factor1, factor_out = op.table.reshape(3, 2).tolist()
    return AddParams(x0, x1, output, op.clamps, (tuple(factor0), tuple(factor1), tuple(factor_out)))


def _pool2d(op: QmcuOp, maps: Sequence[FeatureMap]) -> Pool2DParams:
    source, output = maps
    return Pool2DParams(source, output, op.window, op.clamps, tuple(op.table.tolist()))


def _requantize(op: QmcuOp, maps: Sequence[FeatureMap]) -> RequantizeParams:
    source, output = maps
    pads = op.window.pad_top, op.window.pad_left
    return RequantizeParams(source, output, *pads, op.clamps, tuple(op.table.tolist()))


def _lut(op: QmcuOp, maps: Sequence[FeatureMap]) -> LutParams:
    source, output = maps
    step = 1 << source.bits if op.traits.table is Table.CHANNEL_ENTRIES else 0
    return LutParams(source, output, op.window.pad_top, op.window.pad_left, step)


# What each kernel of ours is called with outside of stages.
PARAMS: Mapping[str, Callable[[QmcuOp, Sequence[FeatureMap]], Any]] = {
    "CONV_2D": _conv2d,
    "DEPTHWISE_CONV_2D": _depthwise_conv2d,
    "FULLY_CONNECTED": _fully_connected,
    "ADD": _add,
    "AVERAGE_POOL_2D": _pool2d,
    "MAX_POOL_2D": _pool2d,
    "REQUANTIZE": _requantize,
    "LUT": _lut,
    "CHANNEL_LUT": _lut,
}


def _stage_call(graph: ModelGraph, op: Op, variant: str) -> KernelCall:
    program = program_of(graph, op)
    return KernelCall(
        "PatchStage",
        _stage_params(program),
        inputs=op.inputs[program.is_streamed : program.num_inputs],
        output=op.outputs[0],
        scratch_bytes=stage_scratch_bytes(variant, program),
    )


def _stage_params(program: StageProgram) -> PatchStageParams:
    """The program's sections (docs/format.md F4) as arrays of their own."""
    _, filters, words = program.encode()
    num_ops, num_maps, num_classes = len(program.ops), len(program.shapes), len(program.formats)
    grid = np.shape(program.patch_classes)
    counts = [num_ops * OP_WORDS, num_maps * MAP_WORDS, num_classes * num_maps * FORMAT_WORDS]
    counts += [num_classes * num_ops, grid[0] * grid[1]]
    ops, maps, formats, offsets, classes, tables = np.split(words, np.cumsum(counts))
    return PatchStageParams(
        header=program.header_words,
        ops=StructArray("StageOp", tuple((*r[:4], tuple(r[4:12]), *r[12:]) for r in _rows(ops, OP_WORDS))),
        maps=StructArray("StageMap", _rows(maps, MAP_WORDS)),
        formats=StructArray("StageFormat", tuple((*r[:2], r[2:4], *r[4:]) for r in _rows(formats, FORMAT_WORDS))),
        table_offsets=offsets,
        patch_classes=classes,
        tables=tables,
        filters=filters.view(np.uint8),
    )


def _rows(words: np.ndarray, length: int) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(row) for row in words.reshape(-1, length).tolist())
