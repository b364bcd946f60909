"""Writes what people and tools want to know into the model's metadata: plan, core and standard TFLite Metadata."""

from __future__ import annotations

import dataclasses

import numpy as np

from tflm_quantmcu.converter.rewrite import Rewrite
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.graph.types import Tensor
from tflm_quantmcu.placement.memory import OFFLINE_METADATA
from tflm_quantmcu.tflite import schema, standard_metadata
from tflm_quantmcu.tflite.metadata import INPUT_METADATA, PLAN_METADATA, TARGET_METADATA, source_input_fields


def attach_plan(rewrite: Rewrite) -> None:
    """Adds QUANTMCU_PLAN, the core as QUANTMCU_TARGET, the uint8 input of which a streamed one is made as
    QUANTMCU_INPUT, and TFLITE_METADATA where the model has none.

    `strip_metadata` drops every metadata.

    An offline memory plan of the model is dropped in any case: its tensors are no longer these.
    """
    model = rewrite.model
    kept = [m for m in model.metadata or () if m.name != OFFLINE_METADATA.encode()]
    model.metadata = [] if rewrite.strip_metadata else kept
    if rewrite.strip_metadata:
        model.metadataBuffer = None
        return
    _add(model, PLAN_METADATA, _with_streamed_format(rewrite).to_json(compact=True).encode())
    if rewrite.target.is_core:
        _add(model, TARGET_METADATA, rewrite.target.core.encode())
    source = _source_of_streamed(rewrite)
    if source is not None and source.dtype == "uint8":
        _add(model, INPUT_METADATA, source_input_fields(source))
    if all(m.name != standard_metadata.NAME.encode() for m in kept):
        _add(model, standard_metadata.NAME, _describe(rewrite))


def _with_streamed_format(rewrite: Rewrite) -> PrecisionPlan:
    """The plan, which also says the format of a streamed input: no tensor is left to say it."""
    plan, name = rewrite.plan, rewrite.plan.streamed_input
    if name is None:
        return plan
    return dataclasses.replace(plan, formats={**plan.formats, name: rewrite.graph.by_name[name].format})


def _source_of_streamed(rewrite: Rewrite) -> Tensor | None:
    """What the QUANTIZE that streaming leaves out reads, if there is one."""
    graph, name = rewrite.graph, rewrite.plan.streamed_input
    writer = graph.producer.get(graph.by_name[name].index) if name else None
    return graph.tensors[writer.inputs[0]] if writer else None


def _add(model: schema.ModelT, name: str, contents: bytes) -> None:
    model.buffers.append(schema.BufferT(data=np.frombuffer(contents, np.uint8)))
    model.metadata.append(schema.MetadataT(name=name.encode(), buffer=len(model.buffers) - 1))


def _describe(rewrite: Rewrite) -> bytes:
    graph = rewrite.graph
    inputs = () if rewrite.plan.streamed_input else graph.inputs
    return standard_metadata.pack_metadata(
        ("tflm_quantmcu model", _summary(rewrite.plan)),
        [_describe_tensor(graph.tensors[t]) for t in inputs],
        [_describe_tensor(graph.tensors[t]) for t in graph.outputs],
    )


def _summary(plan: PrecisionPlan) -> str:
    patches = [sum(map(len, stage.patch_classes)) for stage in plan.stages]
    split = f"in {' + '.join(map(str, patches))} patches" if patches else "not split"
    return (
        "Runs on TensorFlow Lite Micro with the QMCU_ op library of tflm_quantmcu. "
        f"Search: {plan.search.get('method', 'by hand')}; {split}. The metadata {PLAN_METADATA} holds the whole plan."
    )


def _describe_tensor(tensor: Tensor) -> standard_metadata.Described:
    description = f"{tensor.dtype} {list(tensor.shape)}"
    if tensor.scales:
        scale, zero_point = np.float32(tensor.scales[0]), tensor.zero_points[0]
        description += f"; real value = (q - {zero_point}) * {scale}"
    return tensor.name, description
