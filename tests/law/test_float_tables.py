"""Tables of GELU, EXP, LOG and NEG (law A39): their worked examples, and TensorFlow Lite's own bytes."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest

from tests.support.edit_model import StockModel
from tests.test_laws import table_rows
from tflm_quantmcu.graph.types import Format
from tflm_quantmcu.law.lookups import Lookup
from tflm_quantmcu.tflite import schema

SHAPE = (1, 16, 16, 1)
ALL_VALUES = np.arange(-128, 128, dtype=np.int8).reshape(SHAPE)
# Lookup.kind -> the op and its options.
OPS: dict[str, tuple[str, Any]] = {
    "EXP": ("EXP", schema.ExpOptionsT()),
    "GELU": ("GELU", schema.GeluOptionsT(approximate=False)),
    "GELU_BY_TANH": ("GELU", schema.GeluOptionsT(approximate=True)),
    "LOG": ("LOG", None),
}
RANDOM = [(seed, (-6.0, -1.0)) for seed in range(12)]
EXTREME = [(seed, (-80.0, 80.0)) for seed in range(12, 24)]


def table_of(kind: str, source: Format, output: Format) -> np.ndarray:
    return Lookup(kind, source, output).table(source, output, (-128, 127))


def formats_of(seed: int, exponents: tuple[float, float]) -> list[Format]:
    rng = np.random.default_rng(seed)
    scales = np.exp(rng.uniform(*exponents, 2)).astype(np.float32)
    return [Format(8, float(s), int(rng.integers(-128, 128))) for s in scales]


def run_tflite(model: bytes, *, is_reference: bool) -> np.ndarray:
    """All values through TensorFlow Lite's reference kernels, or its optimised ones."""
    import tensorflow as tf

    kind = tf.lite.experimental.OpResolverType
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        interpreter = tf.lite.Interpreter(
            model_content=model,
            experimental_op_resolver_type=kind.BUILTIN_REF if is_reference else kind.BUILTIN_WITHOUT_DEFAULT_DELEGATES,
        )
    interpreter.allocate_tensors()
    interpreter.set_tensor(interpreter.get_input_details()[0]["index"], ALL_VALUES)
    interpreter.invoke()
    return interpreter.get_tensor(interpreter.get_output_details()[0]["index"]).ravel()


@pytest.mark.parametrize(
    "row", table_rows("arithmetic.md", "op", "s_in, zero_in", "s_out, zero_out", "x", "y"), ids=" ".join
)
def test_the_worked_tables(row: list[str]) -> None:
    kind = {"GELU, approximate": "GELU_BY_TANH"}.get(row[0], row[0])
    source, output = (
        Format(8, float(np.float32(scale)), int(zero)) for scale, zero in (cell.split(",") for cell in row[1:3])
    )
    places = [int(x) + 128 for x in row[3].split(",")]
    assert table_of(kind, source, output)[places].tolist() == [int(y) for y in row[4].split(",")]


@pytest.mark.parametrize("kind", OPS)
@pytest.mark.parametrize(("seed", "exponents"), RANDOM + EXTREME)
def test_it_gives_the_bytes_of_tensorflow_lite(kind: str, seed: int, exponents: tuple[float, float]) -> None:
    pytest.importorskip("tensorflow")
    source, output = formats_of(seed, exponents)
    op, options = OPS[kind]
    net = StockModel()
    x = net.input(SHAPE, scale=source.scale, zero_point=source.zero_point)
    model = net.build(net.stock(op, [x], options, SHAPE, scale=output.scale, zero_point=output.zero_point))
    table = table_of(kind, source, output)
    for is_reference in (True, False):
        np.testing.assert_array_equal(table, run_tflite(model, is_reference=is_reference))


@pytest.mark.parametrize("kind", (*OPS, "NEG"))
@pytest.mark.parametrize("scales", ((1e-30, 1e30), (1e30, 1e-30), (1e30, 1e30), (1e-30, 1e-30)))
def test_no_format_overflows(kind: str, scales: tuple[float, float]) -> None:
    source, output = (Format(8, float(np.float32(s)), z) for s, z in zip(scales, (3, -100), strict=True))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        table = table_of(kind, source, output)
        other = Lookup(kind, source, output).table(source, Format(4, output.scale, 0), (-8, 7))
    assert {table.min(), table.max()} <= {*range(-128, 128)} and -8 <= other.min() <= other.max() <= 7
