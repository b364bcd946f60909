"""What kernels of stock ops take: copies, means, rows, relations, products, float32 values, changes of type.

In: a call of a portable kernel with its params (law/kernel_calls.py, law/product_calls.py). Out: what its loops do,
counted: numbers that its instructions and cycles are a linear formula of. The coefficients come from the calls of
tflm_kernels/benchmarks/stock_calls.txt, which `bench` measures (data/stock_<core>.csv). Kernels that are in no row have
no formula.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import itertools
import math
import struct
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tflm_quantmcu.cost.cycles import Work
from tflm_quantmcu.graph.types import Window
from tflm_quantmcu.law import kernel_calls, product_calls
from tflm_quantmcu.law.kernel_calls import NUM_DIMS, Dims

# Of a field of params that is no struct.
_WORDS = {"int": 1, "float": 1, "Dims": NUM_DIMS, "Pair": 2, "tuple[Pair, Pair, Pair]": 6, "Gates": 16}
_MAX_DIFFERENCE = 255
_STRUCTS: Mapping[str, type] = {"FeatureMap": kernel_calls.FeatureMap, "Window": Window}


@dataclasses.dataclass(frozen=True)
class StockCall:
    """A call: the name of the C++ function and its params, one of law/kernel_calls.py."""

    kernel: str
    params: Any


@dataclasses.dataclass(frozen=True)
class StockRow:
    """A measured call."""

    call: StockCall
    work: Work


def stock_features(call: StockCall) -> np.ndarray | None:
    """float [features], >= 0; how many depends on the kernel. None of kernels that are not measured."""
    if call.kernel not in _KERNELS:
        return None
    _, features = _KERNELS[call.kernel]
    return np.array(features(call.params), float)


def _loops(extents: Dims) -> list[int]:
    """How often each loop of ForEachOffset (portable/law/strided.h) goes round, the innermost last."""
    return [math.prod(extents[: d + 1]) for d in range(NUM_DIMS)]


def _copy(params: kernel_calls.StridedCopyParams) -> list[int]:
    """Runs of neighbours go through memcpy, which takes words where both ends begin at one."""
    has_runs = params.input_steps[-1] == params.output_steps[-1] == 1
    extents = (*params.extents[:-1], 1) if has_runs else params.extents
    run, loops = params.extents[-1] if has_runs else 1, _loops(extents)
    steps = (*params.input_steps[:-1], *params.output_steps[:-1], run)
    place = [loops[-1] * n for n in (1, run, run // 16, run % 16)]
    aligned, nothing = all(step % 4 == 0 for step in steps), [0] * len(place)
    return [1, *loops[:-1], *(place if aligned else nothing), *(nothing if aligned else place)]


def _fill(params: kernel_calls.FillParams) -> list[int]:
    return [1, *(n for size in (1, 4, 16) for n in (params.num_bytes // size, params.num_bytes % size))]


def _each_of_four(params: product_calls.FloatValuesParams) -> list[int]:
    """MVE takes four values at once."""
    return [1, params.count, params.count // 4, params.count % 4]


def _cast(params: product_calls.CastParams) -> list[int]:
    """Each pair of types has a loop of its own."""
    kind = (params.input_bytes, params.output_bytes, params.is_output_float)
    return [1, *(params.count * (kind == other) for other in itertools.product((1, 4), (1, 4), (0, 1)))]


def _reduced(params: Any) -> list[int]:
    """What lies side by side is taken in a loop of its own."""
    kept = _loops(params.kept)
    loops = [kept[-1] * n for n in _loops(params.reduced)]
    is_side_by_side = params.reduced_steps[-1] == 1
    return [1, *kept, *loops[:-1], loops[-1] * is_side_by_side, loops[-1] * (not is_side_by_side)]


def _broadcast(params: Any) -> list[int]:
    return [1, *_loops(params.extents)]


def _rows(params: Any) -> list[int]:
    return [1, params.rows, params.rows * params.depth]


def _exponentials(params: Any) -> list[int]:
    """Values far below the largest of their row take none; of values by chance it is as many as differences are."""
    counted = min(1.0, -params.smallest_difference / _MAX_DIFFERENCE)
    values = params.rows * (params.depth - 1)
    return [1, params.rows, params.rows * params.depth, round(values * counted)]


def _each(params: Any) -> list[int]:
    return [1, params.count]


def _mat_mul(params: product_calls.MatMulParams) -> list[int]:
    """What lies side by side in both inputs is multiplied in a loop of its own."""
    loops = _loops(params.extents)
    products = [loops[-1], loops[-1] * params.depth]
    is_side_by_side, nothing = params.left_depth_step == params.right_depth_step == 1, [0, 0]
    return [1, *loops[:-1], *(products if is_side_by_side else nothing), *(nothing if is_side_by_side else products)]


def _grouped(params: product_calls.GroupedConv2DParams) -> list[int]:
    """Rows and taps of windows that are met, those outside of the map too, and what is multiplied."""
    outputs, window = params.output.channels, params.window
    rows, columns = _insides(params)
    pixels = params.output.height * params.output.width
    tried_rows = pixels * window.kernel_height * outputs
    met = rows * columns * outputs
    tried = rows * params.output.width * window.kernel_width * outputs
    depth = params.input.channels // params.num_groups
    return [1, pixels, pixels * outputs, tried_rows, tried, met, met * depth]


def _insides(params: product_calls.GroupedConv2DParams) -> list[int]:
    """How many taps of the windows along each axis lie inside the map, of all windows."""
    window = params.window
    axes = (
        *((params.output.height, params.input.height, window.kernel_height, window.stride_height),),
        *((params.output.width, params.input.width, window.kernel_width, window.stride_width),),
    )
    more = ((window.dilation_height, window.pad_top), (window.dilation_width, window.pad_left))
    found = []
    for (windows, size, taps, stride), (dilation, pad) in zip(axes, more, strict=True):
        places = np.arange(windows)[:, None] * stride - pad + np.arange(taps) * dilation
        found.append(int(((places >= 0) & (places < size)).sum()))
    return found


def _transposed(params: kernel_calls.Conv2DParams) -> list[int]:
    """The taps of each axis that are a stride apart, and those of them that meet a pixel."""
    window, output = params.window, params.output
    axes = (
        (output.height, params.input.height, window.kernel_height, window.stride_height, window.pad_top),
        (output.width, params.input.width, window.kernel_width, window.stride_width, window.pad_left),
    )
    tried, met = [], []
    for size, pixels, taps, stride, pad in axes:
        moved = np.arange(size)[:, None] + pad - np.arange(taps)
        is_tried = moved % stride == 0
        tried.append(int(is_tried.sum()))
        met.append(int((is_tried & (moved >= 0) & (moved // stride < pixels)).sum()))
    outputs, pixels = output.channels, output.height * output.width
    taps = met[0] * met[1] * outputs
    rows = tried[0] * output.width * outputs
    return [1, pixels, pixels * outputs, rows, met[0] * tried[1] * outputs, taps, taps * params.input.channels]


def _svdf(params: product_calls.SvdfParams) -> list[int]:
    """The products of each filter's weights, and of its memory, whose loop depends on the bytes of a value."""
    filters = params.batches * params.filters
    memory = filters * params.memory
    is_bytes = params.state_bytes == 1
    rest = [filters, filters * params.depth, memory * is_bytes, memory * (not is_bytes)]
    return [1, params.batches, filters // params.rank, *rest]


def _lstm(params: product_calls.LstmParams) -> list[int]:
    """The products of each unit's gates, and what a unit takes beside them at each step."""
    steps = params.batches * params.steps
    return [1, params.batches, steps, steps * params.units, steps * params.units * (params.depth + params.units)]


_RELATIONS = ("Equal", "Less", "LessEqual", "NotEqual")
FLOAT_VALUES = ("Abs", "Ceil", "Floor", "HardSwish", "Neg", "Relu", "Relu6", "Round", "Rsqrt", "Sqrt", "Square")
_PAIRS = kernel_calls.ComparisonParams
_SUMS = kernel_calls.BroadcastAddParams
_VALUES = product_calls.FloatValuesParams
# Kernel -> the class of its params, and what its loops do.
_KERNELS: Mapping[str, tuple[type, Callable[[Any], list[int]]]] = {
    "StridedCopy": (kernel_calls.StridedCopyParams, _copy),
    "Fill": (kernel_calls.FillParams, _fill),
    "Mean": (kernel_calls.MeanParams, _reduced),
    "Mul": (kernel_calls.MulParams, _broadcast),
    "BroadcastAdd": (_SUMS, _broadcast),
    "Softmax": (kernel_calls.SoftmaxParams, _exponentials),
    "Logistic": (kernel_calls.LogisticParams, _each),
    "HardSwish": (kernel_calls.HardSwishParams, _each),
    "Quantize": (kernel_calls.QuantizeParams, _each),
    "Dequantize": (kernel_calls.QuantizeParams, _each),
    "RequantizeBytes": (kernel_calls.RequantizeBytesParams, _each),
    **dict.fromkeys(("ArgMax", "ArgMin", "ReduceMax", "ReduceMin"), (kernel_calls.ReductionParams, _reduced)),
    "BroadcastPrelu": (kernel_calls.BroadcastPreluParams, _broadcast),
    **dict.fromkeys(("BroadcastSub", "SquaredDifference"), (_SUMS, _broadcast)),
    **dict.fromkeys(("ByteEqual", "ByteNotEqual", "FloatMaximum", "FloatMinimum"), (_PAIRS, _broadcast)),
    "Cast": (product_calls.CastParams, _cast),
    "FloatSquaredDifference": (_PAIRS, _broadcast),
    "FloatL2Normalization": (product_calls.FloatRowsParams, _rows),
    "FloatMean": (product_calls.FloatMeanParams, _reduced),
    **dict.fromkeys(("Maximum", "Minimum"), (_PAIRS, _broadcast)),
    **{prefix + name: (_PAIRS, _broadcast) for prefix in ("Float", "Int32") for name in _RELATIONS},
    **{f"Scaled{name}": (product_calls.ScaledComparisonParams, _broadcast) for name in _RELATIONS},
    **{f"Float{n}": (product_calls.FloatValuesParams, _each_of_four) for n in FLOAT_VALUES},
    "FloatLeakyRelu": (product_calls.FloatSlopeParams, _each_of_four),
    "FloatPrelu": (_PAIRS, _broadcast),
    **{f"Float{n}": (product_calls.FloatPairsParams, _broadcast) for n in ("Add", "Div", "Mul", "Sub")},
    "GroupedConv2D": (product_calls.GroupedConv2DParams, _grouped),
    "L2Normalization": (product_calls.L2NormalizationParams, _rows),
    "LogSoftmax": (product_calls.LogSoftmaxParams, _exponentials),
    "Lstm": (product_calls.LstmParams, _lstm),
    "MatMul": (product_calls.MatMulParams, _mat_mul),
    "Select": (product_calls.SelectParams, _broadcast),
    "Svdf": (product_calls.SvdfParams, _svdf),
    "TransposeConv2D": (kernel_calls.Conv2DParams, _transposed),
}
KERNELS = tuple(_KERNELS)


def words_of(params: Any) -> list[int]:
    """Params as the words of the C++ struct; a float as its bits."""
    return [
        struct.unpack("<i", struct.pack("<f", v))[0] if isinstance(v, float) else int(v)
        for v in _numbers(dataclasses.astuple(params))
    ]


def _numbers(value: Any) -> Iterator[int | float]:
    if isinstance(value, tuple):
        for item in value:
            yield from _numbers(item)
    else:
        yield value


def read_calls(text: str) -> list[StockCall]:
    """The calls of stock_calls.txt."""
    lines = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    return [_call(kernel, list(map(int, words))) for kernel, *words in lines]


def _call(kernel: str, words: Sequence[int]) -> StockCall:
    """The inverse of `words_of`."""
    kind, _ = _KERNELS[kernel]
    return StockCall(kernel, _struct(kind, iter(words)))


def _struct(kind: type, words: Iterator[int]) -> Any:
    values: dict[str, Any] = {}
    for field in dataclasses.fields(kind):
        if str(field.type) in _STRUCTS:
            values[field.name] = _struct(_STRUCTS[str(field.type)], words)
            continue
        count = _WORDS[str(field.type)]
        taken = tuple(itertools.islice(words, count))
        if field.type == "float":
            (values[field.name],) = struct.unpack("<f", struct.pack("<i", *taken))
        else:
            values[field.name] = taken if count in (2, NUM_DIMS) else taken[0] if count == 1 else _pairs(taken)
            if field.type == "Gates":
                values[field.name] = tuple(zip(values[field.name][::2], values[field.name][1::2], strict=True))
    return kind(**values)


def _pairs(words: Sequence[int]) -> tuple[tuple[int, ...], ...]:
    return tuple(tuple(words[i : i + 2]) for i in range(0, len(words), 2))


def to_csv(rows: Iterable[StockRow]) -> str:
    """The rows as text with a header."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["kernel", "params", *(field.name for field in dataclasses.fields(Work))])
    for row in rows:
        words = " ".join(map(str, words_of(row.call.params)))
        writer.writerow([row.call.kernel, words, *dataclasses.astuple(row.work)])
    return buffer.getvalue()


def from_csv(text: str) -> list[StockRow]:
    """The inverse of `to_csv`."""
    return [_row(cells) for cells in csv.DictReader(io.StringIO(text))]


def _row(cells: Mapping[str, str]) -> StockRow:
    work = Work(*(int(cells[field.name]) for field in dataclasses.fields(Work)))
    return StockRow(_call(cells["kernel"], list(map(int, cells["params"].split()))), work)
