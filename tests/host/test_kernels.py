"""The fast kernels of this machine give the oracle's bytes, at every level of instructions."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.support import shared_data
from tflm_quantmcu.graph.types import Window
from tflm_quantmcu.host.kernels import HOST_LAWS, LEVELS, at_level, requantize_sums
from tflm_quantmcu.law import arithmetic
from tflm_quantmcu.oracle.own_kernels import LAWS, Call
from tflm_quantmcu.oracle.simulate import simulate
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.stage.program import StageFormat
from tflm_quantmcu.tflite.canonical.canonical import canonical
from tflm_quantmcu.tflite.model_file import ModelFile

levels = pytest.mark.parametrize("level", range(len(LEVELS)), ids=LEVELS)
EDGES = np.array([-(2**31), -(2**31) + 1, -(2**30), -1, 0, 1, 2**30 - 1, 2**31 - 1], np.int64)


def table_of(rng: np.random.Generator, channels: int) -> np.ndarray:
    """int32 [3 * channels]: biases of every size, multipliers to both ends, shifts of all the law allows."""
    bias = rng.choice([*EDGES, *rng.integers(-(2**20), 2**20, 8)], channels)
    multiplier = rng.choice([0, 1, 2**30, 2**31 - 1, *rng.integers(0, 2**31, 8)], channels)
    return np.concatenate([bias, multiplier, rng.integers(-31, 31, channels)]).astype(np.int32)


def output_of(rng: np.random.Generator) -> StageFormat:
    low, high = np.sort(rng.integers(-128, 128, 2))
    return StageFormat(8, int(rng.integers(-128, 128)), int(low), int(high))


@levels
@pytest.mark.parametrize("dtype", (np.float32, np.float64, np.int32))
@pytest.mark.parametrize("channels", (1, 3, 8, 17, 64))
def test_sums_end_as_the_law_says(level, dtype, channels) -> None:
    rng = np.random.default_rng(channels)
    largest = 1 << 24 if dtype == np.float32 else 1 << 31
    sums = rng.integers(-largest + 1, largest, (400, channels)).astype(dtype)
    sums[: len(EDGES)] = np.clip(EDGES, -largest, largest - 1)[:, None]
    for _ in range(20):
        table, output = table_of(rng, channels), output_of(rng)
        with at_level(level):
            found = requantize_sums(sums, table, output)
        np.testing.assert_array_equal(found, arithmetic.requantize_sums(sums, table, output))


def test_sums_beyond_32_bits_wrap_as_the_law_says() -> None:
    sums = np.array([[2.0**31, -(2.0**31) - 1, 3 * 2.0**31, 2.0**40 + 5]])
    table = np.repeat(np.array([7, 2**30, -20], np.int32), 4)
    output = StageFormat(8, 0, -128, 127)
    np.testing.assert_array_equal(requantize_sums(sums, table, output), arithmetic.requantize_sums(sums, table, output))


axis = st.tuples(st.integers(1, 9), st.integers(1, 4), st.integers(1, 3), st.integers(1, 2), st.integers(-1, 3))


@levels
@settings(max_examples=150, deadline=None)
@given(axis, axis, st.integers(1, 19), st.integers(1, 2), st.integers(0, 2**32))
def test_convolutions_equal_the_oracle(level, rows, cols, channels, multiplier, seed) -> None:
    rng = np.random.default_rng(seed)
    (height, kh, sh, dh, top), (width, kw, sw, dw, left) = rows, cols
    window = Window(
        kernel_height=kh, kernel_width=kw, stride_height=sh, stride_width=sw, dilation_height=dh, dilation_width=dw
    )
    window = dataclasses.replace(window, pad_top=top, pad_left=left)
    size = (int(rng.integers(1, 5)), int(rng.integers(1, 5)))
    x = rng.integers(-128, 128, (2, height, width, channels), np.int8)
    zero, output = int(rng.integers(-128, 128)), output_of(rng)
    for kind, outputs, shape in (
        ("CONV_2D", 5, (5, kh, kw, channels)),
        ("DEPTHWISE_CONV_2D", channels * multiplier, (kh, kw, channels * multiplier)),
        ("FULLY_CONNECTED", 5, (5, height * width * channels)),
    ):
        filter = rng.integers(-128, 128, shape, np.int8)
        call = Call([x], filter, table_of(rng, outputs), window, size, [zero], multiplier, output)
        with at_level(level):
            found = HOST_LAWS[kind](call)
        np.testing.assert_array_equal(found, LAWS[kind](call), err_msg=kind)


@levels
@pytest.mark.parametrize("name", ("kws_dscnn_int8", "ic_resnet8_int8", "person_detect"))
def test_every_map_of_a_real_model_equals_tflm(level, name) -> None:
    file = canonical(ModelFile.of(shared_data.model(name)))
    graph = file.graph
    x = np.random.default_rng(1).integers(-128, 128, (2, *graph.tensors[graph.inputs[0]].shape[1:]), np.int8)
    with at_level(level):
        found = simulate(graph, None, x, HOST_LAWS)
    interpreter = Interpreter(file, preserve_all_tensors=True)
    for n, sample in enumerate(x):
        interpreter.invoke(sample)
        for t in graph.tensors:
            if t.name in found:
                np.testing.assert_array_equal(found[t.name][n], interpreter.tensor(t.index)[0], err_msg=t.name)
    assert graph.tensors[graph.outputs[0]].name in found
