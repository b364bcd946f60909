"""A canonical model stands for the user's file: same SHA-256, converted and verified against that file."""

from __future__ import annotations

import contextlib
import dataclasses
import pickle

import pytest

import tflm_quantmcu as qm
from tests.support import networks
from tests.support.edit_model import with_tensor
from tflm_quantmcu.base.errors import UnsupportedModelError, UsageError
from tflm_quantmcu.calibration.calibrate import calibrate
from tflm_quantmcu.converter.convert import convert_model
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.lowering.network import LoweredNetwork
from tflm_quantmcu.runtime.samples import random_samples
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.canonical.canonical import canonical
from tflm_quantmcu.tflite.model_file import ModelFile

MODEL = ModelFile(networks.over_time(width=120))


def test_it_has_the_sha256_of_the_users_file_in_other_processes_too():
    found = canonical(MODEL)
    assert found.data != MODEL.data
    for file in (found, pickle.loads(pickle.dumps(found))):
        assert file.sha256 == file.graph.sha256 == MODEL.sha256
        assert file.origin.data == MODEL.data
    assert canonical(found) is found
    assert MODEL.origin is MODEL


def test_a_plan_for_the_users_file_converts_it():
    plan = PrecisionPlan(MODEL.sha256, {})
    assert convert_model(MODEL, plan) == convert_model(canonical(MODEL), plan)


def test_a_network_over_time_is_split_and_verified_against_the_users_file():
    result = qm.convert(MODEL.data, search="uniform", progress=False)
    assert result.plan.model_sha256 == MODEL.sha256
    assert len(result.plan.stages) == 1
    assert result.report.verification.is_same_function
    before, after = result.report.baseline, result.report.converted
    assert before.flash_bytes == len(MODEL.data)
    assert after.recorded_non_persistent_bytes < before.recorded_non_persistent_bytes


def test_widths_below_eight_bits_equal_the_oracle():
    samples = random_samples(MODEL.graph.tensors[MODEL.graph.inputs[0]], 8)
    found = calibrate(MODEL, samples, progress=False)
    assert found.model_sha256 == MODEL.sha256
    result = qm.convert(
        MODEL.data, calibration=found, search="uniform", activation_bits=4, weight_bits=4, progress=False
    )
    assert result.report.verification.num_maps > 3


def test_a_calibration_that_lacks_a_map_of_it_is_refused():
    samples = random_samples(MODEL.graph.tensors[MODEL.graph.inputs[0]], 2)
    found = calibrate(MODEL, samples, progress=False)
    (name,) = set(found.stats) - {t.name for t in MODEL.graph.tensors}
    without = dataclasses.replace(found, stats={n: s for n, s in found.stats.items() if n != name})
    with pytest.raises(UsageError, match="does not know the feature map"):
        qm.convert(MODEL.data, calibration=without, search="uniform", progress=False)


@pytest.mark.parametrize("dtype", [name for name in vars(schema.TensorType) if name.isupper()])
def test_a_tensor_of_any_type_is_looked_at_or_refused(dtype: str):
    for tensor in range(len(MODEL.graph.tensors)):
        model = ModelFile(with_tensor(MODEL.data, tensor, type=getattr(schema.TensorType, dtype)))
        with contextlib.suppress(UnsupportedModelError):
            LoweredNetwork.of(canonical(model).graph)
