"""Metadata of converted models: the plan, the standard TFLite Metadata, and what is kept of the model's own."""

from __future__ import annotations

import dataclasses
import io
import subprocess
import sys
import zipfile

import numpy as np
import pytest

from tests.support import networks
from tests.support.edit_model import with_metadata
from tests.support.plans import front_stage
from tests.support.standard_metadata import described
from tflm_quantmcu.converter.convert import convert_model
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.tflite.metadata import read_metadata
from tflm_quantmcu.tflite.reader import load_model_t, read_model, read_plan

MODEL = networks.inverted_residual()


def plan_of(model: bytes) -> PrecisionPlan:
    graph = read_model(model)
    return PrecisionPlan(graph.sha256, {"method": "uniform"}, stages=(front_stage(graph),), notes=("a note",))


def names(model: bytes) -> set[str]:
    return {m.name.decode() for m in load_model_t(model).metadata or ()}


def test_the_plan_comes_back():
    plan = plan_of(MODEL)
    found = read_plan(convert_model(MODEL, plan))
    assert dataclasses.asdict(found) == dataclasses.asdict(plan)


def test_standard_metadata_describes_inputs_and_outputs():
    metadata = described(convert_model(MODEL, plan_of(MODEL)))
    (subgraph,) = metadata.subgraphMetadata
    (source,), (output,) = subgraph.inputTensorMetadata, subgraph.outputTensorMetadata
    assert (source.name, output.name) == (b"map0", b"map26")
    assert source.description == b"int8 [1, 24, 24, 3]; real value = (q - 0) * 0.05000000074505806"
    assert metadata.minParserVersion == b"1.0.0"
    assert b"Search: uniform; in " in metadata.description


def test_strip_metadata_drops_all_but_what_the_device_reads():
    model = with_metadata(MODEL, {"note": b"hello"})
    plan = plan_of(model)
    converted, stripped = convert_model(model, plan), convert_model(model, plan, strip_metadata=True)
    assert names(converted) == {"note", "QUANTMCU_PLAN", "TFLITE_METADATA", "OfflineMemoryAllocation"}
    assert names(stripped) == {"OfflineMemoryAllocation"}
    assert read_model(stripped).offline_offsets == read_model(converted).offline_offsets
    assert read_plan(stripped) is None
    assert len(stripped) < len(converted)
    x = np.zeros((1, 24, 24, 3), np.int8)
    np.testing.assert_array_equal(Interpreter(converted).invoke(x)[0], Interpreter(stripped).invoke(x)[0])


@pytest.mark.parametrize("strip_metadata", [True, False])
def test_an_offline_plan_is_dropped(strip_metadata):
    num_tensors = len(read_model(MODEL).tensors)
    words = np.array([1, 0, num_tensors, *[-1] * num_tensors], "<i4").tobytes()
    model = with_metadata(MODEL, {"OfflineMemoryAllocation": words})
    plan = PrecisionPlan(read_model(model).sha256, {})  # of the model as it is our plan is no smaller than TFLM's
    converted = convert_model(model, plan, strip_metadata=strip_metadata)
    assert "OfflineMemoryAllocation" not in names(converted)
    Interpreter(converted)


def with_labels(model: bytes) -> bytes:
    """Standard metadata of the model's own, and a file behind the flatbuffer, as tflite-support packs them."""
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as files:
        files.writestr("labels.txt", "cat\ndog\n")
    return with_metadata(model, {"TFLITE_METADATA": b"\0\0\0\0M001 of theirs"}) + archive.getvalue()


def test_metadata_and_files_of_the_model_are_kept():
    model = with_labels(MODEL)
    plan = plan_of(model)
    converted = convert_model(model, plan)
    assert read_metadata(load_model_t(converted), "TFLITE_METADATA") == b"\0\0\0\0M001 of theirs"
    with zipfile.ZipFile(io.BytesIO(converted)) as files:
        assert files.read("labels.txt") == b"cat\ndog\n"
    assert convert_model(model, plan) == converted
    Interpreter(converted)
    assert not zipfile.is_zipfile(io.BytesIO(convert_model(model, plan, strip_metadata=True)))


def test_converting_does_not_wait_for_tensorflow():
    code = "import sys, tflm_quantmcu.converter.convert; sys.exit('tensorflow' in sys.modules)"
    subprocess.run([sys.executable, "-c", code], check=True)
