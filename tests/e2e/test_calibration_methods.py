"""Every calibration method with every search, from .tflite and Keras models, by Python, file and command line."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.networks import inverted_residual
from tests.support.search_problems import MAPS_ON_ANY_CORE, WIDTHS_ALONE
from tflm_quantmcu import cli
from tflm_quantmcu.app import api
from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.calibration.calibration_file import load_calibration, save_calibration
from tflm_quantmcu.graph.calibration_result import CALIBRATION_METHODS
from tflm_quantmcu.tflite.reader import read_plan

MODEL = inverted_residual()
X = np.random.default_rng(1).integers(-100, 100, (8, 24, 24, 3), dtype=np.int8)
OPTIONS = {"progress": False, "n_jobs": 1}
SEARCHES = (
    {"search": "uniform", "activation_bits": 4},
    {"search": "vdqs", "vdqs_lambda": 0.0},
    {"search": "memory_driven", "sram_bytes": 12_000, **MAPS_ON_ANY_CORE, **WIDTHS_ALONE},
)


@pytest.mark.parametrize("search", SEARCHES, ids=lambda search: search["search"])
@pytest.mark.parametrize("method", CALIBRATION_METHODS)
def test_a_converted_model_is_what_the_oracle_says(method, search):
    """`convert` itself refuses a model that differs from the oracle in a byte."""
    result = api.convert(MODEL, calibration_data=X, calibration_method=method, **search, **OPTIONS)
    assert result.plan.search["calibration_method"] == method
    formats = [result.plan.formats, *(c.formats for s in result.plan.stages for c in s.classes)]
    assert any(f.bits < 8 for some in formats for f in some.values())


@pytest.mark.parametrize("method", CALIBRATION_METHODS[1:])
def test_at_8_bits_the_model_with_new_formats_is_split_to_its_own_bytes(method):
    calibration = api.calibrate_model(MODEL, X, calibration_method=method, **OPTIONS)
    result = api.convert(MODEL, calibration=calibration, search="uniform", **OPTIONS)
    assert result.plan.model_sha256 == calibration.model_sha256 and result.plan.stages
    assert result.model == api.convert(calibration.model, search="uniform", calibration=calibration, **OPTIONS).model


def test_methods_choose_differently_and_again_the_same():
    def plan(method: str) -> str:
        options = {"calibration_method": method, "search": "uniform", "activation_bits": 4, **OPTIONS}
        return api.plan(MODEL, calibration_data=X, **options).to_json()

    plans = {method: plan(method) for method in CALIBRATION_METHODS}
    assert len(set(plans.values())) == len(CALIBRATION_METHODS)
    assert plan("uspiq") == plans["uspiq"]


def test_a_saved_calibration_brings_its_method_along(tmp_path):
    path = tmp_path / "c.npz"
    save_calibration(
        api.calibrate_model(MODEL, X, calibration_method="percentile", calibration_percentile=99.0, **OPTIONS), path
    )
    options = {"search": "uniform", "activation_bits": 4, **OPTIONS}
    found = api.plan(MODEL, calibration=path, **options)
    assert (found.search["calibration_method"], found.search["calibration_percentile"]) == ("percentile", 99.0)
    direct = {"calibration_method": "percentile", "calibration_percentile": 99.0}
    assert found == api.plan(MODEL, calibration_data=X, **direct, **options)
    with pytest.raises(UsageError, match="made with --calibration_method percentile, not mse; calibrate anew or drop"):
        api.plan(MODEL, calibration=path, calibration_method="mse", **options)
    with pytest.raises(UsageError, match="the calibration was made for another model"):
        api.plan(inverted_residual(seed=1), calibration=path, **options)


def test_the_command_line_gives_the_same_bytes(tmp_path):
    (tmp_path / "m.tflite").write_bytes(MODEL)
    np.savez(tmp_path / "x.npz", x=X)
    model, data = f"--model={tmp_path}/m.tflite", f"--calibration_data={tmp_path}/x.npz"
    flags = ["--search=uniform", "--activation_bits=4", "--noprogress", "--n_jobs=1"]
    method = ["--calibration_method=uspiq"]
    cli.run(["calibrate", model, data, f"--output={tmp_path}/c.npz", "--noprogress", *method])
    cli.run(["convert", model, f"--calibration={tmp_path}/c.npz", f"--output={tmp_path}/a.tflite", *flags])
    cli.run(["convert", model, data, f"--output={tmp_path}/b.tflite", *flags, *method])
    converted = (tmp_path / "a.tflite").read_bytes()
    assert converted == (tmp_path / "b.tflite").read_bytes()
    plan = read_plan(converted)
    assert plan is not None and plan.model_sha256 == load_calibration(tmp_path / "c.npz").model_sha256


def test_keras_models_get_new_formats_too():
    from tests.support.tiny_keras import functional_cnn, samples
    from tflm_quantmcu.keras_bridge.activation_calibrator import ActivationCalibrator

    method, model, (x, _) = "uspiq", functional_cnn(), samples()
    own = api.calibrate_model(model, x, **OPTIONS)
    chosen = api.calibrate_model(model, x, calibration_method=method, **OPTIONS)
    assert chosen.model != own.model and chosen.source_sha256 == own.model_sha256
    calibrator = ActivationCalibrator(x, calibration_method=method, **OPTIONS)
    model.predict(x, callbacks=[calibrator], verbose=0)
    assert calibrator.result.model == chosen.model
    options = {"search": "uniform", "activation_bits": 4, **OPTIONS}
    by_callback = api.convert(model, calibration=calibrator.result, **options)
    assert by_callback.model == api.convert(model, calibration_data=x, calibration_method=method, **options).model
    assert by_callback.plan.model_sha256 == chosen.model_sha256
