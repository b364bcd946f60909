"""Writes what people and tools want to know into the model's metadata: the plan, and the standard TFLite Metadata.

The standard metadata is packed with tflite-support's own schema classes. Its populator would pack the whole model once
more, with an older schema that drops what it does not know, and imports TensorFlow.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import flatbuffers
import numpy as np
from tensorflow_lite_support.metadata import metadata_schema_py_generated as metadata_schema

from tflm_quantmcu.converter.rewrite import Rewrite
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.graph.types import Tensor
from tflm_quantmcu.placement.memory import OFFLINE_METADATA
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.metadata import PLAN_METADATA

TFLITE_METADATA = "TFLITE_METADATA"
_TFLITE_METADATA_IDENTIFIER = b"M001"
# The oldest parser that knows names and descriptions.
_MIN_PARSER_VERSION = "1.0.0"


def attach_plan(rewrite: Rewrite) -> None:
    """Adds QUANTMCU_PLAN and, where the model has none, TFLITE_METADATA; `strip_metadata` drops every metadata.

    An offline memory plan of the model is dropped in any case: its tensors are no longer these.
    """
    model = rewrite.model
    kept = [m for m in model.metadata or () if m.name != OFFLINE_METADATA.encode()]
    model.metadata = [] if rewrite.strip_metadata else kept
    if rewrite.strip_metadata:
        model.metadataBuffer = None
        return
    _add(model, PLAN_METADATA, _with_streamed_format(rewrite).to_json(compact=True).encode())
    if all(m.name != TFLITE_METADATA.encode() for m in kept):
        _add(model, TFLITE_METADATA, _describe(rewrite))


def _with_streamed_format(rewrite: Rewrite) -> PrecisionPlan:
    """The plan, which also says the format of a streamed input: no tensor is left to say it."""
    plan, name = rewrite.plan, rewrite.plan.streamed_input
    if name is None:
        return plan
    return dataclasses.replace(plan, formats={**plan.formats, name: rewrite.graph.by_name[name].format})


def _add(model: schema.ModelT, name: str, contents: bytes) -> None:
    model.buffers.append(schema.BufferT(data=np.frombuffer(contents, np.uint8)))
    model.metadata.append(schema.MetadataT(name=name.encode(), buffer=len(model.buffers) - 1))


def _describe(rewrite: Rewrite) -> bytes:
    graph = rewrite.graph
    described = metadata_schema.ModelMetadataT()
    described.name = "tflm_quantmcu model"
    described.description = _summary(rewrite.plan)
    described.minParserVersion = _MIN_PARSER_VERSION
    subgraph = metadata_schema.SubGraphMetadataT()
    inputs = () if rewrite.plan.streamed_input else graph.inputs
    subgraph.inputTensorMetadata = _describe_tensors([graph.tensors[t] for t in inputs])
    subgraph.outputTensorMetadata = _describe_tensors([graph.tensors[t] for t in graph.outputs])
    described.subgraphMetadata = [subgraph]
    builder = flatbuffers.Builder(0)
    builder.Finish(described.Pack(builder), _TFLITE_METADATA_IDENTIFIER)
    return bytes(builder.Output())


def _summary(plan: PrecisionPlan) -> str:
    patches = [sum(map(len, stage.patch_classes)) for stage in plan.stages]
    split = f"in {' + '.join(map(str, patches))} patches" if patches else "not split"
    return (
        "Runs on TensorFlow Lite Micro with the QMCU_ op library of tflm_quantmcu. "
        f"Search: {plan.search.get('method', 'by hand')}; {split}. The metadata {PLAN_METADATA} holds the whole plan."
    )


def _describe_tensors(tensors: Sequence[Tensor]) -> list[metadata_schema.TensorMetadataT]:
    result = []
    for tensor in tensors:
        described = metadata_schema.TensorMetadataT()
        described.name = tensor.name
        described.description = f"{tensor.dtype} {list(tensor.shape)}"
        if tensor.scales:
            scale, zero_point = np.float32(tensor.scales[0]), tensor.zero_points[0]
            described.description += f"; real value = (q - {zero_point}) * {scale}"
        result.append(described)
    return result
