"""Calibration counts every value of every int8 map, repeats exactly, and survives its file."""

from __future__ import annotations

import dataclasses
import os
import re
import signal
import subprocess
import sys
import time

import joblib
import numpy as np
import pytest

from tests.support.shared_data import path_of
from tests.support.stock_tflm import run_stock
from tests.support.tiny_models import Handle, TinyModel
from tflm_quantmcu import cli
from tflm_quantmcu.base.errors import UnsupportedModelError, UsageError
from tflm_quantmcu.calibration import calibrate as module
from tflm_quantmcu.calibration.calibrate import calibrate
from tflm_quantmcu.calibration.calibration_file import load_calibration, save_calibration
from tflm_quantmcu.calibration.outliers import PHIS, outlier_values
from tflm_quantmcu.graph.calibration_result import CalibrationMethod, CalibrationResult
from tflm_quantmcu.tflite.reader import read_model

RNG = np.random.default_rng(21)
FILTER = RNG.integers(-127, 128, (4, 3, 3, 2))
DENSE = RNG.integers(-127, 128, (3, 4))
X = RNG.normal(0, 30, (10, 8, 6, 2)).round().clip(-128, 127).astype(np.int8)


def _maps(model: TinyModel) -> list[Handle]:
    """A float-ended network: QUANTIZE, convolution, mean, fully connected, DEQUANTIZE."""
    x = model.input((1, 8, 6, 2), scale=0.1)
    y = model.conv2d(x, FILTER, filter_scales=(0.01,) * 4, scale=0.4, activation="RELU", zero_point=-128)
    z = model.mean(y, scale=0.1)
    logits = model.fully_connected(z, DENSE, filter_scales=(0.02,), scale=0.2)
    return [x, y, z, logits]


def _model(stop: int = 3) -> bytes:
    model = TinyModel()
    return model.build(_maps(model)[stop])


def _calibrate(x: np.ndarray = X, **keywords) -> CalibrationResult:
    data = _model()
    return calibrate(data, x, progress=False, **keywords)


def _equal(a: CalibrationResult, b: CalibrationResult) -> bool:
    return (
        (a.model_sha256, a.model, list(a.stats)) == (b.model_sha256, b.model, list(b.stats))
        and a.samples.dtype == b.samples.dtype
        and np.array_equal(a.samples, b.samples)
        and (a.method, a.source_sha256) == (b.method, b.source_sha256)
        and all(
            (s.name, s.format, s.method) == (t.name, t.format, t.method)
            and np.array_equal(s.histogram, t.histogram)
            and ((s.outliers is None) if t.outliers is None else np.array_equal(s.outliers, t.outliers))
            for s, t in zip(a.stats.values(), b.stats.values(), strict=True)
        )
    )


def test_histograms_count_every_value_of_every_map():
    result = _calibrate()
    graph = read_model(_model())
    handles = _maps(TinyModel())
    assert list(result.stats) == [graph.tensors[h.index].name for h in handles]
    for stop, stats in enumerate(result.stats.values()):
        values = X if stop == 0 else run_stock(_model(stop), X)[0]
        assert stats.histogram.dtype == np.int64
        assert np.array_equal(stats.histogram, np.bincount(values.ravel().astype(int) + 128, minlength=256))
        assert stats.format == graph.by_name[stats.name].format


def test_outlier_maps_count_values_at_their_positions():
    for stop, stats in enumerate(_calibrate().stats.values()):
        if stop > 1:
            assert stats.outliers is None
            continue
        values = X if stop == 0 else run_stock(_model(stop), X)[0]
        assert stats.outliers is not None and stats.outliers.dtype == np.float32
        for phi, plane in zip(PHIS, stats.outliers, strict=True):
            flags = outlier_values(stats.histogram, phi)[values.astype(int) + 128]
            assert np.array_equal(plane, flags.mean(axis=(0, 3)).astype(np.float32))


def test_models_with_real_inputs_and_outputs_are_measured_inside():
    model = TinyModel()
    x = model.quantize(model.input((1, 4), dtype="float32"), scale=0.1, zero_point=0)
    data = model.build(model.dequantize(model.relu(x)))
    result = calibrate(data, np.ones((2, 4), np.float32), progress=False)
    assert len(result.stats) == 2
    assert all(s.histogram[128 + 10] == 8 for s in result.stats.values())
    assert result.samples.dtype == np.float32


def test_real_samples_are_kept_in_the_models_type():
    result = _calibrate(X.astype(np.float32) * np.float32(0.1))
    assert result.samples.dtype == np.int8
    assert np.array_equal(result.samples, X)
    assert _equal(result, _calibrate())


def test_the_result_repeats_and_the_seed_draws_the_samples():
    assert _equal(_calibrate(max_samples=4), _calibrate(max_samples=4))
    assert len(_calibrate(max_samples=4).samples) == 4
    assert not np.array_equal(_calibrate(max_samples=4).samples, _calibrate(max_samples=4, seed=1).samples)


def test_pieces_of_any_size_give_the_same(monkeypatch):
    whole = _calibrate()
    monkeypatch.setattr(module, "CHUNK_SAMPLES", 3)
    assert _equal(_calibrate(), whole)


@pytest.mark.parametrize("n_jobs", [2, -1])
def test_processes_give_the_same(monkeypatch, n_jobs):
    serial = _calibrate(n_jobs=1)
    monkeypatch.setattr(module, "_SMALL_MACS", 0)
    monkeypatch.setattr(module, "CHUNK_SAMPLES", 2)
    assert _equal(_calibrate(n_jobs=n_jobs), serial)


def test_a_cluster_gives_the_same(monkeypatch):
    distributed = pytest.importorskip("distributed")
    serial = _calibrate()
    monkeypatch.setattr(module, "_SMALL_MACS", 0)
    monkeypatch.setattr(module, "CHUNK_SAMPLES", 2)
    with (
        distributed.LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=None) as cluster,
        distributed.Client(cluster),
        joblib.parallel_config(backend="dask"),
    ):
        assert _equal(_calibrate(), serial)


def test_little_work_starts_no_processes():
    graph = read_model(_model())
    assert module.worthwhile_jobs(graph, 10, -1) == 1
    assert module.worthwhile_jobs(graph, 10**9, -1) == -1
    assert module.worthwhile_jobs(graph, 10**9, 1) == 1


@pytest.mark.parametrize("command, beside", (("calibrate", ""), ("plan", ".calibration")))
def test_a_killed_run_goes_on_and_gives_the_same_file(tmp_path, monkeypatch, command, beside):
    (tmp_path / "m.tflite").write_bytes(_model())
    np.savez(tmp_path / "x.npz", x=np.tile(X, (240, 1, 1, 1)))
    checkpoint = tmp_path / f"killed.checkpoint{beside}"

    def arguments(output: str) -> list[str]:
        places = {"model": "m.tflite", "calibration_data": "x.npz", "output": output}
        flags = [f"--{flag}={tmp_path / name}" for flag, name in places.items()]
        return [command, *flags, "--max_samples=2400", "--noprogress"]

    run = [sys.executable, "-m", "tflm_quantmcu.cli", *arguments("killed")]
    with subprocess.Popen(run, stdout=subprocess.DEVNULL) as process:
        while not checkpoint.exists():
            assert process.poll() is None, "it ended before it was killed"
            time.sleep(0.001)
        os.kill(process.pid, signal.SIGKILL)
    assert not (tmp_path / "killed").exists()

    counted = []
    count_values = module._count_values
    monkeypatch.setattr(module, "_count_values", lambda chunk: counted.append(chunk) or count_values(chunk))
    sentence = rf"{re.escape(checkpoint.name)} was written by a run that differs in calibration_method"
    with pytest.raises(UsageError, match=sentence):
        cli.run([*arguments("killed"), "--calibration_method=mse"])
    cli.run(arguments("killed"))
    assert 0 < len(counted) < 300
    cli.run(arguments("whole"))
    assert len(counted) > 300
    assert (tmp_path / "killed").read_bytes() == (tmp_path / "whole").read_bytes()
    assert not list(tmp_path.glob("*.checkpoint*"))


def test_progress_goes_to_standard_error_alone(capfd, monkeypatch):
    monkeypatch.setenv("TTY_COMPATIBLE", "1")  # a terminal, as rich is told so
    data = _model()
    calibrate(data, X)
    out, err = capfd.readouterr()
    assert out == "" and "calibrating" in err
    calibrate(data, X, progress=False)
    assert capfd.readouterr() == ("", "")


def test_models_with_several_inputs_are_refused():
    model = TinyModel()
    data = model.build(model.add(model.input((1, 4)), model.input((1, 4))))
    with pytest.raises(UnsupportedModelError, match="the model has 2 inputs, .*give no calibration"):
        calibrate(data, np.zeros((1, 4), np.int8))


@pytest.mark.parametrize("model", [None, _model()])
def test_a_file_gives_back_what_was_saved(tmp_path, model):
    result = _calibrate()
    method, source = (CalibrationMethod("percentile", 99.5), "ab" * 32) if model else (result.method, None)
    stats = {name: dataclasses.replace(s, method=method) for name, s in result.stats.items()}
    result = CalibrationResult(result.model_sha256, model, result.samples, stats, method, source)
    save_calibration(result, tmp_path / "c.npz")
    assert _equal(load_calibration(tmp_path / "c.npz"), result)
    assert [p.name for p in tmp_path.iterdir()] == ["c.npz"]


def test_equal_calibrations_are_equal_files(tmp_path):
    for name in ("a.npz", "b.npz"):
        save_calibration(_calibrate(), tmp_path / name)
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def _damaged(tmp_path, **changes) -> object:
    path = tmp_path / "c.npz"
    save_calibration(_calibrate(), path)
    with np.load(path) as archive:
        arrays = dict(archive)
    arrays |= changes
    np.savez(path, **{key: value for key, value in arrays.items() if value is not None})
    return path


@pytest.mark.parametrize(
    "changes",
    [
        {"histograms": None},
        {"names": None},
        {"histograms": np.zeros((4, 255), np.int64)},
        {"histograms": np.zeros((2, 256), np.int64)},
        {"histograms": np.zeros((4, 256))},
        {"outliers_0": np.zeros((2, 8, 6), np.float32)},
        {"scales": np.zeros(4)},
        {"method": np.array("guess")},
        {"samples": np.array([None])},
    ],
)
def test_damaged_files_are_refused(tmp_path, changes):
    with pytest.raises(UsageError):
        load_calibration(_damaged(tmp_path, **changes))


def test_other_files_and_versions_are_refused(tmp_path):
    with pytest.raises(UsageError, match="has version 1; supported is 2"):
        load_calibration(_damaged(tmp_path, version=np.int64(1)))
    with pytest.raises(UsageError, match="none.npz cannot be read: No such file or directory"):
        load_calibration(tmp_path / "none.npz")
    whole = _damaged(tmp_path).read_bytes()
    for content in (b"", b"text", whole[:-100], whole[: len(whole) // 2]):
        (tmp_path / "c.npz").write_bytes(content)
        with pytest.raises(UsageError, match="c.npz is not a whole calibration file"):
            load_calibration(tmp_path / "c.npz")
    np.savez(tmp_path / "c.npz", x=X)
    with pytest.raises(UsageError, match="c.npz is not a whole calibration file"):
        load_calibration(tmp_path / "c.npz")


def test_a_real_model_keeps_all_counts():
    data = path_of("models/kws_dscnn_int8.tflite").read_bytes()
    x = np.load(path_of("samples/kws_calibration_125.npz"))["x"]
    graph = read_model(data)
    result = calibrate(data, x[:16], progress=False)
    for name, stats in result.stats.items():
        assert stats.histogram.sum() == 16 * graph.by_name[name].num_elements
