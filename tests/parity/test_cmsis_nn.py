"""The formulas of CMSIS-NN's buffers are its own functions, compiled for the host from a checkout (CMSIS_NN_DIR)."""

from __future__ import annotations

import ctypes
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.support.edit_model import with_tensor
from tests.support.property_settings import examples
from tests.support.tiny_models import TinyModel
from tflm_quantmcu.arena.cmsis_nn import cmsis_nn_kept_bytes, cmsis_nn_scratch_bytes
from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.graph.target import DSP, MVE, REFERENCE
from tflm_quantmcu.graph.types import ModelGraph
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.reader import read_model

FILES = (
    *("Convolution/arm_convolve", "Convolution/arm_depthwise_conv", "FullyConnected/arm_fully_connected"),
    "Pooling/arm_avgpool",
)
SUFFIXES = {REFERENCE: "", DSP: "_dsp", MVE: "_mve"}  # on a host the plain names are those of plain C
INT4 = schema.TensorType.INT4


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> ctypes.CDLL:
    cmsis_nn = os.environ.get("CMSIS_NN_DIR")
    if not cmsis_nn:
        pytest.skip("CMSIS_NN_DIR is not set: the sizes of CMSIS-NN's buffers are not checked")
    path = Path(tmp_path_factory.mktemp("cmsis_nn")) / "sizes.so"
    names = [name.replace("/", "Functions/") + "_get_buffer_sizes_s8.c" for name in FILES]
    sources = [f"{cmsis_nn}/Source/{name}" for name in (*names, names[1].replace("_s8", "_s4"))]
    command = ["gcc", "-shared", "-fPIC", "-w", f"-I{cmsis_nn}", f"-I{cmsis_nn}/Include", "-o", str(path), *sources]
    subprocess.run(command, check=True)
    return ctypes.CDLL(str(path))


def words(*values: int) -> ctypes.Array[ctypes.c_int32]:
    return (ctypes.c_int32 * len(values))(*values)


def dims(shape: Sequence[int]) -> ctypes.Array[ctypes.c_int32]:
    """cmsis_nn_dims"""
    return words(*shape)


@st.composite
def convolutions(draw: st.DrawFn, *, is_depthwise: bool) -> bytes:
    def draw_in(low: int, high: int) -> int:
        return draw(st.integers(low, high))

    net = TinyModel()
    height, channels = draw(st.sampled_from((1, 1, 5, 9))), draw_in(1, 40)
    x = net.input((1, height, draw_in(3, 20), channels))
    kernel = (1 if height == 1 else draw_in(1, 3), draw_in(1, 3))
    options = {
        "stride": (1, 1) if is_depthwise and draw(st.booleans()) else (draw_in(1, 2),) * 2,
        "dilation": (1, draw(st.sampled_from((1, 1, 2))) if x.shape[2] > 2 * kernel[1] else 1),
        "padding": draw(st.sampled_from(("SAME", "VALID"))),
    }
    if is_depthwise:
        y = net.depthwise_conv2d(x, np.ones((*kernel, channels * draw(st.sampled_from((1, 1, 4)))), np.int8), **options)
    else:
        y = net.conv2d(x, np.ones((draw_in(1, 8), *kernel, channels), np.int8), **options)
    return net.build(y)


def assert_as(function: str, library: ctypes.CDLL, graph: ModelGraph, filter_dims: Sequence[int]) -> None:
    """CMSIS-NN's function of a convolution gives what is predicted."""
    (op,) = graph.ops
    w = op.window
    assert w is not None
    shapes = [dims(graph.tensors[t].shape) for t in (op.inputs[0], op.outputs[0])]
    places = (w.stride_width, w.stride_height, w.pad_left, w.pad_top, w.dilation_width, w.dilation_height, -128, 127)
    params = words(0, 0, *((op.depth_multiplier,) if op.traits.is_depthwise else ()), *places)
    for variant, suffix in SUFFIXES.items():
        expected = getattr(library, function + suffix)(params, shapes[0], dims(filter_dims), shapes[1])
        assert sum(cmsis_nn_scratch_bytes(graph, op, variant) or ()) == expected, variant


@examples(300)
@given(model=convolutions(is_depthwise=False))
def test_convolutions(library: ctypes.CDLL, model: bytes) -> None:
    graph = read_model(model)
    _, height, width, channels = graph.tensors[graph.ops[0].inputs[1]].shape
    function = "arm_convolve_wrapper_s8_get_buffer_size"
    assert_as(function, library, graph, (1, height, width, channels))


@pytest.mark.parametrize("width", (8, 4))
@examples(300)
@given(model=convolutions(is_depthwise=True))
def test_depthwise_convolutions(library: ctypes.CDLL, width: int, model: bytes) -> None:
    filter = read_model(model).ops[0].inputs[1]
    graph = read_model(with_tensor(model, filter, type=INT4) if width == 4 else model)
    function = f"arm_depthwise_conv_wrapper_s{width}_get_buffer_size"
    assert_as(function, library, graph, graph.tensors[filter].shape)


@pytest.mark.parametrize("variant", SUFFIXES)
def test_pools_and_layers(library: ctypes.CDLL, variant: str) -> None:
    net = TinyModel()
    pool = read_model(net.build(net.average_pool2d(net.input((1, 4, 6, 24)), (2, 2))))
    expected = getattr(library, f"arm_avgpool_s8_get_buffer_size{SUFFIXES[variant]}")(6, 24)
    assert sum(cmsis_nn_scratch_bytes(pool, pool.ops[0], variant) or ()) == expected
    net = TinyModel()
    layer = read_model(net.build(net.fully_connected(net.input((1, 12)), np.ones((10, 12), np.int8))))
    expected = getattr(library, f"arm_fully_connected_s8_get_buffer_size{SUFFIXES[variant]}")(words(12, 1, 1, 10))
    assert cmsis_nn_scratch_bytes(layer, layer.ops[0], variant) == ()  # kept, since the filter is constant
    assert sum(cmsis_nn_kept_bytes(layer, layer.ops[0], variant)) == expected


def test_what_is_not_known_is_refused() -> None:
    net = TinyModel()
    x = net.quantize(net.input((1, 4, 4, 2), dtype="int8"), scale=0.1, zero_point=0, dtype="int16")
    pooled = net.average_pool2d(x, (2, 2))
    graph = read_model(with_tensor(net.build(pooled), pooled.index, type=schema.TensorType.INT16))
    with pytest.raises(UnsupportedModelError, match=r"CMSIS-NN's kernel of AVERAGE_POOL_2D of int16 \(op 1\)"):
        cmsis_nn_scratch_bytes(graph, graph.ops[1], DSP)
