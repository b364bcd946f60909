"""Writes tflm_kernels/benchmarks/stock_calls.txt: the calls of stock ops' kernels that `bench` measures.

    python -m tools.stock_call_shapes

Shapes are by chance, seeded, of the sorts that PAD, CONCATENATION, TRANSPOSE, RESIZE, MEAN and their like make.
"""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tflm_quantmcu.cost.stock_call_times import FLOAT_VALUES, words_of
from tflm_quantmcu.graph.types import Window
from tflm_quantmcu.law import kernel_calls as calls
from tflm_quantmcu.law.product_calls import (
    CastParams,
    FloatMeanParams,
    FloatPairsParams,
    FloatRowsParams,
    FloatSlopeParams,
    FloatValuesParams,
    GroupedConv2DParams,
    L2NormalizationParams,
    LogSoftmaxParams,
    LstmParams,
    MatMulParams,
    ScaledComparisonParams,
    SelectParams,
    SvdfParams,
)
from tflm_quantmcu.lowering.stock_parts import dense_steps

OUTPUT = Path(__file__).parents[1] / "tflm_kernels/benchmarks/stock_calls.txt"
HEADER = """\
# Calls of the kernels that stock ops run on, by chance: python -m tools.stock_call_shapes
# kernel  words of its params (tflm_kernels/portable/ops), a float as its bits
"""
_HALF = (1 << 30, 0)
_CHANNELS = (1, 2, 3, 4, 6, 8, 10, 12, 16, 20, 24, 32, 48, 64, 96, 128)
_COUNTS = (1, 7, 12, 16, 64, 100, 256, 490, 1000, 3072, 9216, 27648)
_NUM_MAPS = 24
_FEW = 100
_MAX_PAIRS = 2000  # values of a call that takes two to one


def _maps() -> Iterator[tuple[int, int, int]]:
    """[H, W, C] of at most 2^16 values."""
    chance = random.Random(1)
    for _ in range(_NUM_MAPS):
        channels = chance.choice(_CHANNELS)
        size = min(48, int((60000 / channels) ** 0.5))
        yield chance.randint(1, size), chance.randint(1, size), channels


def _copies() -> Iterator[calls.StridedCopyParams]:
    for height, width, channels in _maps():
        shape, steps = (1, height, width, channels), dense_steps((1, height, width, channels))
        merged = (1, 1, height, width * channels), dense_steps((1, 1, height, width * channels))
        padded = dense_steps((1, 1, height, (width + 2) * channels))
        beside = dense_steps((1, height, width, channels + 16))
        swapped = (steps[0], steps[2], steps[1], steps[3])
        yield calls.StridedCopyParams(*merged, padded)  # PAD
        yield calls.StridedCopyParams(shape, steps, beside)  # CONCATENATION along channels
        yield calls.StridedCopyParams((1, width, height, channels), swapped, dense_steps((1, width, height, channels)))
        yield calls.StridedCopyParams((1, 1, channels, height * width), (0, 0, 1, channels), (0, 0, height * width, 1))
        yield calls.StridedCopyParams((1, 1, 1, height * width * channels), (0, 0, 0, 1), (0, 0, 0, 1))


def _means() -> Iterator[calls.MeanParams]:
    for height, width, channels in _maps():
        pixels = (1, 1, 1, height * width), (0, 0, 0, channels)
        yield calls.MeanParams((1, 1, 1, channels), (0, 0, 0, 1), *pixels, 3, -5, _HALF)
        rows = (1, 1, 1, height), (0, 0, 0, width * channels)
        yield calls.MeanParams((1, 1, 1, width * channels), (0, 0, 0, 1), *rows, 3, -5, _HALF)
        yield calls.MeanParams(
            (1, 1, 1, height * width), (0, 0, 0, channels), (1, 1, 1, channels), (0, 0, 0, 1), 3, -5, _HALF
        )


def _broadcasts(kind: type, factors: Any) -> Iterator[Any]:
    for height, width, channels in _maps():
        whole = (1, 1, 1, height * width * channels), (0, 0, 0, 1)
        yield kind(*whole, (0, 0, 0, 1), 3, -7, -5, (-128, 127), factors)
        by_channel = (1, 1, height * width, channels), (0, 0, channels, 1), (0, 0, 0, 1)
        yield kind(*by_channel, 3, -7, -5, (-128, 127), factors)


def _pairs() -> Iterator[tuple[calls.Dims, calls.Dims, calls.Dims]]:
    """(extents, steps, steps) of the smaller maps: of two maps alike, and of one with a value a channel."""
    for height, width, channels in itertools.islice(_maps(), 0, _NUM_MAPS, 2):
        rows = min(height, 1 + _MAX_PAIRS // (width * channels))
        yield (1, 1, 1, rows * width * channels), (0, 0, 0, 1), (0, 0, 0, 1)
        yield (1, 1, rows * width, channels), (0, 0, channels, 1), (0, 0, 0, 1)


def _of_pairs() -> Iterator[tuple[str, Any]]:
    """Calls of kernels that take two values to one."""
    third = (1431655765, -1)
    for pair in _pairs():
        for relation in ("Equal", "NotEqual", "Less", "LessEqual"):
            for prefix in ("Float", "Int32", *(("Byte",) if "Less" not in relation else ())):
                yield prefix + relation, calls.ComparisonParams(*pair)
            yield f"Scaled{relation}", ScaledComparisonParams(*pair, 3, -7, third, third)
        for kernel in ("Maximum", "Minimum", "FloatMaximum", "FloatMinimum", "FloatPrelu", "FloatSquaredDifference"):
            yield kernel, calls.ComparisonParams(*pair)
        for kernel in ("Add", "Div", "Mul", "Sub"):
            yield f"Float{kernel}", FloatPairsParams(*pair, -3e38, 3e38)
        yield "BroadcastPrelu", calls.BroadcastPreluParams(*pair, 3, -7, -5, _HALF, (1 << 30, -6))
        yield "BroadcastSub", calls.BroadcastAddParams(*pair, 3, -7, -5, (-128, 127), (_HALF, _HALF, (1 << 30, -17)))
        squares = (_HALF, _HALF, (1 << 30, -6))
        yield "SquaredDifference", calls.BroadcastAddParams(*pair, 3, -7, -5, (-128, 127), squares)
        yield "Select", SelectParams(*pair, 1, 1)


def _reductions() -> Iterator[calls.ReductionParams]:
    for mean in itertools.islice(_means(), 0, None, 2):
        yield calls.ReductionParams(mean.kept, mean.kept_steps, mean.reduced, mean.reduced_steps)


def _products() -> Iterator[MatMulParams]:
    shapes = ((1, 64, 10), (8, 8, 8), (16, 40, 12), (49, 16, 49), (20, 64, 20), (100, 5, 30), (3, 200, 7))
    for rows, depth, columns in shapes:
        extents, left = (1, 1, rows, columns), (0, 0, depth, 0)
        for right, step in (((0, 0, 0, depth), 1), ((0, 0, 0, 1), columns)):
            yield MatMulParams(extents, left, right, depth, 1, step, 3, -7, -5, 1, (-128, 127), (1 << 30, -8))


def _convolutions() -> Iterator[tuple[str, Any]]:
    """Convolutions in groups, and transposed ones, with kernels and strides by chance."""
    chance = random.Random(2)
    for _ in range(_NUM_MAPS):
        groups, depth, outputs = chance.choice((2, 3, 4, 8)), chance.choice((1, 2, 4, 5, 8)), chance.choice((1, 2, 3))
        rows, columns, down, right = (chance.randint(1, most) for most in (4, 4, 3, 3))
        window = Window(rows, columns, down, right, pad_top=(rows - 1) // 2, pad_left=(columns - 1) // 2)
        height, width = chance.randint(3, 14), chance.randint(3, 14)
        source = _map(height, width, groups * depth)
        small = _map(-(-height // down), -(-width // right), groups * outputs)
        yield "GroupedConv2D", GroupedConv2DParams(source, small, window, (-128, 127), 8, groups)
        large = _map(height * down, width * right, outputs)
        yield "TransposeConv2D", calls.Conv2DParams(source, large, window, (-128, 127), 8)


def _with_states() -> Iterator[tuple[str, Any]]:
    """Batches, depths, filters or units, ranks, memories and steps by chance."""
    chance = random.Random(3)
    for _ in range(_NUM_MAPS):
        batches, depth, units = chance.choice((1, 1, 2)), chance.choice(_CHANNELS), chance.randint(1, 32)
        rank, memory, state_bytes = chance.choice((1, 1, 2)), chance.randint(1, 20), chance.choice((1, 2))
        sizes = batches, depth, units * rank, rank, memory, state_bytes
        yield "Svdf", SvdfParams(*sizes, 3, -7 * (state_bytes == 1), -5, (1 << 30, -6), (1 << 30, -8))
        steps, gate = chance.randint(1, 12), ((1 << 30, -3), (1 << 30, -2))
        views = steps * depth, depth, steps * units, units
        factors = (gate,) * 4, (1 << 30, -14), (1 << 30, -18), (1 << 30, -22)
        yield "Lstm", LstmParams(batches, steps, depth, units, *views, 3, -2, *factors, 1, 0)


def _map(height: int, width: int, channels: int) -> calls.FeatureMap:
    return calls.FeatureMap(height, width, channels, width * channels, 8, -5)


def _params() -> Iterator[tuple[str, Any]]:
    yield from (("StridedCopy", p) for p in _copies())
    yield from (("Mean", p) for p in _means())
    yield from (("Mul", p) for p in _broadcasts(calls.MulParams, (1 << 30, -6)))
    yield from (("BroadcastAdd", p) for p in _broadcasts(calls.BroadcastAddParams, (_HALF, _HALF, (1 << 30, -17))))
    for rows, depth in ((1, 2), (1, 3), (1, 10), (1, 12), (1, 35), (1, 100), (1, 1000), (20, 4), (100, 2), (64, 21)):
        # Of a scale of 1/8: 2^23 * 2 in Q5 is 2^26, shift 23; what lies 248 below is 0. Of scales 4 and 16 times as
        # large it is 62 and 15, of rows long enough to have as many such values as chance says.
        for shift, least in ((24, -248), (26, -62), (28, -15))[: 3 if rows * depth >= _FEW else 1]:
            yield "Softmax", calls.SoftmaxParams(rows, depth, least, (1 << 30, shift))
    yield from _of_pairs()
    yield from ((k, p) for p in _reductions() for k in ("ArgMax", "ArgMin", "ReduceMax", "ReduceMin"))
    for views in itertools.islice(_reductions(), 0, None, 3):
        yield "FloatMean", FloatMeanParams(views.kept, views.kept_steps, views.reduced, views.reduced_steps, 3.0)
    yield from (("MatMul", p) for p in _products())
    yield from _convolutions()
    yield from _with_states()
    for rows, depth in ((1, 2), (1, 10), (1, 35), (1, 100), (20, 4), (100, 2), (64, 21), (7, 128)):
        yield "FloatL2Normalization", FloatRowsParams(rows, depth)
        yield "L2Normalization", L2NormalizationParams(rows, depth, 3)
        for shift, least in ((24, -248), (26, -62), (28, -15))[: 3 if rows * depth >= _FEW else 1]:
            yield "LogSoftmax", LogSoftmaxParams(rows, depth, least, (1 << 30, shift), (1 << 30, 2 - shift))
    for count in _COUNTS[:-2]:
        for kernel in FLOAT_VALUES:
            yield f"Float{kernel}", FloatValuesParams(count)
        yield "FloatLeakyRelu", FloatSlopeParams(count, 0.125)
        for sizes in ((1, 1, 0), (1, 4, 0), (1, 4, 1), (4, 1, 0), (4, 4, 1)):
            yield "Cast", CastParams(count, *sizes)
    for count in _COUNTS:
        yield "Fill", calls.FillParams(count, -3)
        yield "Logistic", calls.LogisticParams(count, -10, 127, (1 << 30, 24))
        yield "HardSwish", calls.HardSwishParams(count, -10, -20, 24000, 2, 20000, -3)
        yield "Quantize", calls.QuantizeParams(count, 0.03125, -4)
        yield "Dequantize", calls.QuantizeParams(count, 0.03125, -4)
        yield "RequantizeBytes", calls.RequantizeBytesParams(count, 1, 120, -4, (-128, 127), (1 << 30, 0))
        yield "RequantizeBytes", calls.RequantizeBytesParams(count, 0, 12, -4, (-128, 127), (1300000000, 0))


def main() -> None:
    lines = [" ".join([kernel, *map(str, words_of(params))]) for kernel, params in _params()]
    OUTPUT.write_text(HEADER + "\n".join(dict.fromkeys(lines)) + "\n")


if __name__ == "__main__":
    main()
