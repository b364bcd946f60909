"""Checks that bytes are one whole `.tflite` file, before C++ code that trusts them reads them.

In: a file's bytes. Out: nothing, or UnsupportedModelError. First the structure: every table, vector
and string lies inside the file. Then the values that TFLM's allocator takes without looking:
indices, shapes, lengths of constants, the offline memory plan; then what ops read and how (op_check).
Whether the ops are supported, and fit their tensors, is for TFLM and the converter to say.
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterable
from typing import Any

from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.op_check import check_ops

FILE_IDENTIFIER = b"TFL3"
SCHEMA_VERSION = 3
OFFLINE_PLAN = b"OfflineMemoryAllocation"
# TFLM counts elements and arena offsets in int.
MAX_TENSOR_BYTES = 2**31 - 1
MAX_RANK = 8  # of TFLite's kernels

# The schema: a table's fields by id. A number is a scalar's bytes, `4*` a vector of such; a name is
# a table, `Name*` a vector of tables; the kind of `options` is the value of the field before it.
# Of what nobody reads here (`union`) only the frame is checked.
_FIELDS = {
    table: fields.split()
    for table, fields in {
        "Model": "4 OperatorCode* SubGraph* string Buffer* 4* Metadata* SignatureDef* ExternalBufferGroup* "
        "ExternalBuffer*",
        "OperatorCode": "1 string 4 4",
        "SubGraph": "Tensor* 4* 4* Operator* string 4",
        "Tensor": "4* 1 4 string QuantizationParameters 1 SparsityParameters 4* 1 VariantSubType* 4",
        "QuantizationParameters": "4* 4* 4* 8* 1 union 4",
        "SparsityParameters": "4* 4* DimensionMetadata*",
        "DimensionMetadata": "1 4 1 union 1 union",
        "VariantSubType": "4* 1 1",
        "Operator": "4 4* 4* 1 options 1* 1 1* 4* 8 8 1 union 4",
        "Buffer": "1* 8 8",
        "Metadata": "string 4",
        "SignatureDef": "TensorMap* TensorMap* string 4 4",
        "TensorMap": "string 4",
        "ExternalBufferGroup": "string",
        "ExternalBuffer": "4 4 8 8 string",
        "ReshapeOptions": "4*",
        "SqueezeOptions": "4*",
        "VarHandleOptions": "string string",
    }.items()
}
_OPTIONS = {value: name for name, value in vars(schema.BuiltinOptions).items() if not name.startswith("_")}
_TYPE_BITS = {
    schema.TensorType.INT2: 2,
    schema.TensorType.INT4: 4,
    schema.TensorType.UINT4: 4,
    schema.TensorType.BOOL: 8,
    schema.TensorType.INT8: 8,
    schema.TensorType.UINT8: 8,
    schema.TensorType.INT16: 16,
    schema.TensorType.UINT16: 16,
    schema.TensorType.FLOAT16: 16,
    schema.TensorType.BFLOAT16: 16,
    schema.TensorType.INT32: 32,
    schema.TensorType.UINT32: 32,
    schema.TensorType.FLOAT32: 32,
    schema.TensorType.INT64: 64,
    schema.TensorType.UINT64: 64,
    schema.TensorType.FLOAT64: 64,
    schema.TensorType.COMPLEX64: 64,
    schema.TensorType.COMPLEX128: 128,
}


def check_flatbuffer(data: bytes) -> schema.ModelT:
    """The file as the schema's object tree; refuses bytes that are not a whole, consistent `.tflite` file.

    Raises:
      UnsupportedModelError: another kind of file, a damaged or cut off one, or an index, shape or
        constant that contradicts the rest of the model; the sentence says which and where.
    """
    if data[4:8] != FILE_IDENTIFIER:
        raise UnsupportedModelError(
            f"the model is not a .tflite file: bytes 4 to 8 are {bytes(data[4:8])!r} instead of {FILE_IDENTIFIER!r}"
        )
    try:
        _Structure(data).check()
        model = schema.ModelT.InitFromPackedBuf(data)
    except _Damage as damage:
        raise UnsupportedModelError(f"the .tflite file is damaged or cut off: {damage}") from None
    except Exception as error:  # the schema's readers raise whatever the misread value leads to
        raise UnsupportedModelError(
            f"the .tflite file is damaged or cut off: reading it fails with {error!r}"
        ) from None
    _check_model(model)
    check_ops(model)
    return model


class _Damage(Exception):
    """A part that lies outside the file; the text says which."""


class _Structure:
    """Walks a flatbuffer by `_FIELDS` and checks that every part lies inside it."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._seen: set[tuple[int, str]] = set()

    def check(self) -> None:
        self._table(self._read("<I", 0, "the root offset"), "Model")

    def _read(self, scalar: str, position: int, what: str) -> int:
        self._inside(position, struct.calcsize(scalar), what)
        return struct.unpack_from(scalar, self._data, position)[0]

    def _inside(self, position: int, num_bytes: int, what: str) -> None:
        if position < 0 or position + num_bytes > len(self._data):
            raise _Damage(f"{what} at byte {position} lies outside its {len(self._data)} bytes")

    def _table(self, position: int, kind: str) -> None:
        if (position, kind) in self._seen:
            return
        self._seen.add((position, kind))
        vtable = position - self._read("<i", position, kind)
        vtable_bytes = self._read("<H", vtable, f"the layout of {kind}")
        table_bytes = self._read("<H", vtable + 2, f"the layout of {kind}")
        self._inside(vtable, vtable_bytes, f"the layout of {kind}")
        self._inside(position, table_bytes, kind)
        selector = 0
        for field, entry in zip(_FIELDS.get(kind, ()), range(4, vtable_bytes - 1, 2), strict=False):
            offset = self._read("<H", vtable + entry, f"the layout of {kind}")
            width = int(field) if field.isdigit() else 4
            if offset and offset + width > table_bytes:
                raise _Damage(f"{kind} at byte {position} has a field outside itself")
            if field == "1":
                selector = self._data[position + offset] if offset else 0
            elif offset and not field.isdigit():
                self._follow(position + offset, field, selector)

    def _follow(self, position: int, field: str, selector: int) -> None:
        target = position + self._read("<I", position, field)
        if field == "string":
            length = self._read("<I", target, field)
            self._inside(target + 4, length + 1, field)
            if self._data[target + 4 + length] != 0:
                raise _Damage(f"the string at byte {target} has no end")
        elif field.endswith("*"):
            element = field[:-1]
            length = self._read("<I", target, f"a vector of {element}")
            width = int(element) if element.isdigit() else 4
            self._inside(target + 4, length * width, f"a vector of {length} {element}")
            if not element.isdigit():
                for i in range(length):
                    pointer = target + 4 + 4 * i
                    self._table(pointer + self._read("<I", pointer, element), element)
        elif field == "options":
            self._table(target, _OPTIONS.get(selector, "options"))
        else:
            self._table(target, field)


def _check_model(model: schema.ModelT) -> None:
    if model.version != SCHEMA_VERSION:
        raise UnsupportedModelError(
            f"the .tflite file has schema version {model.version}; supported is {SCHEMA_VERSION}"
        )
    buffers = _required(model.buffers, "buffers")
    codes = _required(model.operatorCodes, "operator codes")
    for subgraph in _required(model.subgraphs or None, "subgraphs"):
        tensors = _required(subgraph.tensors, "tensors")
        for i, tensor in enumerate(tensors):
            _check_tensor(tensor, f"tensor {i} ({_label(tensor.name)})", buffers)
        _check_indices(_required(subgraph.inputs, "inputs"), 0, len(tensors), "the model's inputs")
        _check_indices(_required(subgraph.outputs, "outputs"), 0, len(tensors), "the model's outputs")
        for i, op in enumerate(subgraph.operators or ()):
            _check_operator(op, f"operator {i}", codes, len(tensors))
    if model.metadataBuffer is not None:
        _check_indices(model.metadataBuffer, 0, len(buffers), "the model's metadata buffers")
    for metadata in model.metadata or ():
        _check_indices([metadata.buffer], 0, len(buffers), f"buffers of metadata {metadata.name!r}")
        if metadata.name == OFFLINE_PLAN:
            _check_offline_plan(_contents(buffers[metadata.buffer]))


def _check_tensor(tensor: schema.TensorT, what: str, buffers: list[schema.BufferT]) -> None:
    _check_indices([tensor.buffer], 0, len(buffers), f"buffers of {what}")
    shape = [int(d) for d in (() if tensor.shape is None else tensor.shape)]
    if len(shape) > MAX_RANK:
        raise UnsupportedModelError(f"{what} has {len(shape)} dimensions; supported are {MAX_RANK}")
    if min(shape, default=0) < 0:
        raise UnsupportedModelError(f"{what} has shape {shape}; supported are static shapes")
    if len(shape) > 1:  # converters leave any number for biases
        _check_indices([_channel_axis(tensor)], 0, len(shape), f"channel dimensions of {what}")
    num_bytes = (math.prod(shape) * _TYPE_BITS.get(tensor.type, 0) + 7) // 8
    if num_bytes > MAX_TENSOR_BYTES:
        raise UnsupportedModelError(f"{what} has {num_bytes} bytes; TFLM supports at most {MAX_TENSOR_BYTES}")
    buffer = buffers[tensor.buffer]
    for union in _unions(tensor):
        if union[0] and union[1] is None:
            raise UnsupportedModelError(f"the .tflite file is damaged: {what} names a part of itself that it lacks")
    if buffer.offset > 1 or tensor.externalBuffer:
        raise UnsupportedModelError(f"{what} keeps its values outside the flatbuffer; supported are values inside it")
    constant_bytes = len(_contents(buffer))
    if constant_bytes and tensor.isVariable:
        raise UnsupportedModelError(f"{what} is a state and has values in the file, which TFLM does not read")
    if 0 < constant_bytes < num_bytes:
        raise UnsupportedModelError(
            f"{what} of shape {shape} takes {num_bytes} bytes; its constant has {constant_bytes}"
        )


def _unions(tensor: schema.TensorT) -> Iterable[tuple[int, Any]]:
    """What C++ code follows by a type: (type, table)."""
    if tensor.quantization is not None:
        yield tensor.quantization.detailsType, tensor.quantization.details
    for dim in (tensor.sparsity and tensor.sparsity.dimMetadata) or ():
        yield dim.arraySegmentsType, dim.arraySegments
        yield dim.arrayIndicesType, dim.arrayIndices


def _channel_axis(tensor: schema.TensorT) -> int:
    quantization = tensor.quantization
    is_per_channel = quantization and quantization.scale is not None and len(quantization.scale) > 1
    return quantization.quantizedDimension if is_per_channel else 0


def _check_operator(op: schema.OperatorT, what: str, codes: list[Any], num_tensors: int) -> None:
    _check_indices([op.opcodeIndex], 0, len(codes), f"kinds of {what}")
    _check_indices(_required(op.inputs, f"inputs of {what}"), -1, num_tensors, f"the inputs of {what}")
    _check_indices(_required(op.outputs, f"outputs of {what}"), 0, num_tensors, f"the outputs of {what}")
    intermediates = () if op.intermediates is None else op.intermediates
    _check_indices(intermediates, 0, num_tensors, f"the intermediates of {what}")


def _check_offline_plan(plan: bytes) -> None:
    """The plan is int32 version, subgraphs, number of tensors, then one offset a tensor."""
    num_tensors = int.from_bytes(plan[8:12], "little")
    if len(plan) < 12 + 4 * num_tensors:
        raise UnsupportedModelError(
            f"the metadata {OFFLINE_PLAN.decode()} has {len(plan)} bytes, too few for {num_tensors} tensors"
        )


def _label(name: bytes | None) -> str:
    """The first of a fused op's joined names."""
    return (name or b"").decode(errors="replace").split(";")[0]


def _contents(buffer: schema.BufferT) -> bytes:
    return b"" if buffer.data is None else bytes(buffer.data)


def _required(values: Any, what: str) -> Any:
    if values is None:
        raise UnsupportedModelError(f"the .tflite file has no {what}")
    return values


def _check_indices(indices: Iterable[int], low: int, high: int, what: str) -> None:
    for index in indices:
        if not low <= index < high:
            raise UnsupportedModelError(f"the .tflite file is damaged: {what} have index {index}, and there are {high}")
