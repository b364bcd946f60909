"""Serialises an object tree to the bytes of a `.tflite` whose constants are aligned as TFLM needs them."""

from __future__ import annotations

import copy
import io
import tempfile
import zipfile
from pathlib import Path

import flatbuffers
import numpy as np

from tflm_quantmcu.base.tflm_wheel import wheel_module
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.flatbuffer_check import FILE_IDENTIFIER

_ALIGNER = "tensorflow.lite.micro.tools.tflite_flatbuffer_align_wrapper"

_INPUTS_FIELD = 6  # of SubGraph, in its vtable
_LENGTH_BYTES = 4


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
