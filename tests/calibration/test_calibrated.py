"""Calibration by any method: a stock int8 model with new formats, measured, the same however it is run."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from tests.support.networks import inverted_residual
from tests.support.tiny_models import TinyModel
from tflm_quantmcu.base.errors import UnsupportedModelError, UsageError
from tflm_quantmcu.calibration import calibrate as calibrate_module
from tflm_quantmcu.calibration import calibrated as module
from tflm_quantmcu.calibration.calibrate import calibrate
from tflm_quantmcu.calibration.calibrated import calibrate_int8
from tflm_quantmcu.graph.calibration_result import CALIBRATION_METHODS, CalibrationMethod, CalibrationResult
from tflm_quantmcu.lowering.format_groups import free_groups
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.tflite.reader import read_model

MODEL = inverted_residual()
X = np.random.default_rng(1).integers(-100, 100, (20, 24, 24, 3), dtype=np.int8)
CHOOSING = CALIBRATION_METHODS[1:]


def _calibrate(name: str, **options) -> CalibrationResult:
    return calibrate_int8(MODEL, X, method=CalibrationMethod(name, 99.0), progress=False, **options)


def test_the_models_own_formats_are_measured_as_they_are():
    result = _calibrate("own")
    plain = calibrate(MODEL, X, progress=False)
    assert (result.model, result.source_sha256, result.model_sha256) == (None, None, plain.model_sha256)
    for name, stats in plain.stats.items():
        assert np.array_equal(result.stats[name].histogram, stats.histogram)


@pytest.mark.parametrize("name", CHOOSING)
def test_other_methods_give_a_model_with_formats_of_their_own(name):
    result, graph = _calibrate(name), read_model(MODEL)
    assert result.model is not None and result.method.name == name
    assert result.model_sha256 == hashlib.sha256(result.model).hexdigest()
    assert result.source_sha256 == graph.sha256
    new = read_model(result.model)
    free = {t for group in free_groups(graph) for t in group.tensors}
    for before, after in zip(graph.tensors, new.tensors, strict=True):
        if not before.is_constant:
            assert (before.format != after.format) == (before.index in free)
            assert result.stats[after.name].format == after.format and result.stats[after.name].method == result.method
    outputs = [Interpreter(model).run(X).astype(int) for model in (MODEL, result.model)]
    assert np.abs(outputs[0] - outputs[1]).max() < 64 and not np.array_equal(*outputs)


@pytest.mark.parametrize("name", CHOOSING)
def test_processes_give_the_same_bytes(name, monkeypatch):
    serial = _calibrate(name, n_jobs=1)
    monkeypatch.setattr(calibrate_module, "_SMALL_MACS", 0)
    parallel = _calibrate(name, n_jobs=2)
    assert parallel.model == serial.model
    assert all(np.array_equal(parallel.stats[n].histogram, s.histogram) for n, s in serial.stats.items())


@pytest.mark.parametrize("name", ["percentile", "uspiq"])
def test_what_was_found_before_a_stop_is_not_looked_for_again(name, monkeypatch, tmp_path):
    path, whole = tmp_path / "c.checkpoint", _calibrate(name)
    interrupted = {"percentile": "count_real_values", "uspiq": "_layerwise"}[name]

    def stop(chunk: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(calibrate_module, "_count_values", stop)
        with pytest.raises(KeyboardInterrupt):
            _calibrate(name, checkpoint=path)
    if name == "uspiq":
        monkeypatch.setattr(module, interrupted, stop)
    assert _calibrate(name, checkpoint=path).model == whole.model
    with pytest.raises(UsageError, match="differs in calibration_method"):
        _calibrate("minmax", checkpoint=path)


def test_a_network_that_tflm_cannot_run_in_float_is_refused(monkeypatch):
    def refuse(*arguments: object) -> None:
        raise UnsupportedModelError("TFLM cannot prepare the model: no float")

    monkeypatch.setattr(module, "count_real_values", refuse)
    with pytest.raises(UnsupportedModelError, match="runs the network in float32: .*; use --calibration_method own"):
        _calibrate("mse")


@pytest.mark.parametrize("name", CHOOSING)
def test_a_model_without_free_maps_stays_as_it_is(name):
    model = TinyModel()
    data = model.build(model.relu6(model.input((1, 4))))
    result = calibrate_int8(data, np.ones((2, 4), np.int8), method=CalibrationMethod(name), progress=False)
    assert read_model(result.model).tensors[1].format == read_model(data).tensors[1].format
