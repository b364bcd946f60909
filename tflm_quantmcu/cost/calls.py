"""Which kernels a model calls, on which shapes and how often: what estimates of its time are sums of.

In: a graph, an op of ours, or a stage program. Out: Calls.
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np

from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.cost.same_format import measured_kernel_of_options, measured_kernel_of_stage_op
from tflm_quantmcu.cost.shapes import KernelShape
from tflm_quantmcu.cost.stock_call_times import StockCall
from tflm_quantmcu.graph.layer_names import op_place
from tflm_quantmcu.graph.op_kinds import op_kind
from tflm_quantmcu.graph.types import ModelGraph, Op, Window
from tflm_quantmcu.law.kernel_calls import Conv2DParams, LutParams, ResizeBilinearParams, StridedCopyParams
from tflm_quantmcu.law.lookups import is_lookup
from tflm_quantmcu.lowering.images import num_images, one_image
from tflm_quantmcu.lowering.network import LoweredNetwork
from tflm_quantmcu.lowering.stock_ops import stock_calls
from tflm_quantmcu.stage.custom_ops import PREFIX, decode_options
from tflm_quantmcu.stage.geometry import StageOp
from tflm_quantmcu.stage.program import StageProgram
from tflm_quantmcu.stage.tiles import BEGIN, END, FRESH


@dataclasses.dataclass(frozen=True)
class UnknownCall:
    """An op that no table knows, as messages name it."""

    label: str


ShapedCall = tuple[KernelShape, str]  # with the tag: a<bits>w<bits>, of ops without weights a<bits>
Call = ShapedCall | StockCall | UnknownCall
Calls = Counter[Call]  # how often each is made


def graph_calls(
    graph: ModelGraph,
    *,
    map_bits: Mapping[str, int] | None = None,
    weight_bits: Mapping[str, int] | None = None,
    only: Iterable[int] | None = None,
) -> Calls:
    """The kernel calls of a graph's ops, layer by layer.

    Args:
      graph: the int8 model. Ops that are one table with those before them (SiLU) call that, other activations the one
        that they are in stages and at other widths, if their map has such a width.
      map_bits, weight_bits: tensor name -> bits; absent is 8.
      only: op indices to count; default all.
    """
    chosen = None if only is None else set(only)
    calls: Calls = Counter()
    network = LoweredNetwork.of(graph)
    folded = network.folded
    for op in graph.ops:
        if op.outputs[0] in folded or (chosen is not None and op.index not in chosen):
            continue
        if (one := one_image(graph, op)) is not None:
            for call, times in graph_calls(one, only=[op.index]).items():
                calls[call] += times * num_images(graph, op)
            continue
        source = next((t for t in network.reads(op) if t not in folded), op.outputs[0])
        bits, *others = ((map_bits or {}).get(graph.tensors[t].name, 8) for t in (source, *op.outputs))
        kernel = _kernel_of(network, op, is_narrow=min(bits, *others) < 8)
        if not kernel:
            calls.update(_stock_calls(graph, op))
            continue
        tag = f"a{bits}"
        if op.traits.has_filter:
            weights = graph.tensors[op.inputs[1]]
            tag += f"w{min((weight_bits or {}).get(weights.name, 8), weights.weight_bits)}"
        calls[_shape_of(graph, op, kernel), tag] += 1
    return calls


def _kernel_of(network: LoweredNetwork, op: Op, *, is_narrow: bool) -> str:
    """What the table calls the kernel that computes an op, with a map below 8 bits or not; "" if a stock op's does."""
    if network.inner_ops(op):
        return op_kind("LUT").snake_name
    if is_narrow:
        narrow = "LUT" if is_lookup(network.graph, op) else op.traits.becomes or op.kind
        return op_kind(narrow).snake_name
    stays = not op.traits.becomes or is_lookup(network.graph, op) or network.refusal(op)
    return "" if stays else op.traits.snake_name


def _stock_calls(graph: ModelGraph, op: Op) -> list[Call]:
    """The calls of an op that stays a stock op, as emitted code makes them; of a RESHAPE the copy that TFLM makes where
    it does not run in place."""
    if op.traits.is_reshape:
        count = graph.tensors[op.outputs[0]].num_elements
        return [StockCall("StridedCopy", StridedCopyParams((1, 1, 1, count), (0, 0, 0, 1), (0, 0, 0, 1)))]
    try:
        calls = stock_calls(graph, op)
    except UnsupportedModelError:
        return [UnknownCall(op_place(graph, op))]
    return [_stock_call(call.kernel, call.params) for call in calls]


def _stock_call(kernel: str, params: object) -> Call:
    if isinstance(params, LutParams):
        shape = (1, 1, params.input.channels)
        return KernelShape(op_kind("LUT").snake_name, shape, shape), "a8"
    if kernel == op_kind("CONV_2D").kernel and isinstance(params, Conv2DParams):
        source, output = ((m.height, m.width, m.channels) for m in (params.input, params.output))
        return KernelShape(op_kind("CONV_2D").snake_name, source, output), f"a8w{params.weight_bits}"
    if isinstance(params, ResizeBilinearParams):
        size = (params.output.height, params.output.width, params.output.channels)
        return KernelShape(op_kind("RESIZE_BILINEAR").stage_kernels[0], size, size), "a8"
    return StockCall(kernel, params)


def own_op_call(graph: ModelGraph, op: Op) -> ShapedCall:
    """The call of an op of ours in a converted model, not of a stage."""
    options = decode_options(op.custom_options)
    kind = op_kind(op.kind.removeprefix(PREFIX))
    prefix = "input0" if kind.num_maps == 2 else "input"
    tag = f"a{options[f'{prefix}_bits']}" + (f"w{options['weight_bits']}" if kind.has_filter else "")
    channels = [options.get(f"{side}_channels", options.get("channels", 0)) for side in ("input", "output")]
    if kind.is_vector:
        source, target = ((1, 1, n) for n in channels)
        return KernelShape(kind.snake_name, source, target), tag
    source, target = (
        (*_map(graph.tensors[t].shape)[:2], n) for t, n in zip((op.inputs[0], op.outputs[0]), channels, strict=True)
    )
    pairs = [tuple(options.get(f"{what}_{side}", least) for side in sides) for what, sides, least in _WINDOW]
    kernel = measured_kernel_of_options(kind.snake_name, options)
    return KernelShape(kernel, source, target, *pairs), tag


_SIDES = ("height", "width")
_WINDOW = (("kernel", _SIDES, 1), ("stride", _SIDES, 1), ("pad", ("top", "left"), 0))  # key, least


def stage_calls(program: StageProgram, *, only: Iterable[int] | None = None) -> Calls:
    """The kernel calls of a patch stage, or of some of its ops. A patch whose class is chosen at run time counts as an
    outlier patch."""
    num_rows, num_columns = map(len, program.spans)
    first_row, first_column = (-n for n in program.num_priming)
    classes = np.array(
        [
            [program.classes_of(row + first_row, column + first_column)[0] for column in range(num_columns)]
            for row in range(num_rows)
        ]
    )
    calls: Calls = Counter()
    for index in range(len(program.ops)) if only is None else only:
        op = program.ops[index]
        rows, columns = (_axis_calls(program, op, axis) for axis in range(2))
        for patch_class in np.unique(classes).tolist():
            named = _stage_kernel(program, index, patch_class)
            for (row, column), times in _pairs(rows, columns, classes == patch_class).items():
                if 0 not in (*row[:2], *column[:2]):
                    calls[_stage_call(program, op, named, row, column)] += times
    return calls


def _stage_kernel(program: StageProgram, index: int, patch_class: int) -> tuple[str, str]:
    """(kernel, tag) of an op."""
    op = program.ops[index]
    tag = f"a{program.formats[patch_class][op.inputs[0]].bits}" + (f"w{op.weight_bits}" if op.weight_bits else "")
    return measured_kernel_of_stage_op(program, index, patch_class), tag


_AxisCall = tuple[int, int, int]  # pixels of the input's region, of what is computed, and pad in front


def _axis_calls(program: StageProgram, op: StageOp, axis: int) -> list[_AxisCall]:
    """The calls of each row, or column, of tiles; the pad is what the tile's own input region lacks."""
    spans, window = program.spans[axis], op.window
    stride, pad = ((window.stride_height, window.pad_top), (window.stride_width, window.pad_left))[axis]
    inputs = spans[:, op.inputs[0]]
    sizes = inputs[:, END] - inputs[:, BEGIN]
    if op.traits.is_reduction:
        return [(size, 1, 0) for size in sizes.tolist()]
    outputs = spans[:, op.output]
    if op.traits.upsamples:  # what it takes is all by output pixel
        return [(count, count, 0) for count in (outputs[:, END] - outputs[:, FRESH]).tolist()]
    pads = inputs[:, BEGIN] - outputs[:, FRESH] * stride + pad
    found = zip(sizes.tolist(), (outputs[:, END] - outputs[:, FRESH]).tolist(), pads.tolist(), strict=True)
    return list(found)


def _pairs(
    rows: Sequence[_AxisCall], columns: Sequence[_AxisCall], is_chosen: np.ndarray
) -> Counter[tuple[_AxisCall, _AxisCall]]:
    """How many chosen tiles have each pair of a row's and a column's call."""
    if is_chosen.all():
        by_row, by_column = Counter(rows), Counter(columns)
        return Counter({(r, c): n * k for (r, n), (c, k) in itertools.product(by_row.items(), by_column.items())})
    return Counter((rows[i], columns[j]) for i, j in np.argwhere(is_chosen).tolist())


def _stage_call(
    program: StageProgram, op: StageOp, named: tuple[str, str], row: _AxisCall, column: _AxisCall
) -> ShapedCall:
    """One op, its kernel and tag given, in one patch."""
    (kernel, tag), size, window = named, (row[0], column[0]), op.window
    input_channels, channels = program.shapes[op.inputs[0]][2], program.shapes[op.output][2]
    if op.traits.is_reduction:
        return KernelShape(kernel, (*size, input_channels), (1, 1, channels), kernel=size), tag
    if op.traits.upsamples:
        return KernelShape(kernel, (*size, input_channels), (*size, channels)), tag
    taps, strides = (window.kernel_height, window.kernel_width), (window.stride_height, window.stride_width)
    output = (row[1], column[1], channels)
    return KernelShape(kernel, (*size, input_channels), output, taps, strides, (row[2], column[2])), tag


def _shape_of(graph: ModelGraph, op: Op, kernel: str) -> KernelShape:
    source, target = (graph.tensors[t].shape for t in (op.inputs[0], op.outputs[0]))
    if op.traits.is_vector:
        return KernelShape(kernel, (1, 1, math.prod(source)), (1, 1, target[-1]))
    window = op.window or Window()
    return KernelShape(
        kernel,
        _map(source),
        _map(target),
        (window.kernel_height, window.kernel_width),
        (window.stride_height, window.stride_width),
        (window.pad_top, window.pad_left),
    )


def _map(shape: tuple[int, ...]) -> tuple[int, ...]:
    """[H, W, C] of a tensor of any rank, without the batch."""
    inner = (1, 1, 1, *shape[1:])
    return (math.prod(inner[:-2]), *inner[-2:])


def largest_tiles(program: StageProgram) -> list[Calls]:
    """The kernel calls of tiles that may be the longest, one of each sort; of a patch whose class is chosen at run time
    as an outlier patch."""
    num_rows, num_columns = map(len, program.spans)
    first_row, first_column = (-n for n in program.num_priming)
    by_axis = [[_axis_calls(program, op, axis) for op in program.ops] for axis in range(2)]
    sorts = {
        (tuple(calls[row] for calls in by_axis[0]), tuple(calls[column] for calls in by_axis[1]), patch_class)
        for row in range(num_rows)
        for column in range(num_columns)
        for patch_class in program.classes_of(row + first_row, column + first_column)[:1]
    }
    tiles = []
    for rows, columns, patch_class in sorts:
        calls: Calls = Counter()
        for index, (row, column) in enumerate(zip(rows, columns, strict=True)):
            if 0 not in (*row[:2], *column[:2]):
                named = _stage_kernel(program, index, patch_class)
                calls[_stage_call(program, program.ops[index], named, row, column)] += 1
        tiles.append(calls)
    return tiles
