"""Whole files pass; cut, foreign and contradictory ones are refused in one sentence, without a crash."""

from __future__ import annotations

from collections.abc import Callable

import flatbuffers
import numpy as np
import pytest

from tests.support.shared_data import path_of
from tests.support.tiny_models import TinyModel
from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.tflite import flatbuffer_check, schema
from tflm_quantmcu.tflite.flatbuffer_check import check_flatbuffer

SHARED_MODELS = (
    "ad01_int8.tflite",
    "hello_world_float.tflite",
    "hello_world_int8.tflite",
    "ic_resnet8_float.tflite",
    "ic_resnet8_int8.tflite",
    "kws_dscnn_float.tflite",
    "kws_dscnn_int8.tflite",
    "mcunet_vww80.tflite",
    "person_detect.tflite",
)


def _model() -> bytes:
    model = TinyModel()
    x = model.input((1, 5, 4, 3))
    filter = np.arange(-36, 36).reshape(2, 3, 4, 3)
    y = model.conv2d(x, filter, np.array([5, -5]), filter_scales=(0.01, 0.02), scale=0.4)
    y = model.reshape(y, (1, 40))
    return model.build(model.softmax(y))


def _changed(change: Callable[[schema.ModelT], None]) -> bytes:
    model = schema.ModelT.InitFromPackedBuf(_model())
    change(model)
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), file_identifier=b"TFL3")
    return bytes(builder.Output())


@pytest.mark.parametrize("name", SHARED_MODELS)
def test_real_models_pass(name):
    check_flatbuffer(path_of(f"models/{name}").read_bytes())


def test_every_truncation_is_refused():
    model = _model()
    for length in range(len(model)):
        with pytest.raises(UnsupportedModelError):
            check_flatbuffer(model[:length])
    check_flatbuffer(model)


def test_random_damage_never_escapes_as_another_error():
    model = _model()
    rng = np.random.default_rng(7)
    outcomes = set()
    for _ in range(2000):
        damaged = bytearray(model)
        for position in rng.integers(0, len(model), 3):
            damaged[position] = rng.integers(256)
        try:
            check_flatbuffer(bytes(damaged))
            outcomes.add("passed")
        except UnsupportedModelError:
            outcomes.add("refused")
    assert outcomes == {"passed", "refused"}


@pytest.mark.parametrize("data", [b"", b"TFL3", b"\0" * 64, b"<html>404 not found</html>", b"PK\3\4" + b"\0" * 60])
def test_other_files_are_refused(data):
    with pytest.raises(UnsupportedModelError, match="not a .tflite file"):
        check_flatbuffer(data)


def test_a_string_without_its_end_is_refused():
    model = _model()
    end = model.index(b"constant1\0") + len(b"constant1")
    with pytest.raises(UnsupportedModelError, match="has no end"):
        check_flatbuffer(model[:end] + b"!" + model[end + 1 :])


def _first(model: schema.ModelT) -> schema.SubGraphT:
    return model.subgraphs[0]


def _add_offline_plan(model: schema.ModelT) -> None:
    metadata = schema.MetadataT()
    metadata.name, metadata.buffer = b"OfflineMemoryAllocation", len(model.buffers)
    model.metadata = [metadata]
    model.buffers.append(schema.BufferT())
    model.buffers[-1].data = np.frombuffer(np.array([1, 1, 6, -1], "<i4").tobytes(), np.uint8)


CONTRADICTIONS = {
    "schema version 9": lambda m: setattr(m, "version", 9),
    "no subgraphs": lambda m: setattr(m, "subgraphs", []),
    "the inputs of operator 0 have index 99": lambda m: setattr(_first(m).operators[0], "inputs", [0, 99, 2]),
    "the outputs of operator 0 have index -1": lambda m: setattr(_first(m).operators[0], "outputs", [-1]),
    "no outputs of operator 0": lambda m: setattr(_first(m).operators[0], "outputs", None),
    "kinds of operator 0": lambda m: setattr(_first(m).operators[0], "opcodeIndex", 50),
    "the model's outputs have index 77": lambda m: setattr(_first(m), "outputs", [77]),
    "buffers of tensor 0": lambda m: setattr(_first(m).tensors[0], "buffer", 50),
    "has shape .* static": lambda m: setattr(_first(m).tensors[0], "shape", [1, -1, 4, 3]),
    "takes 720000 bytes; its constant has 72": lambda m: setattr(_first(m).tensors[1], "shape", [2, 3, 40000, 3]),
    "at most": lambda m: setattr(_first(m).tensors[0], "shape", [1, 65536, 65536, 1]),
    "channel dimensions of tensor 1": lambda m: setattr(_first(m).tensors[1].quantization, "quantizedDimension", 7),
    "outside the flatbuffer": lambda m: setattr(_first(m).tensors[1], "externalBuffer", 1),
    "too few for 6 tensors": _add_offline_plan,
    "the model's metadata buffers have index 50": lambda m: setattr(m, "metadataBuffer", np.array([50], np.int32)),
}


@pytest.mark.parametrize("sentence", CONTRADICTIONS)
def test_contradictions_are_refused_with_their_place(sentence):
    with pytest.raises(UnsupportedModelError, match=sentence):
        check_flatbuffer(_changed(CONTRADICTIONS[sentence]))


def test_control_flow_without_options_is_refused():
    def change(model: schema.ModelT) -> None:
        model.operatorCodes[0].builtinCode = schema.BuiltinOperator.WHILE
        model.operatorCodes[0].deprecatedBuiltinCode = schema.BuiltinOperator.WHILE

    with pytest.raises(UnsupportedModelError, match="lacks its WhileOptions"):
        check_flatbuffer(_changed(change))


def test_the_interpreter_refuses_before_tflm_reads():
    with pytest.raises(UnsupportedModelError, match="damaged or cut off"):
        Interpreter(_model()[:-200])


class _RecordingBuilder:
    """Stands in for flatbuffers' builder: notes the slot and method of the one field that is written."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, tuple]] = []

    def __getattr__(self, name: str) -> Callable[..., None]:
        return lambda *arguments: self.calls.append((name, arguments))


_SCALAR_BYTES = {"Int8": "1", "Uint8": "1", "Bool": "1", "Int32": "4", "Uint32": "4", "Uint64": "8"}


@pytest.mark.parametrize("table", flatbuffer_check._FIELDS)
def test_the_field_table_agrees_with_the_schema(table):
    fields = flatbuffer_check._FIELDS[table]
    adders = [name for name in vars(schema) if name.startswith(f"{table}Add")]
    assert adders
    for adder in adders:
        builder = _RecordingBuilder()
        getattr(schema, adder)(builder, 0)
        ((method, (slot, *_)),) = builder.calls
        kind = method.removeprefix("Prepend").removesuffix("Slot")
        if kind in _SCALAR_BYTES:
            assert fields[slot] == _SCALAR_BYTES[kind], adder
            continue
        assert kind == "UOffsetTRelative" and not fields[slot].isdigit(), adder
        start = getattr(schema, adder.replace("Add", "Start", 1) + "Vector", None)
        assert (start is not None) == fields[slot].endswith("*"), adder
        if start is not None:
            start(builder, 1)
            _, (width, *_) = builder.calls[-1]
            element = fields[slot][:-1]
            assert width == (int(element) if element.isdigit() else 4), adder
