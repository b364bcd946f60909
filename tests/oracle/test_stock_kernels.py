"""Laws A11 to A36: their worked examples, and what has no kernel."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from tests.support.edit_model import StockModel
from tests.support.tiny_models import Handle, TinyModel
from tests.test_laws import table_rows
from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.lowering.stock_ops import stock_calls
from tflm_quantmcu.oracle.simulate import simulate
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.reader import read_model

LAW = "arithmetic.md"


def numbers(text: str) -> list[float]:
    return [float(part) for part in text.split(",")]


def run(
    build: Callable[[StockModel, Handle], Handle], row: list[float], *, dtype: str = "int8", **format: float
) -> list:
    net = StockModel()
    x = net.input((1, len(row)), dtype=dtype, **format)  # type: ignore[arg-type]
    graph = read_model(net.build(build(net, x)))
    values = simulate(graph, None, np.array([row], dtype))
    return values[graph.tensors[graph.outputs[0]].name].ravel().tolist()


def example(name: str, *columns: str) -> tuple[list[float], list[float]]:
    """The inputs and results of a table whose header row are the inputs."""
    (row,) = table_rows(LAW, *columns)
    assert row[0] == name
    return [float(c) for c in columns[1:]], [float(c) for c in row[1:]]


@pytest.mark.parametrize("row", table_rows(LAW, "x", "s_in, zero_in", "s_out, zero_out", "mean"), ids=" ".join)
def test_mean_gives_the_worked_result(row):
    (scale, zero), (output_scale, output_zero) = numbers(row[1]), numbers(row[2])

    def build(net: TinyModel, x: Handle) -> Handle:
        return net.mean(x, (1,), keep_dims=True, scale=output_scale, zero_point=int(output_zero))

    assert run(build, numbers(row[0]), scale=scale, zero_point=int(zero)) == [float(row[3])]


def test_mul_gives_the_worked_results():
    x, expected = example("x * x", "x", "-128", "-5", "0", "17", "127")
    assert run(lambda net, x: net.mul(x, x, scale=0.3, zero_point=4), x, scale=0.1, zero_point=-2) == expected


@pytest.mark.parametrize("row", table_rows(LAW, "row", "softmax"), ids=" ".join)
def test_softmax_gives_the_worked_row(row):
    x, expected = map(numbers, row)
    assert run(TinyModel.softmax, x, scale=0.1, zero_point=0) == expected


def test_logistic_gives_the_worked_results():
    x, expected = example("logistic", "x", "-128", "-100", "-3", "0", "3", "4", "40", "127")
    assert run(TinyModel.logistic, x, scale=0.05, zero_point=3) == expected


def test_hard_swish_gives_the_worked_results():
    x, expected = example("hard swish", "x", "-128", "-57", "-30", "3", "4", "63", "127")
    assert run(lambda net, x: net.hard_swish(x, scale=0.04, zero_point=-100), x, scale=0.05, zero_point=3) == expected


def test_tanh_gives_the_worked_results():
    x, expected = example("tanh", "x", "-128", "-60", "-20", "-3", "3", "4", "9", "40", "127")
    assert run(TinyModel.tanh, x, scale=0.05, zero_point=3) == expected


def test_leaky_relu_gives_the_worked_results():
    x, expected = example("leaky relu", "x", "-128", "-60", "-20", "3", "4", "40", "127")

    def build(net: TinyModel, x: Handle) -> Handle:
        return net.leaky_relu(x, 0.1, scale=0.04, zero_point=-100)

    assert run(build, x, scale=0.05, zero_point=3) == expected


def test_elu_gives_the_worked_results():
    x, expected = example("elu", "x", "-128", "-60", "-3", "3", "9", "40", "127")
    assert run(lambda net, x: net.elu(x, scale=0.04, zero_point=-100), x, scale=0.05, zero_point=3) == expected


def test_abs_gives_the_worked_results():
    x, expected = example("abs", "x", "-128", "-61", "-2", "3", "9", "41", "126")

    def build(net: StockModel, x: Handle) -> Handle:
        return net.stock("ABS", [x], schema.AbsOptionsT(), x.shape, scale=0.04, zero_point=-100)

    assert run(build, x, scale=0.05, zero_point=3) == expected


def test_reciprocal_root_gives_the_worked_results():
    x, expected = example("reciprocal root", "x", "-128", "-127", "-126", "-120", "-100", "0", "127")

    def build(net: StockModel, x: Handle) -> Handle:
        return net.stock("RSQRT", [x], None, x.shape, scale=0.04, zero_point=-100)

    assert run(build, x, scale=0.05, zero_point=-128) == expected


def test_squared_difference_gives_the_worked_results():
    second, expected = table_rows(LAW, "x_0", "-128", "-5", "0", "-2", "-3")

    def build(net: StockModel, x: Handle) -> Handle:
        other = net.constant(np.array([[int(v) for v in second[1:]]], np.int8), scale=0.05, zero_point=3)
        return net.stock("SQUARED_DIFFERENCE", [x, other], None, x.shape, scale=0.02, zero_point=-100)

    assert run(build, [-128, -5, 0, -2, -3], scale=0.1, zero_point=-2) == numbers(",".join(expected[1:]))


def test_a_product_of_matrices_gives_the_worked_result():
    ((row, column, bias, y),) = table_rows(LAW, "row of a", "column of b", "bias", "y")

    def build(net: StockModel, x: Handle) -> Handle:
        b = net.constant(np.array([numbers(column)], np.int8), scale=0.25, zero_point=1)
        biases = net.constant(np.array([int(bias)], np.int32), scale=0.125)
        options = schema.FullyConnectedOptionsT()
        return net.stock("FULLY_CONNECTED", [x, b, biases], options, (1, 1), scale=0.5, zero_point=3)

    assert run(build, numbers(row), scale=0.5, zero_point=2) == numbers(y)


def test_roots_of_floats_give_the_worked_bits():
    x, *_ = (row for row in table_rows(LAW, "x", "2", "0.25", "3"))
    y = run(lambda net, x: net.stock("SQRT", [x], None, x.shape, dtype="float32"), [2, 0.25, 3], dtype="float32")
    assert [f"{bits:08X}" for bits in np.array(y, np.float32).view(np.uint32)] == x[1:]


@pytest.mark.parametrize(("kind", "options"), [("less", schema.LessOptionsT()), ("equal", schema.EqualOptionsT())])
def test_relations_give_the_worked_results(kind, options):
    pairs = ("3, -5", "3, -4", "3, -3", "4, 11", "4, 50")
    (row,) = (row for row in table_rows(LAW, "x_0, x_1", *pairs) if row[0] == kind)
    first, second = zip(*map(numbers, pairs), strict=True)

    def build(net: StockModel, x: Handle) -> Handle:
        other = net.constant(np.array([second], np.int8), scale=0.001, zero_point=-5)
        return net.stock(kind.upper(), [x, other], options, x.shape, dtype="bool")

    assert run(build, first, scale=0.05, zero_point=3) == [value == "1" for value in row[1:]]


def test_l2_normalization_gives_the_worked_results():
    x, expected = example("normalised", "x", "-128", "-60", "3", "4", "40", "127")

    def build(net: StockModel, x: Handle) -> Handle:
        return net.stock("L2_NORMALIZATION", [x], schema.L2NormOptionsT(), x.shape, scale=1 / 128, zero_point=0)

    assert run(build, x, zero_point=3) == expected


def test_logarithms_of_softmax_give_the_worked_results():
    x, expected = example("logarithm", "x", "-128", "-60", "0", "10", "20", "127")

    def build(net: StockModel, x: Handle) -> Handle:
        return net.stock("LOG_SOFTMAX", [x], schema.LogSoftmaxOptionsT(), x.shape, scale=1 / 16, zero_point=127)

    assert run(build, x, scale=0.05, zero_point=0) == expected


def test_quantize_gives_the_worked_results():
    x, expected = example("quantize", "real", "0.25", "-0.25", "0.15", "100", "-100")
    assert run(lambda net, x: net.quantize(x, scale=0.1, zero_point=-2), x, dtype="float32") == expected


def test_nan_and_huge_values_are_quantized_to_the_limits():
    x = [np.nan, np.inf, -np.inf, 1e30, -1e30]
    y = run(lambda net, x: net.quantize(x, scale=0.1, zero_point=-2), x, dtype="float32")
    assert y == [-128, 127, -128, 127, -128]


def refusal(build: Callable[[StockModel, Handle], Handle], shape: tuple[int, ...], *, scale: float = 0.1) -> str:
    net = StockModel()
    model = net.build(build(net, net.input(shape, scale=scale)))
    with pytest.raises(UnsupportedModelError) as caught:
        graph = read_model(model)
        stock_calls(graph, graph.ops[0])
    return str(caught.value)


def test_an_op_without_a_kernel_is_refused_with_what_is_covered():
    def build(net: StockModel, x: Handle) -> Handle:
        return net.stock("SIN", [x], None, x.shape)

    assert "SIN 'map1' (op 0) has no portable kernel; covered are ABS, ADD, ARG_MAX" in refusal(build, (1, 4))


def test_a_quotient_of_int8_maps_is_refused():
    def build(net: StockModel, x: Handle) -> Handle:
        return net.stock("DIV", [x, x], schema.DivOptionsT(), x.shape)

    assert "shifts small quotients by more bits than a number has" in refusal(build, (1, 4))


def test_pads_between_images_are_refused():
    def build(net: StockModel, x: Handle) -> Handle:
        blocks, pads = (net.constant(np.array(v, np.int32)) for v in ((2,), ((0, 1),)))
        return net.stock("SPACE_TO_BATCH_ND", [x, blocks, pads], schema.SpaceToBatchNDOptionsT(), (2, 2, 3))

    assert "pads with a byte that it never sets" in refusal(build, (1, 3, 3))


def test_long_softmax_rows_are_refused():
    assert "rows up to 4095" in refusal(TinyModel.softmax, (1, 4096))


def test_a_transpose_of_five_dimensions_is_refused():
    message = refusal(lambda net, x: net.transpose(x, (0, 5, 4, 3, 2, 1)), (1, 2, 3, 4, 5, 6))
    assert "it moves along 5 dimensions; supported are 4" in message


def test_cropping_pads_are_refused():
    """When the file is read."""
    message = refusal(lambda net, x: net.pad(x, ((0, 0), (-1, 2))), (1, 8))
    assert "PAD 'map2' (op 0) has shapes or values that contradict each other" in message


@pytest.mark.parametrize(("size", "align_corners"), [((6, 8), False), ((2, 8), False), ((12, 12), True)])
def test_a_resize_by_other_than_whole_factors_is_refused(size, align_corners):
    def build(net: StockModel, x: Handle) -> Handle:
        return net.resize_nearest(x, size, align_corners=align_corners)

    assert "supported are whole factors" in refusal(build, (1, 4, 4, 2))


def test_an_activation_whose_formats_tflm_does_not_take_is_refused():
    assert "its input's scale is 1e-09; TFLM's kernel needs one above 2^-28" in refusal(
        TinyModel.tanh, (1, 4), scale=1e-9
    )
