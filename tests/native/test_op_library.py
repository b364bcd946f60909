"""Where the op library is looked for, and what is said when it is not there."""

from __future__ import annotations

import ctypes.util

import flatbuffers
import pytest

from tests.support.tiny_models import TinyModel
from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.native.handshake import load_op_library
from tflm_quantmcu.native.op_library import PATH_VARIABLE, find_op_library
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.tflite import schema


def _model_with_custom_op(code: str) -> bytes:
    model = TinyModel()
    data = model.build(model.relu(model.input((1, 4))))
    tree = schema.ModelT.InitFromPackedBuf(data)
    custom = schema.BuiltinOperator.CUSTOM
    tree.operatorCodes[0].builtinCode = tree.operatorCodes[0].deprecatedBuiltinCode = custom
    tree.operatorCodes[0].customCode = code
    builder = flatbuffers.Builder(1024)
    builder.Finish(tree.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


def test_the_variable_decides(monkeypatch, tmp_path):
    library = tmp_path / "mine.so"
    library.touch()
    monkeypatch.setenv(PATH_VARIABLE, str(library))
    assert find_op_library() == library


def test_only_models_with_our_ops_need_it(monkeypatch):
    monkeypatch.setenv(PATH_VARIABLE, "/nowhere/libquantmcu_ops.so")
    model = TinyModel()
    Interpreter(model.build(model.relu(model.input((1, 4)))))
    with pytest.raises(UsageError, match="not at /nowhere/libquantmcu_ops.so; build it with `make ops`"):
        Interpreter(_model_with_custom_op("QMCU_CONV_2D"))


def test_another_library_is_refused():
    name = ctypes.util.find_library("m")
    with pytest.raises(UsageError, match="is not the op library"):
        load_op_library(name)


def test_a_file_that_is_no_library_is_refused(tmp_path):
    path = tmp_path / "libquantmcu_ops.so"
    path.write_text("text")
    with pytest.raises(UsageError, match="is not the op library"):
        load_op_library(path)
