"""From Keras: the callback, the export hook and the command line lead to the same bytes."""

from __future__ import annotations

import pathlib

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
