"""Stock ops that compare, choose, combine float32 values or norm rows: TFLM = numpy oracle = C++ in emitted code.

As test_stock_op_parity.py: all cases of an op are outputs of one model.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.parity.test_more_stock_ops import NUM_CASES, index, indices, stock
from tests.parity.test_stock_op_parity import ACTIVATIONS, ALL_VALUES, SHAPES, Zoo, check, shuffled
from tests.support.stock_op_models import COMPARISON_OPTIONS
from tests.support.tiny_models import Handle
from tflm_quantmcu.tflite import schema

MAP = (1, 4, 8, 8)


def compared(zoo: Zoo, case: int, kind: str, inputs: list[Handle]) -> Handle:
    options = getattr(schema, f"{COMPARISON_OPTIONS[kind]}OptionsT")()
    return stock(zoo, kind, inputs, options, MAP, dtype="bool")


def relation(kind: str) -> Callable[[Zoo, int], Handle]:
    """int8 of scales below 1, whose products with 256 are as often below 1 as above."""

    def build(zoo: Zoo, case: int) -> Handle:
        x0, x1 = (
            zoo.view(MAP, scale=float(np.exp(zoo.rng.uniform(-9, -0.01))), zero_point=zoo.zero_point())
            for _ in range(2)
        )
        if case % 3 < 2:
            shape = (1, *[(4, 8, 8), (1, 1, 8), (4, 1, 1), (1, 1, 1)][case % 4])
            scale = x0.scale * float(zoo.rng.choice([0.5, 1]))
            x1 = zoo.net.constant(zoo.rng.choice(ALL_VALUES, shape), scale=scale, zero_point=zoo.zero_point())
        return compared(zoo, case, kind, [x0, x1][:: 1 - 2 * (case % 2)])

    return build


def number_relation(kind: str) -> Callable[[Zoo, int], Handle]:
    """float32, with equal values among them, and indices."""

    def build(zoo: Zoo, case: int) -> Handle:
        if case % 2:
            x = zoo.net.dequantize(zoo.view(MAP, scale=0.5, zero_point=3))
            values = np.array([0, -0.0, 1, -12.5, 3.4e38, 60.0, 1e-40, 2], np.float32)
            return compared(zoo, case, kind, [x, zoo.net.constant(values)][:: 1 - case % 4 // 2 * 2])
        x = zoo.view((1, 4, 8, 8), scale=0.1, zero_point=3)
        options = schema.ArgMaxOptionsT(outputType=schema.TensorType.INT32)
        chosen = stock(zoo, "ARG_MAX", [x, index(zoo, 3)], options, MAP[:3], dtype="int32")
        options = getattr(schema, f"{COMPARISON_OPTIONS[kind]}OptionsT")()
        return stock(zoo, kind, [chosen, index(zoo, case % 8)], options, MAP[:3], dtype="bool")

    return build


def truths(zoo: Zoo, case: int) -> list[Handle]:
    x = zoo.view(MAP, scale=0.1, zero_point=3)
    rows = zoo.net.constant(zoo.rng.choice(ALL_VALUES, (1, 4, 1, 8)), scale=0.1, zero_point=3)
    values = zoo.net.constant(zoo.rng.choice(ALL_VALUES, MAP), scale=0.1, zero_point=3)
    return [compared(zoo, case, kind, [x, y]) for kind, y in (("LESS", rows), ("GREATER", values))]


def logic(zoo: Zoo, case: int) -> Handle:
    a, b = truths(zoo, case)
    kind = ("LOGICAL_AND", "LOGICAL_OR", "LOGICAL_NOT", "EQUAL", "NOT_EQUAL")[case % 5]
    if kind in COMPARISON_OPTIONS:
        return compared(zoo, case, kind, [a, b])
    return stock(zoo, kind, [a] if kind == "LOGICAL_NOT" else [a, b], None, MAP, dtype="bool")


def cast(zoo: Zoo, case: int) -> Handle:
    """Truths, int8 and indices as other numbers."""
    (x, _), dtype = truths(zoo, case), ("int8", "int32", "float32")[case // 3 % 3]
    shape: tuple[int, ...] = MAP
    if case % 3 == 1:
        x = zoo.view(MAP, scale=0.1, zero_point=3)
    elif case % 3 == 2:
        options = schema.ArgMaxOptionsT(outputType=schema.TensorType.INT32)
        shape = MAP[:3]
        x = stock(
            zoo, "ARG_MAX", [zoo.view(MAP, scale=0.1, zero_point=3), index(zoo, 3)], options, shape, dtype="int32"
        )
    formats: dict[str, Any] = {"scale": 1.0, "zero_point": 0} if dtype == "int8" else {}
    return stock(zoo, "CAST", [x], schema.CastOptionsT(), shape, dtype=dtype, **formats)


def select(zoo: Zoo, case: int) -> Handle:
    condition, _ = truths(zoo, case)
    x = zoo.view(MAP, scale=0.1, zero_point=3)
    shape = [MAP, (1, 1, 1, 8), (1, 4, 1, 1), (1, 1, 1, 1)][case % 4]
    y = zoo.net.constant(zoo.rng.choice(ALL_VALUES, shape), scale=0.1, zero_point=3)
    formats: dict[str, Any] = {"scale": 0.1, "zero_point": 3}
    if case % 3 == 0:
        x, formats = zoo.net.dequantize(x), {"dtype": "float32"}
        y = zoo.net.constant(zoo.rng.standard_normal(shape).astype(np.float32))
    chosen = [x, y][:: 1 - case % 2 * 2]
    return stock(zoo, "SELECT_V2", [condition, *chosen], schema.SelectV2OptionsT(), MAP, **formats)


def float_pair(kind: str) -> Callable[[Zoo, int], Handle]:
    """A map, and a constant that it broadcasts with, or itself, in any order; no 0 is divided by 0, whose bits cores
    choose."""

    def build(zoo: Zoo, case: int) -> Handle:
        x = zoo.net.dequantize(zoo.view(MAP, scale=zoo.scale(case), zero_point=zoo.zero_point()))
        shape = SHAPES[case % len(SHAPES)]
        y = zoo.net.constant((zoo.rng.standard_normal(shape) * 3).astype(np.float32))
        inputs = [(x, y), (y, x), (x, x)][case % (2 if kind == "DIV" else 3)]
        options = getattr(schema, f"{kind.capitalize()}OptionsT")()
        options.fusedActivationFunction = getattr(schema.ActivationFunctionType, ACTIVATIONS[case % 4])
        return stock(zoo, kind, list(inputs), options, MAP, dtype="float32")

    return build


def infinite(zoo: Zoo, case: int) -> Handle:
    """What overflows becomes the largest number, and what is divided by 0."""
    x = zoo.net.dequantize(zoo.view(MAP, scale=1.0, zero_point=(-128, 3)[case % 2]))
    kind, value = [("MUL", 3e38), ("DIV", 1e-38), ("MUL", 1e-45), ("ADD", 3.4028235e38)][case % 4]
    options = getattr(schema, f"{kind.capitalize()}OptionsT")()
    return stock(zoo, kind, [x, zoo.net.constant(np.float32(value).reshape(1))], options, MAP, dtype="float32")


def float_mean(zoo: Zoo, case: int) -> Handle:
    """The mean or the sum over axes, in TFLM's order."""
    kind, axes = ("MEAN", "SUM")[case % 2], [(1, 2), (3,), (2, 1), (-1,), (1, 2, 3), (1, 3), (2,)][case % 7]
    x = zoo.net.dequantize(zoo.view(MAP, scale=zoo.scale(case), zero_point=zoo.zero_point()))
    taken, keeps = {a % 4 for a in axes}, case % 3 > 0
    shape = tuple(1 if a in taken else n for a, n in enumerate(MAP) if keeps or a not in taken)
    return stock(zoo, kind, [x, indices(zoo, *axes)], schema.ReducerOptionsT(keepDims=keeps), shape, dtype="float32")


def float_rows(zoo: Zoo, case: int) -> Handle:
    """Lengths, which are 0 now and then, and squares of differences."""
    shape = ((1, 256), (1, 16, 16), (1, 4, 8, 8), (1, 256, 1))[case % 4]
    x = zoo.net.dequantize(zoo.view(shape, scale=zoo.scale(case, 1e-8), zero_point=zoo.zero_point()))
    if case % 3:
        return stock(zoo, "L2_NORMALIZATION", [x], schema.L2NormOptionsT(), shape, dtype="float32")
    y = zoo.net.constant(zoo.rng.standard_normal(shape[-1]).astype(np.float32))
    return stock(zoo, "SQUARED_DIFFERENCE", [x, y], schema.SquaredDifferenceOptionsT(), shape, dtype="float32")


def l2_normalization(zoo: Zoo, case: int) -> Handle:
    shape = ((1, 256), (1, 16, 16), (1, 2, 8, 16), (1, 256, 1), (1, 64, 4))[case % 5]
    x = zoo.view(shape, scale=zoo.scale(case), zero_point=zoo.zero_point())
    return stock(zoo, "L2_NORMALIZATION", [x], schema.L2NormOptionsT(), shape, scale=1 / 128, zero_point=0)


def log_softmax(zoo: Zoo, case: int) -> Handle:
    shape = ((1, 256), (1, 128, 2), (1, 16, 16), (1, 2, 8, 16), (1, 256, 1))[case % 5]
    x = zoo.view(shape, scale=zoo.scale(case, 1e-6, 7.9), zero_point=zoo.zero_point())
    return stock(zoo, "LOG_SOFTMAX", [x], schema.LogSoftmaxOptionsT(), shape, scale=1 / 16, zero_point=127)


OPS: dict[str, Callable[[Zoo, int], Handle]] = {
    **{kind.lower(): relation(kind) for kind in COMPARISON_OPTIONS},
    **{f"{kind.lower()} of numbers": number_relation(kind) for kind in COMPARISON_OPTIONS},
    "logic": logic,
    "select": select,
    "cast": cast,
    **{f"float {kind.lower()}": float_pair(kind) for kind in ("ADD", "SUB", "MUL", "DIV")},
    "infinite": infinite,
    "float mean": float_mean,
    "float rows": float_rows,
    "l2_normalization": l2_normalization,
    "log_softmax": log_softmax,
}
GROUPS = {
    "relations": [name for name in OPS if name.split()[0] in {kind.lower() for kind in COMPARISON_OPTIONS}],
    "choices": ["logic", "select", "cast"],
    "floats": [name for name in OPS if name.startswith(("float", "infinite"))],
    "rows": ["l2_normalization", "log_softmax"],
}


@pytest.mark.parametrize("group", GROUPS)
def test_ops_equal_tflm_in_every_byte(group: str, tmp_path: Path) -> None:
    zoo = Zoo((1, 256))
    for name in GROUPS[group]:
        for case in range(NUM_CASES):
            zoo.add(OPS[name](zoo, case))
    check(zoo.build(), shuffled(2, (1, 256)), tmp_path)
