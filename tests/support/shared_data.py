"""Real models and labelled samples that lie beside a checkout; tests skip loudly where they are absent."""

from __future__ import annotations

import os
import pathlib

import pytest

ROOT = pathlib.Path(os.environ.get("TFLM_QUANTMCU_SHARED_DATA", pathlib.Path(__file__).parents[2] / "../shared/data"))
REMEDY = "set TFLM_QUANTMCU_SHARED_DATA to the folder with models/ and samples/"
CONVOLUTIONAL = ("ic_resnet8_int8", "kws_dscnn_int8", "person_detect", "mcunet_vww80")


def path_of(relative: str) -> pathlib.Path:
    """The file, or a skip of the calling test that says what is missing."""
    path = ROOT / relative
    if not path.exists():
        pytest.skip(f"{path} is absent; {REMEDY}")
    return path


def model(name: str) -> bytes:
    """Bytes of models/<name>.tflite."""
    return path_of(f"models/{name}.tflite").read_bytes()
