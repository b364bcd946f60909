"""What we pack as standard metadata, tflite-support would pack to the same bytes."""

from __future__ import annotations

import flatbuffers
import pytest

from tests.support.standard_metadata import schema
from tflm_quantmcu.tflite.standard_metadata import IDENTIFIER, MIN_PARSER_VERSION, pack_metadata

TENSORS = [("a", "int8 [1, 2]"), ("Größe", ""), ("a", "float32 []")]


def packed_by_their_classes(model, inputs, outputs):
    def tensor(name, description):
        result = schema().TensorMetadataT()
        result.name, result.description = name, description
        return result

    subgraph = schema().SubGraphMetadataT()
    subgraph.inputTensorMetadata = [tensor(*t) for t in inputs]
    subgraph.outputTensorMetadata = [tensor(*t) for t in outputs]
    tree = schema().ModelMetadataT()
    tree.name, tree.description = model
    tree.minParserVersion = MIN_PARSER_VERSION
    tree.subgraphMetadata = [subgraph]
    builder = flatbuffers.Builder(0)
    builder.Finish(tree.Pack(builder), IDENTIFIER)
    return bytes(builder.Output())


@pytest.mark.parametrize(("num_inputs", "num_outputs"), [(1, 1), (0, 1), (3, 2), (0, 0)])
def test_bytes_are_those_of_tflite_support(num_inputs, num_outputs):
    arguments = (("model", "what it does"), TENSORS[:num_inputs], TENSORS[:num_outputs])
    assert pack_metadata(*arguments) == packed_by_their_classes(*arguments)
