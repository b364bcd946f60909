"""A ModelFile: parsed once, safe to rewrite a copy of, and cheap to hand to another process."""

from __future__ import annotations

import pickle

import numpy as np
import pytest

import tflm_quantmcu as qm
from tests.support import networks
from tflm_quantmcu.base.errors import UnsupportedModelError, UsageError
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.model_file import ModelFile
from tflm_quantmcu.tflite.reader import read_model
from tflm_quantmcu.tflite.writer import write_model

MODEL = networks.inverted_residual()


@pytest.fixture
def parsed(monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    """The bytes of every file that is parsed from now on."""
    files: list[bytes] = []
    parse = schema.ModelT.InitFromPackedBuf

    def spy(data: bytes, offset: int = 0) -> schema.ModelT:
        files.append(data)
        return parse(data, offset)

    monkeypatch.setattr(schema.ModelT, "InitFromPackedBuf", spy)
    return files


@pytest.mark.parametrize("options", [{}, {"input": "streamed"}, {"activation_bits": 4, "weight_bits": 4}])
def test_a_conversion_parses_the_input_and_the_output_once_each(parsed, options):
    x = np.random.default_rng(0).integers(-128, 127, (4, *read_model(MODEL).tensors[0].shape[1:]), dtype=np.int8)
    parsed.clear()
    calibration = qm.calibrate_model(MODEL, x, n_jobs=1, progress=False) if "activation_bits" in options else None
    parsed.clear()
    result = qm.convert(MODEL, search="uniform", calibration=calibration, progress=False, **options)
    assert parsed == [MODEL, result.model]


def test_a_conversion_that_calibrates_parses_its_input_once(parsed):
    x = np.random.default_rng(0).integers(-128, 127, (4, *read_model(MODEL).tensors[0].shape[1:]), dtype=np.int8)
    parsed.clear()
    result = qm.convert(MODEL, calibration_data=x, search="uniform", n_jobs=1, progress=False)
    assert parsed == [MODEL, result.model]


def test_no_candidate_of_a_search_is_parsed_twice(parsed):
    x = np.random.default_rng(0).integers(-128, 127, (4, *read_model(MODEL).tensors[0].shape[1:]), dtype=np.int8)
    parsed.clear()
    result = qm.convert(
        MODEL, calibration_data=x, search="memory_driven", split="off", sram_bytes=10000, n_jobs=1, progress=False
    )
    assert len(parsed) > 2, "the search tried but one plan"
    assert parsed[0] == MODEL and parsed[-1] == result.model and len(set(parsed)) == len(parsed)


def test_a_changed_copy_leaves_the_file_as_it_was():
    file = ModelFile(MODEL)
    before = write_model(file.tree)
    tree = file.copied_tree()
    assert write_model(tree) == before
    tree.subgraphs[0].tensors[0].name = b"other"
    tree.subgraphs[0].operators.clear()
    tree.buffers.append(schema.BufferT())
    assert write_model(file.tree) == before != write_model(tree)


def test_vectors_of_numbers_cannot_be_changed_in_place():
    tensor = ModelFile(MODEL).copied_tree().subgraphs[0].tensors[0]
    with pytest.raises(ValueError, match="read-only"):
        tensor.shape[0] = 2


def test_another_process_is_handed_the_bytes_alone():
    file = ModelFile(MODEL)
    assert file.graph.ops
    text = pickle.dumps(file)
    assert len(text) < len(MODEL) + 200
    twin = pickle.loads(text)
    assert (twin.data, twin.sha256, len(twin.graph.ops)) == (MODEL, file.sha256, len(file.graph.ops))


def test_of_takes_bytes_a_path_or_itself(tmp_path):
    path = tmp_path / "m.tflite"
    path.write_bytes(MODEL)
    file = ModelFile.of(MODEL)
    assert ModelFile.of(file) is file
    assert ModelFile.of(path).data == ModelFile.of(str(path)).data == MODEL
    with pytest.raises(UsageError, match="cannot be read"):
        ModelFile.of(tmp_path / "none.tflite")


def test_what_is_no_model_is_refused_when_it_is_first_looked_into():
    file = ModelFile(b"not a model at all")
    for part in ("tree", "graph", "plan"):
        with pytest.raises(UnsupportedModelError, match="not a .tflite file"):
            getattr(file, part)


def test_the_plan_is_that_of_the_file():
    converted = qm.convert(MODEL, search="uniform", progress=False)
    assert ModelFile(converted.model).plan == converted.plan
    assert ModelFile(MODEL).plan is None
