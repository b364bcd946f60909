"""What kernels of stock ops take: copies, means, softmax, changes of type.

In: a call of a portable kernel with its params (law/kernel_calls.py). Out: what its loops do, counted: numbers that its
instructions and cycles are a linear formula of. The coefficients come from the calls of
tflm_kernels/benchmarks/stock_calls.txt, which `bench` measures (data/stock_<core>.csv). Kernels that are in no row have
no formula.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import math
import struct
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np

from tflm_quantmcu.cost.cycles import Work
from tflm_quantmcu.law import kernel_calls
from tflm_quantmcu.law.kernel_calls import NUM_DIMS, Dims

_WORDS = {"int": 1, "float": 1, "Dims": NUM_DIMS, "Pair": 2, "tuple[Pair, Pair, Pair]": 6}  # of a field of params


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
    features = _FEATURES.get(call.kernel)
    return None if features is None else np.array(features(call.params), float)


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


def _mean(params: kernel_calls.MeanParams) -> list[int]:
    """What lies side by side is summed up in a loop of its own."""
    kept = _loops(params.kept)
    loops = [kept[-1] * n for n in _loops(params.reduced)]
    is_side_by_side = params.reduced_steps[-1] == 1
    return [1, *kept, *loops[:-1], loops[-1] * is_side_by_side, loops[-1] * (not is_side_by_side)]


def _broadcast(params: kernel_calls.MulParams | kernel_calls.BroadcastAddParams) -> list[int]:
    return [1, *_loops(params.extents)]


def _softmax(params: kernel_calls.SoftmaxParams) -> list[int]:
    return [1, params.rows, params.rows * params.depth]


def _each(params: Any) -> list[int]:
    return [1, params.count]


_FEATURES: Mapping[str, Callable[[Any], list[int]]] = {
    "StridedCopy": _copy,
    "Fill": _fill,
    "Mean": _mean,
    "Mul": _broadcast,
    "BroadcastAdd": _broadcast,
    "Softmax": _softmax,
    "Logistic": _each,
    "HardSwish": _each,
    "Quantize": _each,
    "Dequantize": _each,
    "RequantizeBytes": _each,
}
KERNELS = tuple(_FEATURES)


def params_class(kernel: str) -> type:
    """The class of the params of a kernel of KERNELS."""
    return getattr(kernel_calls, f"{'Quantize' if kernel == 'Dequantize' else kernel}Params")


def words_of(params: Any) -> list[int]:
    """Params as the words of the C++ struct; a float as its bits."""
    values = [value for item in dataclasses.astuple(params) for value in np.ravel(item)]
    return [struct.unpack("<i", struct.pack("<f", v))[0] if isinstance(v, np.floating) else int(v) for v in values]


def read_calls(text: str) -> list[StockCall]:
    """The calls of stock_calls.txt."""
    lines = [line.split() for line in text.splitlines() if line and not line.startswith("#")]
    return [_call(kernel, list(map(int, words))) for kernel, *words in lines]


def _call(kernel: str, words: Sequence[int]) -> StockCall:
    """The inverse of `words_of`."""
    left, values = list(words), {}
    kind = params_class(kernel)
    for field in dataclasses.fields(kind):
        count = _WORDS[str(field.type)]
        taken, left = tuple(left[:count]), left[count:]
        if field.type == "float":
            values[field.name] = struct.unpack("<f", struct.pack("<i", *taken))[0]
        else:
            values[field.name] = taken if count in (2, NUM_DIMS) else taken[0] if count == 1 else _pairs(taken)
    return StockCall(kernel, kind(**values))


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
