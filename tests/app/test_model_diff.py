"""Two models beside each other: equal at 8 bits, and a fault in a weight inside a stage is found in its layer."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tests.support import networks
from tests.support.edit_model import edited
from tests.support.plans import mixed
from tests.support.tiny_keras import functional_cnn, samples
from tflm_quantmcu.app.model_diff import LIMIT_DB, diff_files, diff_models
from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.calibration.calibration_file import save_calibration
from tflm_quantmcu.converter.convert import convert_model
from tflm_quantmcu.converter.map_taps import MapTaps
from tflm_quantmcu.graph.precision_plan import PatchClass, PrecisionPlan, StagePlan
from tflm_quantmcu.keras_bridge.activation_calibrator import calibrate_keras
from tflm_quantmcu.keras_bridge.to_tflite import keras_to_int8
from tflm_quantmcu.oracle.simulate import simulate
from tflm_quantmcu.runtime.samples import to_model_input
from tflm_quantmcu.stage.custom_ops import PATCH_STAGE, program_of
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.canonical.canonical import canonical
from tflm_quantmcu.tflite.model_file import ModelFile

X, _ = samples(6)
KERAS = functional_cnn()
RELU = KERAS.layers[5].name  # Keras numbers what has no name of its own
LAYERS = ["stem", "depthwise", KERAS.layers[3].name, RELU, "logits"]


@pytest.fixture(scope="module")
def source() -> ModelFile:
    return ModelFile(keras_to_int8(KERAS, samples()[0]))


@pytest.fixture(scope="module")
def converted(source: ModelFile) -> ModelFile:
    graph = canonical(source).graph
    ends = [graph.tensors[t].name for t in (graph.inputs[0], graph.ops[2].outputs[0])]
    stage = StagePlan(*ends, 3, 2, ((0,) * 3,) * 3, (PatchClass("ordinary", {}),), cache_mode="rows")
    plan = PrecisionPlan(graph.sha256, {}, stages=(stage,))
    return ModelFile(convert_model(source, plan))


def _with_fault(converted: ModelFile, op_in_stage: int) -> ModelFile:
    """The model with one bit of one weight of a stage's op turned over."""
    (op,) = (op for op in converted.graph.ops if op.kind == PATCH_STAGE)
    sizes = [-(-len(inner.filter) // 4) * 4 for inner in program_of(converted.graph, op).ops]

    def damage(tree: schema.ModelT) -> None:
        buffer = tree.buffers[tree.subgraphs[0].tensors[op.inputs[1]].buffer]
        data = np.array(buffer.data, np.uint8)
        data[sum(sizes[:op_in_stage]) + 4] ^= 0x40
        buffer.data = data

    return ModelFile(edited(converted.data, damage))


def test_a_split_model_at_8_bits_has_no_difference(source, converted):
    found = diff_models(source, converted, X)
    assert found.limit_db is None and found.first is None
    assert [error.layer for error in found.errors if error.stage == 0] == LAYERS[:3]
    assert all(error.sqnr_db is None and error.max_error == 0 for error in found.errors)
    assert "all" in found.verdict and "within the limit (no difference)" in str(found)


@pytest.mark.parametrize("op_in_stage", (0, 1))
def test_a_fault_in_a_weight_inside_a_stage_is_found_in_its_layer(source, converted, op_in_stage):
    found = diff_models(source, _with_fault(converted, op_in_stage), X)
    assert found.first is not None
    assert (found.first.layer, found.first.stage) == (LAYERS[op_in_stage], 0)
    assert found.verdict.startswith(f"first beyond the limit (no difference): layer '{LAYERS[op_in_stage]}'")
    assert [error.is_beyond for error in found.errors][:op_in_stage] == [False] * op_in_stage


def test_maps_of_every_class_are_those_of_the_oracle():
    """Patches of several widths: what is read inside and outside stages is the oracle's, in real values."""
    model = networks.inverted_residual()
    source = canonical(ModelFile(model))
    plan = mixed(source.graph, 1)
    converted = ModelFile(convert_model(source, plan))
    x = np.random.default_rng(3).integers(-128, 128, (2, *source.graph.input_tensors[0].shape[1:])).astype(np.int8)
    known, taps = simulate(source.graph, plan, x), MapTaps(converted, source.graph)
    found = dict(taps.run(x))
    inside = [name for name, stage in taps.stage_of.items() if name not in known]
    assert inside and set(inside) <= found.keys()
    for name in known.keys() & found.keys():
        format = plan.formats.get(name, source.graph.by_name[name].format)
        wanted = (known[name].astype(np.float32) - format.zero_point) * np.float32(format.scale)
        np.testing.assert_array_equal(found[name].reshape(wanted.shape), wanted)
    errors = {e.tensor: e for e in diff_models(source, converted, x).errors}
    assert all(0 < errors[name].max_error < np.inf and errors[name].cosine > 0.5 for name in inside)


def test_a_keras_model_is_the_reference_of_its_int8_model(source):
    found = diff_models(KERAS, source, X)
    assert found.limit_db == LIMIT_DB and found.first is None
    assert [error.layer for error in found.errors if error.op != "RESHAPE"] == LAYERS
    assert all(error.sqnr_db > LIMIT_DB for error in found.errors)


def test_files_json_and_page(source, converted, tmp_path):
    paths = [tmp_path / name for name in ("a.tflite", "b.tflite", "x.npz", "d.json", "d.html")]
    for path, file in zip(paths, (source, _with_fault(converted, 1)), strict=False):
        path.write_bytes(file.data)
    np.savez(paths[2], x=X)
    found = diff_files(*paths[:3], num_samples=2)
    found.save_json(paths[3])
    found.save_html(paths[4])
    fields = json.loads(paths[3].read_text())
    assert fields["first_beyond"] == "depthwise" and fields["num_samples"] == 2
    assert fields["layers"][0]["layer"] == "stem" and fields["layers"][0]["sqnr_db"] is None
    assert "depthwise (first beyond the limit)" in paths[4].read_text()


def test_a_calibration_of_keras_holds_the_original(tmp_path):
    result = calibrate_keras(KERAS, samples()[0], progress=False, n_jobs=1)
    made = canonical(ModelFile(result.model))
    ends = [made.graph.tensors[t].name for t in (made.graph.inputs[0], made.graph.ops[2].outputs[0])]
    stage = StagePlan(*ends, 4, 6, ((0,), (0,)), (PatchClass("ordinary", {}),))
    paths = [tmp_path / name for name in ("m.keras", "b.tflite", "x.npz", "c.npz")]
    KERAS.save(paths[0])
    paths[1].write_bytes(convert_model(made, PrecisionPlan(made.graph.sha256, {}, stages=(stage,))))
    np.savez(paths[2], x=X)
    save_calibration(result, paths[3])
    found = diff_files(*paths[:3], original=paths[3])
    assert [e.layer for e in found.errors if e.stage == 0] == LAYERS[:3] and found.first is None and not found.notes


def test_two_converted_models_need_their_original(source, converted):
    x = to_model_input(X, source.graph.input_tensors[0])
    bare = diff_models(converted, converted, x, names=("a", "b"))
    assert bare.notes == ["maps inside stages of b need --original"]
    assert any(error.layer == "stem" for error in diff_models(converted, converted, x, original=source).errors)


def test_a_stripped_model_says_what_it_cannot_show():
    source = canonical(ModelFile(networks.inverted_residual()))
    stripped = ModelFile(convert_model(source, mixed(source.graph, 1), strip_metadata=True))
    x = np.zeros((1, *source.graph.input_tensors[0].shape[1:]), np.int8)
    found = diff_models(source, stripped, x, names=("a", "b"))
    assert found.notes == ["b holds no plan (--strip_metadata): maps below 8 bits are not compared"]
    assert found.limit_db == LIMIT_DB and found.errors


def test_models_that_nothing_joins_are_refused(source):
    with pytest.raises(UsageError, match="--data"):
        diff_models(source, ModelFile(networks.inverted_residual()), X)
