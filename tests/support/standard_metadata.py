"""Standard TFLite Metadata as tflite-support reads it; Pythons newer than 3.11 have no wheel of it."""

from __future__ import annotations

from typing import Any

import pytest

from tflm_quantmcu.tflite.metadata import read_metadata
from tflm_quantmcu.tflite.reader import load_model_t


def schema() -> Any:
    """tflite-support's generated module; skips the test where that is not installed."""
    return pytest.importorskip("tensorflow_lite_support.metadata.metadata_schema_py_generated")


def described(model: bytes) -> Any:
    """The model's ModelMetadataT."""
    contents = read_metadata(load_model_t(model), "TFLITE_METADATA")
    assert contents[4:8] == b"M001"
    return schema().ModelMetadataT.InitFromObj(schema().ModelMetadata.GetRootAs(contents))
