"""Serialises an object tree to the bytes of a `.tflite` whose constants are aligned as TFLM needs them."""

from __future__ import annotations

import copy
import io
import zipfile

import flatbuffers

from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.flatbuffer_check import FILE_IDENTIFIER

_ALIGNMENT = 16  # force_align of Buffer.data in the schema


class _Constant(schema.BufferT):
    """A buffer whose bytes start on a multiple of 16; the generated packer ignores the schema's force_align."""

    def Pack(self, builder: flatbuffers.Builder) -> int:
        if self.data is not None:
            builder.Prep(_ALIGNMENT, len(self.data))  # the bytes are what is packed next
        return super().Pack(builder)


def write_model(model: schema.ModelT) -> bytes:
    """The file's bytes, the same for the same tree; every buffer starts on a multiple of 16."""
    aligned = copy.copy(model)
    aligned.buffers = [_Constant(**vars(buffer)) for buffer in model.buffers]
    builder = flatbuffers.Builder(1024)
    builder.Finish(aligned.Pack(builder), FILE_IDENTIFIER)
    return bytes(builder.Output())


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
