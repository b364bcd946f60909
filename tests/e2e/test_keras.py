"""Keras models: the callback, the export hook and the command line lead to the same bytes."""

from __future__ import annotations

import importlib
import pathlib
import sys

import numpy as np
import pytest

import tflm_quantmcu as qm
from tflm_quantmcu import cli
from tflm_quantmcu.base.errors import UsageError

keras = pytest.importorskip("keras")

OPTIONS = {"core": "any", "sram_scope": "nonpersistent", "sram_bytes": 4500, "vdqs_lambda": 0.2}


@pytest.fixture(scope="module")
def network():
    keras.utils.set_random_seed(3)
    x = inputs = keras.Input((24, 24, 3))
    x = y = keras.layers.Conv2D(8, 3, padding="same", activation="relu")(x)
    y = keras.layers.DepthwiseConv2D(3, padding="same", activation="relu6")(y)
    y = keras.layers.Conv2D(8, 1)(y)
    x = keras.layers.Add()([x, y])
    x = keras.layers.Conv2D(16, 3, strides=2, padding="same", activation="relu")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    model = keras.Model(inputs, keras.layers.Dense(4, activation="softmax")(x))
    model.compile(loss="sparse_categorical_crossentropy")
    return model


@pytest.fixture(scope="module")
def samples() -> np.ndarray:
    return np.random.default_rng(5).normal(size=(24, 24, 24, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def calibrator(network, samples):
    calibrator = qm.ActivationCalibrator(samples, progress=False)
    network.predict(samples[:2], callbacks=[calibrator], verbose=0)
    return calibrator


def test_callback_hook_and_command_line_agree_byte_for_byte(
    network, samples, calibrator, tmp_path, monkeypatch
) -> None:
    monkeypatch.chdir(tmp_path)
    converted = qm.convert(network, calibration=calibrator.result, **OPTIONS)
    assert converted.plan.stages
    with qm.enable_keras_export():
        network.export("hook.tflite", format="tflm_quantmcu", calibration=calibrator.result, **OPTIONS)
        network.export("data.tflite", format="tflm_quantmcu", calibration_data=samples, **OPTIONS)
    network.save("m.keras")
    np.savez("x.npz", x=samples)
    calibrator.save("calibration.npz")
    flags = [f"--{name}={value}" for name, value in OPTIONS.items()]
    cli.run(["convert", "--model=m.keras", "--calibration_data=x.npz", "--output=cli.tflite", *flags])
    cli.run(["convert", "--model=m.keras", "--calibration=calibration.npz", "--output=saved.tflite", *flags])
    for name in ("hook", "data", "cli", "saved"):
        assert pathlib.Path(f"{name}.tflite").read_bytes() == converted.model, name


def test_the_converted_model_follows_keras(network, samples, calibrator) -> None:
    converted = qm.convert(network, calibration=calibrator.result, search="uniform")
    expected = network.predict(samples, verbose=0)
    found = qm.Interpreter(converted.model).predict(samples)
    assert np.abs(expected - found).max() < 0.06
    comparison = calibrator.result.comparison
    assert comparison is not None and comparison.num_samples == len(samples)
    assert converted.report.as_dict()["keras_comparison"] == comparison.as_dict()


def test_other_exports_are_untouched(network, tmp_path) -> None:
    original = keras.Model.export
    with qm.enable_keras_export():
        network.export(tmp_path / "saved_model", verbose=False)
        assert (tmp_path / "saved_model" / "saved_model.pb").exists()
    assert keras.Model.export is original


def test_a_keras_model_without_data_is_refused(network) -> None:
    with pytest.raises(UsageError, match="representative inputs"):
        qm.convert(network, sram_bytes=4500)


@pytest.mark.parametrize("change", ["trained on", "another model"])
def test_a_calibration_is_bound_to_its_weights(
    network, samples, calibrator, tmp_path, monkeypatch, capsys, change
) -> None:
    monkeypatch.chdir(tmp_path)
    calibrator.save("calibration.npz")
    model = keras.models.clone_model(network)
    assert qm.load_calibration("calibration.npz").weights_sha256 == calibrator.result.weights_sha256
    if change == "trained on":
        model.set_weights(network.get_weights())
        assert qm.convert(model, calibration="calibration.npz", search="uniform").model
        model.layers[1].bias.assign_add([1e-3] * 8)
    with pytest.raises(UsageError, match="was made of other weights than the Keras model"):
        qm.convert(model, calibration=calibrator.result, search="uniform")
    model.save("m.keras")
    with pytest.raises(SystemExit) as exit:
        cli.main(["convert", "--model=m.keras", "--calibration=calibration.npz", "--output=m.tflite"])
    assert exit.value.code == 2 and "calibrate it anew" in capsys.readouterr().err
    assert not pathlib.Path("m.tflite").exists()


def test_a_calibration_of_a_tflite_is_none_of_a_keras_model(network, samples, calibrator) -> None:
    of_tflite = qm.calibrate_model(calibrator.result.model, samples, calibration_method="minmax", progress=False)
    with pytest.raises(UsageError, match="was made for a .tflite; calibrate the Keras model"):
        qm.convert(network, calibration=of_tflite, search="uniform")


def _command(capsys, *arguments: str) -> str:
    """What a successful command prints."""
    cli.main(list(arguments))
    return capsys.readouterr().out


def test_what_the_comparison_found_is_on_the_command_line_and_in_both_reports(
    network, samples, tmp_path, monkeypatch, capsys
) -> None:
    monkeypatch.chdir(tmp_path)
    network.export("folder", verbose=False)
    alike = np.repeat(samples[:1], 16, axis=0)
    np.savez("x.npz", x=samples)
    np.savez("alike.npz", x=alike)
    figures = "int8 beside the Keras model on"
    printed = _command(capsys, "calibrate", "--model=folder", "--calibration_data=x.npz", "--output=c.npz")
    assert f"{figures} 24 calibration samples" in printed
    flags = ["--search=uniform", "--report=r.html", "--output=o.tflite", "--noprogress"]
    warning = "is the same for all 16 samples"
    with pytest.warns(UserWarning, match=warning):
        printed = _command(capsys, "convert", "--model=folder", "--calibration_data=alike.npz", *flags)
    assert figures in printed and warning in printed
    page = pathlib.Path("r.html").read_text()
    assert "beside the Keras model on" in page and warning in page


def test_own_layers_come_from_their_module(tmp_path, monkeypatch, capsys) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*sys.path])
    pathlib.Path("layers_of_mine.py").write_text(
        "import keras\nclass Doubles(keras.layers.Layer):\n    def call(self, x):\n        return x * 2.0\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    doubles = importlib.import_module("layers_of_mine").Doubles()
    keras.Sequential([keras.Input((4,)), doubles, keras.layers.Dense(2)]).save("m.keras")
    np.savez("x.npz", x=np.random.default_rng(0).normal(size=(8, 4)).astype(np.float32))
    arguments = ["calibrate", "--model=m.keras", "--calibration_data=x.npz", "--output=c.npz"]
    with pytest.raises(SystemExit) as exit_:
        cli.main(arguments)
    assert exit_.value.code == 3 and "give --import MODULE that defines them" in capsys.readouterr().err
    _command(capsys, *arguments, "--import=layers_of_mine")


@pytest.mark.parametrize(
    "name, way", [("m.onnx", "onnx2tf -i m.onnx -osd"), ("m.pt", "torch.onnx.export"), ("saved_model.pb", "the folder")]
)
def test_formats_of_others_are_told_the_way(tmp_path, capsys, name, way) -> None:
    (tmp_path / name).write_bytes(b"model")
    with pytest.raises(SystemExit) as exit_:
        cli.main(["convert", f"--model={tmp_path / name}", f"--output={tmp_path / 'o.tflite'}"])
    assert exit_.value.code == 3
    told = capsys.readouterr().err
    assert way in told and "supported are .tflite, .keras, .h5 and SavedModel folders" in told and told.count("\n") == 1
