"""Writes tflm_kernels/benchmarks/stock_calls.txt: the calls of stock ops' kernels that `bench` measures.

    python -m tools.stock_call_shapes

Shapes are by chance, seeded, of the sorts that PAD, CONCATENATION, TRANSPOSE, RESIZE, MEAN and their like make.
"""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from tflm_quantmcu.cost.stock_call_times import words_of
from tflm_quantmcu.law import kernel_calls as calls
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


def _params() -> Iterator[tuple[str, Any]]:
    yield from (("StridedCopy", p) for p in _copies())
    yield from (("Mean", p) for p in _means())
    yield from (("Mul", p) for p in _broadcasts(calls.MulParams, (1 << 30, -6)))
    yield from (("BroadcastAdd", p) for p in _broadcasts(calls.BroadcastAddParams, (_HALF, _HALF, (1 << 30, -17))))
    for rows, depth in ((1, 2), (1, 3), (1, 10), (1, 12), (1, 35), (1, 100), (1, 1000), (20, 4), (100, 2), (64, 21)):
        # Of a scale of 1/8: 2^23 * 2 in Q5 is 2^26, shift 23; what lies 248 below is 0.
        yield "Softmax", calls.SoftmaxParams(rows, depth, -248, (1 << 30, 24))
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
