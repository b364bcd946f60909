"""Serialises an object tree to the bytes of a `.tflite` whose constants are aligned as TFLM needs them."""

from __future__ import annotations

import tempfile
from pathlib import Path

import flatbuffers
from tflite_micro.tensorflow.lite.micro.tools import tflite_flatbuffer_align_wrapper
from tflite_micro.tensorflow.lite.python import schema_py_generated as schema

from tflm_quantmcu.flatbuffer_check import FILE_IDENTIFIER


def write_model(model: schema.ModelT) -> bytes:
    """The file's bytes, the same for the same tree; every buffer starts on a multiple of 16.

    The Python flatbuffers packer ignores the schema's alignment, so TFLM's own tool packs the file once more.
    """
    builder = flatbuffers.Builder(1024)
    builder.Finish(model.Pack(builder), FILE_IDENTIFIER)
    with tempfile.TemporaryDirectory() as folder:
        packed, aligned = Path(folder, "packed.tflite"), Path(folder, "aligned.tflite")
        packed.write_bytes(builder.Output())
        tflite_flatbuffer_align_wrapper.align_tflite_model(str(packed), str(aligned))
        return aligned.read_bytes()
