"""Ops on which TFLM would end the process, or compute on memory that nobody wrote, are refused by op and tensor.

What is let through is run, in a process of its own that may die.
"""

from __future__ import annotations

import subprocess
import sys

import flatbuffers
import numpy as np
import pytest

import tflm_quantmcu as qm
from tests.support.edit_model import StockModel
from tests.support.shared_data import path_of
from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.model_file import ModelFile

RUN = "import sys; from tflm_quantmcu.runtime.interpreter import Interpreter as I; i = I(sys.stdin.buffer.read())\n"
RUN += "import numpy as np; i.invoke([np.zeros(t.shape, t.dtype) for t in i.inputs])"


def packed(data: bytes, edit) -> bytes:
    """The model after an edit, packed without TFLM's tool, which follows what is not there."""
    tree = schema.ModelT.InitFromPackedBuf(data)
    edit(tree.subgraphs[0])
    builder = flatbuffers.Builder(1024)
    builder.Finish(tree.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def dense() -> bytes:
    """input 0, weights 1, map 2, weights 3, map 4."""
    net = StockModel()
    x = net.input((1, 8))
    for _ in range(2):
        x = net.fully_connected(x, np.eye(8, dtype=np.int8))
    return net.build(x)


def stock(kind: str, options=None, *, shape=(1, 4, 4, 4), out=None, count=1, scale=0.05, out_scale=0.05) -> bytes:
    net = StockModel()
    inputs = [net.input(shape, scale=scale) for _ in range(count)]
    y = net.stock(kind, inputs, options, out or shape)
    return packed(net.build(y), lambda g: setattr(g.tensors[y.index].quantization, "scale", [out_scale]))


def unwritten_weights(graph) -> None:
    graph.tensors[1].buffer = 0


def read_too_early(graph) -> None:
    graph.operators.reverse()


def unwritten_output(graph) -> None:
    del graph.operators[1]


@pytest.mark.parametrize(
    ("edit", "sentence"),
    [
        (unwritten_weights, r"FULLY_CONNECTED 'map2' \(op 0\) reads 'constant1', which is no input, has no values"),
        (read_too_early, r"FULLY_CONNECTED 'map4' \(op 0\) reads 'map2', .* written by no op before it"),
        (unwritten_output, "the output 'map4' is written by no op"),
    ],
)
def test_what_nothing_writes_is_not_read(edit, sentence):
    data = packed(dense(), edit)
    for use in (Interpreter, lambda d: qm.convert(d, search="uniform", progress=False)):
        with pytest.raises(UnsupportedModelError, match=sentence):
            use(data)


def test_states_and_what_is_empty_need_no_writer():
    for field, value in (("isVariable", True), ("shape", [0])):
        data = packed(dense(), lambda g, f=field, v=value: (unwritten_weights(g), setattr(g.tensors[1], f, v)))
        assert ModelFile(data).tree.subgraphs


def without_table(data: bytes) -> bytes:
    """The file with the options of its last operator cut out of the table's layout; their type stays."""
    tree = schema.Model.GetRootAs(data).Subgraphs(0)
    table = tree.Operators(tree.OperatorsLength() - 1)._tab
    vtable = table.Pos - int.from_bytes(data[table.Pos : table.Pos + 4], "little", signed=True)
    entry = vtable + 4 + 2 * 4  # the field builtin_options
    assert data[entry : entry + 2] != b"\0\0"
    return data[:entry] + b"\0\0" + data[entry + 2 :]


def test_options_that_are_named_are_there():
    data = stock("SOFTMAX", schema.SoftmaxOptionsT(beta=1.0), shape=(1, 8))
    with pytest.raises(UnsupportedModelError, match=r"damaged: SOFTMAX 'map1' \(op 0\) says that it has options"):
        Interpreter(without_table(data))


@pytest.mark.parametrize("kind", ["SOFTMAX", "SPACE_TO_DEPTH", "DEPTH_TO_SPACE", "MAX_POOL_2D", "AVERAGE_POOL_2D"])
def test_options_that_tflm_needs_are_there(kind):
    with pytest.raises(UnsupportedModelError, match=rf"{kind} 'map1' \(op 0\) lacks its \w+Options"):
        Interpreter(stock(kind))
    with pytest.raises(UnsupportedModelError, match="lacks its"):  # another op's count as none
        Interpreter(stock(kind, schema.AddOptionsT()))


@pytest.mark.parametrize("kind", ["SPACE_TO_DEPTH", "DEPTH_TO_SPACE"])
def test_blocks_have_a_size(kind):
    options = getattr(schema, "SpaceToDepthOptionsT" if kind[0] == "S" else "DepthToSpaceOptionsT")
    with pytest.raises(UnsupportedModelError, match=rf"{kind} 'map1' \(op 0\) has blocks of size 0"):
        Interpreter(stock(kind, options(blockSize=0)))
    out = (1, 2, 2, 16) if kind[0] == "S" else (1, 8, 8, 1)
    assert Interpreter(stock(kind, options(blockSize=2), out=out)).run(np.ones((1, 4, 4, 4), np.int8)).all()


@pytest.mark.parametrize("beta", [0.0, -1.0, float("nan"), 1e-9])
def test_a_softmax_that_tflm_aborts_on_is_refused_where_it_is_run(beta):
    data = stock("SOFTMAX", schema.SoftmaxOptionsT(beta=beta), shape=(1, 8), out_scale=1 / 256)
    with pytest.raises(UnsupportedModelError, match=r"SOFTMAX 'map1' \(op 0\) reads 'map0' with scale 0.05, too fine"):
        Interpreter(data)


SUMS = {"ADD": schema.AddOptionsT, "SUB": schema.SubOptionsT, "SQUARED_DIFFERENCE": schema.SquaredDifferenceOptionsT}


@pytest.mark.parametrize("kind", SUMS)
@pytest.mark.parametrize(
    ("scale", "out_scale"),
    [(1.0, 1e-8), (1e-39, 1e-3), (1e-3, 1e38), (0.0, 1.0), (1.0, 0.0), (float("nan"), 1.0), (1.0, float("inf"))],
)
def test_a_sum_that_tflm_aborts_on_is_refused(kind, scale, out_scale):
    with pytest.raises(UnsupportedModelError, match=rf"{kind} 'map2' \(op 0\) has scales .* of its inputs"):
        Interpreter(stock(kind, SUMS[kind](), count=2, scale=scale, out_scale=out_scale))


@pytest.mark.parametrize("kind", SUMS)
@pytest.mark.parametrize(("scale", "out_scale"), [(0.05, 0.05), (1.0, 2**-18.9), (1e-20, 1e-18), (1.0, 1e9)])
def test_sums_that_are_let_through_run(kind, scale, out_scale):
    data = stock(kind, SUMS[kind](), count=2, scale=scale, out_scale=out_scale)
    subprocess.run([sys.executable, "-c", RUN], input=data, check=True, capture_output=True)


def test_a_model_without_ops_runs_and_is_not_converted():
    net = StockModel()
    data = net.build(net.input((1, 10)))
    x = np.arange(10, dtype=np.int8)[None]
    assert np.array_equal(Interpreter(data).run(x), x)
    for use in (qm.convert, qm.plan):
        with pytest.raises(UnsupportedModelError, match="the model has no ops"):
            use(data, search="uniform", progress=False)


@pytest.mark.parametrize(
    "name", ["softmax_without_options", "fc_null_options_type_kept", "fc_weights_without_buffer", "no_ops"]
)
def test_cases_from_outside_are_refused(name):
    with pytest.raises(UnsupportedModelError):
        qm.convert(path_of(f"../cases/models/{name}.tflite"), search="uniform", progress=False)


@pytest.mark.parametrize(
    ("kind", "options", "out", "sentence"),
    [
        ("RELU", None, (1, 4, 5, 4), "writes 64 elements, and its output has 80"),
        ("RESHAPE", schema.ReshapeOptionsT(newShape=[1, 60]), (1, 60), "writes 64 elements, and its output has 60"),
        ("MAX_POOL_2D", schema.Pool2DOptionsT(strideW=1, strideH=1, filterWidth=2, filterHeight=2), (1, 4, 4, 5), "64"),
        (
            "MAX_POOL_2D",
            schema.Pool2DOptionsT(strideW=0, strideH=1, filterWidth=2, filterHeight=2),
            (1, 4, 4, 4),
            "contra",
        ),
        (
            "AVERAGE_POOL_2D",
            schema.Pool2DOptionsT(padding=1, strideW=1, strideH=1, filterWidth=9, filterHeight=9),
            (1,),
            "0",
        ),
    ],
)
def test_an_op_fills_its_output(kind, options, out, sentence):
    with pytest.raises(UnsupportedModelError, match=rf"{kind} 'map1' \(op 0\) .*{sentence}"):
        Interpreter(stock(kind, options, out=out))


def test_shapes_of_a_batch_that_was_left_open_say_how_to_close_it():
    """TensorFlow's converter writes 1 for it, behind a space-to-batch too."""
    net = StockModel()
    blocks, pads = net.constant(np.array([2, 2], np.int32)), net.constant(np.zeros((2, 2), np.int32))
    y = net.stock("SPACE_TO_BATCH_ND", [net.input((1, 4, 4, 4)), blocks, pads], None, (1, 2, 2, 4))
    told = r"makes a tensor of the shape \[4, 2, 2, 4\], and its output is \[1, 2, 2, 4\]"
    with pytest.raises(UnsupportedModelError, match=told + "$"):
        Interpreter(net.build(y))
    data = packed(net.build(y), lambda g: setattr(g.tensors[y.index], "shapeSignature", [-1, 2, 2, 4]))
    with pytest.raises(
        UnsupportedModelError, match=told + r"; the file leaves its batch open: give the Keras model itself"
    ):
        Interpreter(data)


def test_sums_broadcast_into_their_output():
    with pytest.raises(UnsupportedModelError, match=r"ADD 'map2' \(op 0\) writes 64 elements, and its output has 16"):
        Interpreter(stock("ADD", schema.AddOptionsT(), count=2, out=(1, 4, 4, 1)))
    data = packed(stock("ADD", schema.AddOptionsT(), count=2), lambda g: setattr(g.operators[0], "inputs", [0]))
    with pytest.raises(UnsupportedModelError, match=r"ADD 'map2' \(op 0\) has 1 inputs and 1 outputs"):
        Interpreter(data)


def test_states_have_no_values_in_the_file():
    with pytest.raises(UnsupportedModelError, match="tensor 1 .constant1. is a state and has values in the file"):
        Interpreter(packed(dense(), lambda g: setattr(g.tensors[1], "isVariable", True)))


def test_tensors_have_dimensions_that_kernels_know():
    with pytest.raises(UnsupportedModelError, match="tensor 0 .map0. has 9 dimensions; supported are 8"):
        Interpreter(packed(dense(), lambda g: setattr(g.tensors[0], "shape", [1] * 8 + [8])))


@pytest.mark.parametrize("kind", ["ADD", "PACK"])
def test_options_are_those_of_the_op(kind):
    def edit(graph) -> None:
        graph.operators[0].builtinOptionsType = schema.BuiltinOptions.LSHProjectionOptions
        graph.operators[0].builtinOptions = schema.LSHProjectionOptionsT()

    options = schema.AddOptionsT() if kind == "ADD" else schema.PackOptionsT(axis=0, valuesCount=2)
    data = stock(kind, options, count=2, out=(1, 4, 4, 4) if kind == "ADD" else (2, 1, 4, 4, 4))
    with pytest.raises(UnsupportedModelError, match=rf"{kind} 'map2' \(op 0\) has options of another op"):
        Interpreter(packed(data, edit))


def test_no_op_writes_a_constant_and_all_have_ends():
    with pytest.raises(UnsupportedModelError, match=r"\(op 0\) writes 'map2', which has values in the file"):
        Interpreter(packed(dense(), lambda g: setattr(g.tensors[2], "buffer", g.tensors[1].buffer)))
    with pytest.raises(UnsupportedModelError, match=r"FULLY_CONNECTED 'map2' \(op 0\) has no first input"):
        Interpreter(packed(dense(), lambda g: setattr(g.operators[0], "inputs", [-1, 1])))
    with pytest.raises(UnsupportedModelError, match=r"FULLY_CONNECTED \(op 0\) has no output"):
        Interpreter(packed(dense(), lambda g: setattr(g.operators[0], "outputs", [])))


@pytest.mark.parametrize("kind", ["SPLIT", "PAD", "TRANSPOSE", "MEAN", "SLICE", "STRIDED_SLICE", "MUL", "GATHER"])
def test_ops_have_the_inputs_that_rewriting_reads(kind):
    with pytest.raises(UnsupportedModelError, match=rf"{kind} 'map1' \(op 0\) has inputs \[0\]; it needs [234]"):
        Interpreter(stock(kind))


def test_ops_have_no_more_inputs_than_rewriting_reads():
    with pytest.raises(UnsupportedModelError, match=r"MEAN 'map3' \(op 0\) has inputs \[0, 1, 2\]; it needs 2"):
        Interpreter(stock("MEAN", schema.ReducerOptionsT(), count=3))


@pytest.mark.parametrize(
    ("kind", "count", "written"), [("GREATER", 2, "BOOL"), ("RELU", 1, "INT8"), ("PACK", 2, "INT8")]
)
def test_outputs_are_of_the_type_that_the_op_writes(kind, count, written):
    shape = (2, 1, 4, 4, 4) if kind == "PACK" else (1, 4, 4, 4)
    data = stock(kind, schema.PackOptionsT(valuesCount=2) if kind == "PACK" else None, count=count, out=shape)
    bad = packed(data, lambda g: setattr(g.tensors[count], "type", schema.TensorType.FLOAT32))
    with pytest.raises(UnsupportedModelError, match=rf"{kind} .* writes {written}, and its output is FLOAT32"):
        Interpreter(bad)


@pytest.mark.parametrize("changes", [{"type": schema.TensorType.FLOAT32}, {"shape": [2, 2]}, {"shape": [3]}])
def test_a_bias_is_one_integer_an_output_channel(changes):
    net = StockModel()
    weights = np.eye(4, dtype=np.int8).reshape(4, 1, 1, 4)
    y = net.conv2d(net.input((1, 3, 3, 4)), weights, np.arange(4, dtype=np.int32))
    data = net.build(y)
    Interpreter(data)
    bad = packed(data, lambda g: [setattr(g.tensors[2], name, value) for name, value in changes.items()])
    if changes == {"shape": [2, 2]}:
        Interpreter(bad)
    else:
        with pytest.raises(
            UnsupportedModelError, match="has a bias of another type than INT32|and a bias of .3. values"
        ):
            Interpreter(bad)
