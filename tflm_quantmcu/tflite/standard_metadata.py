"""Packs the standard TFLite Metadata, which viewers and TFLite's own libraries read: names and descriptions.

The fields' numbers and types are those of TFLite's metadata_schema.fbs, of which these tables are a part:

    ModelMetadata     0 name, 1 description, 7 min_parser_version: string; 3 subgraph_metadata: [SubGraphMetadata]
    SubGraphMetadata  2 input_tensor_metadata, 3 output_tensor_metadata: [TensorMetadata]
    TensorMetadata    0 name, 1 description: string
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import flatbuffers

NAME = "TFLITE_METADATA"  # of the metadata buffer
IDENTIFIER = b"M001"
MIN_PARSER_VERSION = "1.0.0"  # the oldest parser that knows names and descriptions

# How many fields tables have.
_MODEL_FIELDS, _SUBGRAPH_FIELDS, _TENSOR_FIELDS = 8, 10, 7
_OFFSET_BYTES = 4

Described = tuple[str, str]  # name and description


def pack_metadata(model: Described, inputs: Sequence[Described], outputs: Sequence[Described]) -> bytes:
    """The contents of the metadata buffer, of a model of one subgraph.

    Args:
      model: its name and description.
      inputs, outputs: those of its tensors, in the model's order.
    """
    builder = flatbuffers.Builder(0)
    name, description = map(builder.CreateString, model)
    tensors = {2: _tensors(builder, inputs), 3: _tensors(builder, outputs)}
    subgraphs = _vector(builder, [_table(builder, _SUBGRAPH_FIELDS, tensors)])
    version = builder.CreateString(MIN_PARSER_VERSION)
    fields = {0: name, 1: description, 3: subgraphs, 7: version}
    builder.Finish(_table(builder, _MODEL_FIELDS, fields), IDENTIFIER)
    return bytes(builder.Output())


def _tensors(builder: flatbuffers.Builder, tensors: Sequence[Described]) -> int:
    return _vector(builder, [_tensor(builder, *tensor) for tensor in tensors])


def _tensor(builder: flatbuffers.Builder, name: str, description: str) -> int:
    return _table(builder, _TENSOR_FIELDS, {0: builder.CreateString(name), 1: builder.CreateString(description)})


def _vector(builder: flatbuffers.Builder, items: Sequence[int]) -> int:
    """A vector of tables or strings; flatbuffers are written from their end."""
    builder.StartVector(_OFFSET_BYTES, len(items), _OFFSET_BYTES)
    for item in reversed(items):
        builder.PrependUOffsetTRelative(item)
    return builder.EndVector()


def _table(builder: flatbuffers.Builder, num_fields: int, fields: Mapping[int, int]) -> int:
    builder.StartObject(num_fields)
    for field, offset in fields.items():
        builder.PrependUOffsetTRelativeSlot(field, offset, 0)
    return builder.EndObject()
