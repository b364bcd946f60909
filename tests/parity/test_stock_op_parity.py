"""Stock ops: TFLM = numpy oracle = C++ in emitted code, in every byte, over random and extreme formats.

A RESHAPE that changes the scale gives an op every value at any format; all cases of an op are outputs of one model.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.support.emitted import emit_and_compile
from tests.support.tiny_models import Handle, TinyModel
from tflm_quantmcu.oracle.simulate import simulate
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.tflite.reader import read_model

SEED = 20240130
NUM_CASES = 40
ALL_VALUES = np.arange(-128, 128, dtype=np.int8)
EXTREME_SCALES = (1e-6, 1e-4, 1 / 256, 1.0, 7.99, 8.0, 300.0)


class Zoo:
    """A model whose every output is one case of an op."""

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.rng = np.random.default_rng(SEED)
        self.net = TinyModel()
        self.x = self.net.input(shape, scale=0.1, zero_point=3)
        self.outputs: list[Handle] = []

    def scale(self, case: int, low: float = 1e-3, high: float = 1.0) -> float:
        if case < len(EXTREME_SCALES) and low <= EXTREME_SCALES[case] <= high:
            return EXTREME_SCALES[case]
        return float(np.exp(self.rng.uniform(np.log(low), np.log(high))))

    def zero_point(self) -> int:
        return int(self.rng.choice([-128, 127, 0, self.rng.integers(-128, 128)]))

    def view(self, shape: tuple[int, ...] | None = None, *, scale: float, zero_point: int) -> Handle:
        """The input's values in another format and shape."""
        return self.net.reshape(self.x, shape or self.x.shape, scale=scale, zero_point=zero_point)

    def add(self, case: Handle) -> None:
        self.outputs.append(case)

    def build(self) -> bytes:
        return self.net.build(*self.outputs)


def check(model: bytes, inputs: list[np.ndarray], folder: Path) -> None:
    graph = read_model(model)
    emitted, tflm = emit_and_compile(model, folder), Interpreter(model)
    for x in inputs:
        oracle = simulate(graph, None, x)
        expected = tflm.invoke(x)
        actual = emitted.invoke(x)
        for i, t in enumerate(graph.outputs):
            op = graph.producer[t]
            place = f"output {i}, {op.kind} of {[graph.tensors[s] for s in op.inputs if s >= 0]} -> {graph.tensors[t]}"
            np.testing.assert_array_equal(oracle[graph.tensors[t].name], expected[i], f"oracle, {place}")
            assert actual[i].tobytes() == expected[i].tobytes(), f"C++, {place}: {actual[i]} is not {expected[i]}"


def shuffled(count: int, shape: tuple[int, ...]) -> list[np.ndarray]:
    """Every int8 value in `count` orders, and noise of few values."""
    rng = np.random.default_rng(SEED)
    size = int(np.prod(shape))
    repeated = np.resize(ALL_VALUES, size)
    noise = [rng.integers(low, low + 5, size) for low in (-128, 0, 123)]
    return [v.astype(np.int8).reshape(shape) for v in (*(rng.permutation(repeated) for _ in range(count)), *noise)]


def logistic(zoo: Zoo, case: int) -> Handle:
    return zoo.net.logistic(zoo.view(scale=zoo.scale(case, 1e-7, 1e3), zero_point=zoo.zero_point()))


def hard_swish(zoo: Zoo, case: int) -> Handle:
    scale = zoo.scale(case, 1e-4, 1e3)
    x = zoo.view(scale=scale, zero_point=zoo.zero_point())
    output_scale = scale * float(zoo.rng.choice([0.01, 0.3, 0.5, 1, 1.7, 30]))
    return zoo.net.hard_swish(x, scale=output_scale, zero_point=zoo.zero_point())


def tanh(zoo: Zoo, case: int) -> Handle:
    return zoo.net.tanh(zoo.view(scale=zoo.scale(case, 1e-7, 1e3), zero_point=zoo.zero_point()))


def leaky_relu(zoo: Zoo, case: int) -> Handle:
    x = zoo.view(scale=zoo.scale(case), zero_point=zoo.zero_point())
    alpha = float(zoo.rng.choice([0.0, 0.01, 0.1, 0.3, 1.0, 2.5, -0.2]))
    scale = x.scale * float(zoo.rng.choice([0.01, 0.3, 1, 1.7, 30]))
    return zoo.net.leaky_relu(x, alpha, scale=scale, zero_point=zoo.zero_point())


def elu(zoo: Zoo, case: int) -> Handle:
    x = zoo.view(scale=zoo.scale(case), zero_point=zoo.zero_point())
    return zoo.net.elu(x, scale=zoo.scale(case + 1), zero_point=zoo.zero_point())


def silu(zoo: Zoo, case: int) -> Handle:
    x = zoo.view(scale=zoo.scale(case, 0.02), zero_point=zoo.zero_point())
    scale = x.scale * float(zoo.rng.uniform(0.2, 3))
    return zoo.net.silu(x, scale=scale, zero_point=zoo.zero_point(), activation=ACTIVATIONS[case % 4])


def resize_nearest(zoo: Zoo, case: int) -> Handle:
    size = [(8, 8), (4, 8), (12, 40), (28, 8), (4, 4)][case % 5]
    half_pixel_centers = bool(case % 2)
    return zoo.net.resize_nearest(
        zoo.view((1, 4, 4, 16), scale=0.1, zero_point=3), size, half_pixel_centers=half_pixel_centers
    )


def softmax(zoo: Zoo, case: int) -> Handle:
    shape = ((1, 256), (1, 128, 2), (1, 16, 16), (1, 2, 8, 16), (1, 256, 1))[case % 5]
    x = zoo.view(shape, scale=zoo.scale(case, 1e-6, 1e3), zero_point=zoo.zero_point())
    return zoo.net.softmax(x, beta=float(zoo.rng.choice([1.0, 0.3, 10.0])))


def relu(zoo: Zoo, case: int) -> Handle:
    x = zoo.view((1, 256), scale=zoo.scale(case), zero_point=zoo.zero_point())
    if case % 3 == 0:
        return zoo.net.relu6(zoo.view((1, 2, 128), scale=zoo.scale(case), zero_point=zoo.zero_point()))
    return zoo.net.relu(x, scale=zoo.scale(case + 1), zero_point=zoo.zero_point())


def requantize(zoo: Zoo, case: int) -> Handle:
    x = zoo.view((1, 256), scale=zoo.scale(case), zero_point=zoo.zero_point())
    if case % 2:
        scale = x.scale if case % 4 == 1 else zoo.scale(case + 1)
        return zoo.net.quantize(x, scale=scale, zero_point=x.zero_point + 128, dtype="uint8")
    return zoo.net.quantize(x, scale=zoo.scale(case + 1), zero_point=zoo.zero_point())


def dequantize(zoo: Zoo, case: int) -> Handle:
    return zoo.net.dequantize(zoo.view(scale=zoo.scale(case, 1e-7, 1e3), zero_point=zoo.zero_point()))


SHAPES = [(4, 8, 8), (1, 8, 8), (4, 1, 1), (1, 1, 8), (1, 1, 1), (4, 8, 1), (8,), (8, 8)]
ACTIVATIONS = ("NONE", "RELU", "RELU6", "RELU_N1_TO_1")


def elementwise(op: str) -> Callable[[Zoo, int], Handle]:
    def build(zoo: Zoo, case: int) -> Handle:
        x0 = zoo.view((1, 4, 8, 8), scale=zoo.scale(case, 0.02), zero_point=zoo.zero_point())
        shape = (1, *SHAPES[case % len(SHAPES)]) if case % len(SHAPES) < 6 else SHAPES[case % len(SHAPES)]
        values = zoo.rng.choice(ALL_VALUES, shape)
        x1 = zoo.net.constant(values, scale=zoo.scale(case, 0.02), zero_point=zoo.zero_point())
        operands = (x1, x0) if case % 3 == 1 else (x0, x0) if case % 3 == 2 else (x0, x1)
        scale = (x0.scale if op == "add" else x0.scale * operands[1].scale * 100) * float(zoo.rng.uniform(0.5, 3))
        options = {"scale": scale, "zero_point": zoo.zero_point(), "activation": ACTIVATIONS[case % 4]}
        return getattr(zoo.net, op)(*operands, **options)

    return build


def mean(zoo: Zoo, case: int) -> Handle:
    axes = [(1, 2), (3,), (1,), (2, 1), (-1,), (1, 2, 3), (2, 3), (1, 3), (2,), (-2, -3)][case % 10]
    x = zoo.view((1, 4, 8, 8), scale=zoo.scale(case), zero_point=zoo.zero_point())
    ratio = float(zoo.rng.choice([1, 0.2, 1.7, 1e-4, 1e4]))
    return zoo.net.mean(x, axes, keep_dims=case % 2 == 0, scale=x.scale * ratio, zero_point=zoo.zero_point())


def pad(zoo: Zoo, case: int) -> Handle:
    shape = [(1, 4, 8, 8), (1, 16, 16), (1, 256), (1, 2, 2, 64)][case % 4]
    pads = [(0, 0), *((int(a), int(b)) for a, b in zoo.rng.integers(0, 4, (len(shape) - 1, 2)))]
    x = zoo.view(shape, scale=0.1, zero_point=zoo.zero_point())
    return zoo.net.pad(x, pads, value=None if case % 2 else zoo.zero_point())


def concatenation(zoo: Zoo, case: int) -> Handle:
    x = zoo.view((1, 4, 8, 8), scale=0.1, zero_point=3)
    axis = (1, 2, 3, -1, -2)[case % 5]
    shape = list(x.shape)
    shape[axis] = int(zoo.rng.integers(1, 9))
    constant = zoo.net.constant(zoo.rng.choice(ALL_VALUES, shape), scale=x.scale, zero_point=3)
    return zoo.net.concatenation([(x, x), (x, constant, x), (constant, x)][case % 3], axis)


def transpose(zoo: Zoo, case: int) -> Handle:
    shape = [(1, 4, 8, 8), (1, 2, 4, 4, 8), (1, 16, 16), (1, 1, 8, 32)][case % 4]
    order = [0, *(1 + zoo.rng.permutation(len(shape) - 1))]
    return zoo.net.transpose(zoo.view(shape, scale=0.1, zero_point=3), [int(d) for d in order])


OPS = {
    f.__name__: f
    for f in (
        elu,
        leaky_relu,
        resize_nearest,
        silu,
        tanh,
        logistic,
        hard_swish,
        softmax,
        relu,
        requantize,
        dequantize,
        mean,
        pad,
        concatenation,
        transpose,
    )
} | {"mul": elementwise("mul"), "add": elementwise("add")}


@pytest.mark.parametrize("op", OPS)
def test_op_equals_tflm_in_every_byte(op: str, tmp_path: Path) -> None:
    zoo = Zoo((1, 256))
    for case in range(NUM_CASES):
        zoo.add(OPS[op](zoo, case))
    check(zoo.build(), shuffled(4, (1, 256)), tmp_path)


@pytest.mark.parametrize("dtype", ("float32", "uint8"))
def test_inputs_of_other_types_are_quantized_as_tflm_does(dtype: str, tmp_path: Path) -> None:
    net = TinyModel()
    x = net.input((1, 600), scale=0.02, zero_point=131, dtype=dtype)
    rng = np.random.default_rng(SEED)
    outputs = [
        net.quantize(x, scale=s, zero_point=z) for s, z in ((0.0171, -9), (1 / 255, 127), (3.0, -128), (0.02, 3))
    ]
    if dtype == "uint8":
        samples = [rng.integers(0, 256, (1, 600)).astype(np.uint8)]
    else:
        halves = (np.arange(600) - 300) * np.float32(0.5) * np.float32(0.0171)
        samples = [rng.normal(0, 2, (1, 600)), halves[None], rng.normal(0, 1e6, (1, 600)), np.zeros((1, 600))]
    check(net.build(*outputs), [x.astype(dtype) for x in samples], tmp_path)
