"""Serialises an object tree to the bytes of a `.tflite` whose constants are aligned as TFLM needs them."""

from __future__ import annotations

import copy
import io
import tempfile
import zipfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TypeVar

import flatbuffers
import numpy as np

from tflm_quantmcu.base.tflm_wheel import wheel_module
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.flatbuffer_check import FILE_IDENTIFIER

_ALIGNER = "tensorflow.lite.micro.tools.tflite_flatbuffer_align_wrapper"

_INPUTS_FIELD = 6  # of SubGraph, in its vtable
_LENGTH_BYTES = 4
_Part = TypeVar("_Part")


def write_model(model: schema.ModelT) -> bytes:
    """The file's bytes, the same for the same tree; every buffer starts on a multiple of 16.

    The Python flatbuffers packer ignores the schema's alignment, so TFLM's own tool packs the file once more.
    """
    subgraph = model.subgraphs[0]
    if subgraph.inputs is None or len(subgraph.inputs):
        return _aligned(model)
    # The tool drops empty vectors, and TFLM reads this one: a stand-in goes through, and is taken out behind it.
    model, subgraph = copy.copy(model), copy.copy(subgraph)
    subgraph.inputs = np.zeros(1, np.int32)
    model.subgraphs = [subgraph, *model.subgraphs[1:]]
    return _without_inputs(_aligned(model))


def associated_files(data: bytes) -> bytes:
    """The ZIP archive that TFLite Metadata keeps labels and the like in, behind the flatbuffer."""
    archive = io.BytesIO()
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as source, zipfile.ZipFile(archive, "w") as target:
            for entry in source.infolist():
                target.writestr(entry, source.read(entry))
    except zipfile.BadZipFile:
        return b""
    return archive.getvalue()


def prune_buffers(model: schema.ModelT) -> None:
    """Drops the buffers that nothing uses; buffer 0 stays: it is the empty one by convention."""
    holders = [*model.subgraphs[0].tensors, *(model.metadata or ())]
    old = () if model.metadataBuffer is None else model.metadataBuffer
    used = {0, *(int(holder.buffer) for holder in holders), *(int(b) for b in old)}
    model.buffers, index = keep_used(model.buffers, used)
    for holder in holders:
        holder.buffer = index[int(holder.buffer)]
    if model.metadataBuffer is not None:
        model.metadataBuffer = np.array([index[int(b)] for b in old], np.int32)


def keep_used(parts: Sequence[_Part], used: Iterable[int]) -> tuple[list[_Part], dict[int, int]]:
    """The used parts in their old order, and old index -> new index."""
    kept = sorted(i for i in used if i >= 0)
    return [parts[i] for i in kept], {old: new for new, old in enumerate(kept)}


def _aligned(model: schema.ModelT) -> bytes:
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), FILE_IDENTIFIER)
    with tempfile.TemporaryDirectory() as folder:
        packed, aligned = Path(folder, "packed.tflite"), Path(folder, "aligned.tflite")
        packed.write_bytes(builder.Output())
        wheel_module(_ALIGNER).align_tflite_model(str(packed), str(aligned))
        return aligned.read_bytes()


def _without_inputs(data: bytes) -> bytes:
    """The file with the length of its vector of inputs, which stands before the first, set to 0."""
    table = schema.Model.GetRootAs(data).Subgraphs(0)._tab
    first = table.Vector(table.Offset(_INPUTS_FIELD))
    return data[: first - _LENGTH_BYTES] + bytes(_LENGTH_BYTES) + data[first:]
