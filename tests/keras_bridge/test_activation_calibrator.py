"""The callback calibrates when a run ends, once for the same weights, and leaves the run as it was."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from tests.support.tiny_keras import functional_cnn, samples
from tflm_quantmcu.base.errors import UnsupportedModelError, UsageError
from tflm_quantmcu.calibration.calibration_file import load_calibration
from tflm_quantmcu.keras_bridge import activation_calibrator as module
from tflm_quantmcu.keras_bridge.activation_calibrator import ActivationCalibrator, calibrate_keras
from tflm_quantmcu.keras_bridge.to_tflite import keras, weights_sha256
from tflm_quantmcu.runtime.interpreter import Interpreter

X, Y = samples()


@pytest.fixture
def conversions(monkeypatch) -> list[tuple[keras.Model, int]]:
    """Every model that is converted, by the real converter, and on how many samples."""
    converted = []

    def convert(model: keras.Model, data: np.ndarray) -> bytes:
        converted.append((model, len(data)))
        return module.__dict__["real_keras_to_int8"](model, data)

    monkeypatch.setattr(module, "real_keras_to_int8", module.keras_to_int8, raising=False)
    monkeypatch.setattr(module, "keras_to_int8", convert)
    return converted


def _compiled() -> keras.Model:
    model = functional_cnn()
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(optimizer=keras.optimizers.SGD(0.01), loss=loss, metrics=["accuracy"])
    return model


def test_evaluate_gives_the_calibration_of_the_models_int8_file(tmp_path):
    model, calibrator = _compiled(), ActivationCalibrator(X, progress=False)
    with pytest.raises(UsageError, match="has no result yet: give it to fit, evaluate or predict"):
        _ = calibrator.result
    model.evaluate(X, Y, callbacks=[calibrator], verbose=0)
    result = calibrator.result
    assert result.model is not None
    assert result.model_sha256 == hashlib.sha256(result.model).hexdigest()
    assert np.array_equal(Interpreter(result.model).run(X), Interpreter(result.model).run(result.samples))
    assert result.model == calibrate_keras(model, X, progress=False).model
    calibrator.save(tmp_path / "c.npz")
    assert load_calibration(tmp_path / "c.npz").model == result.model


def test_fit_calibrates_once_at_its_end_with_the_trained_weights(conversions):
    model, calibrator = _compiled(), ActivationCalibrator(X, max_samples=4, progress=False)
    model.fit(X, Y, validation_data=(X, Y), epochs=2, callbacks=[calibrator], verbose=0)
    assert conversions == [(model, 1), (model, 4)]  # before training one sample, to see that it can be converted
    assert calibrator.result.model == calibrate_keras(model, X, max_samples=4, progress=False).model
    assert len(calibrator.result.samples) == 4


def test_the_same_weights_are_calibrated_once_and_others_anew(conversions):
    model, calibrator = _compiled(), ActivationCalibrator(X[:4], progress=False)
    model.predict(X, callbacks=[calibrator], verbose=0)
    first = calibrator.result
    model.evaluate(X, Y, callbacks=[calibrator], verbose=0)
    assert calibrator.result is first and len(conversions) == 1
    model.get_layer("stem").bias.assign_add([0.5] * 4)
    model.evaluate(X, Y, callbacks=[calibrator], verbose=0)
    assert calibrator.result is not first and len(conversions) == 2
    assert calibrator.result.model != first.model


def test_runs_give_what_they_give_without_it():
    x, y = X[:8], Y[:8]
    plain, watched = _compiled(), _compiled()
    calibrator = ActivationCalibrator(x, progress=False)
    histories = []
    for model, callbacks in ((plain, []), (watched, [calibrator])):
        history = model.fit(x, y, epochs=2, shuffle=False, callbacks=callbacks, verbose=0).history
        scores = model.evaluate(x, y, callbacks=callbacks, verbose=0)
        outputs = model.predict(x, callbacks=callbacks, verbose=0)
        histories.append((history, scores, outputs.tobytes()))
    assert histories[0] == histories[1]
    for a, b in zip(plain.get_weights(), watched.get_weights(), strict=True):
        assert np.array_equal(a, b)


class _Interrupt(keras.callbacks.Callback):
    def on_epoch_end(self, epoch, logs=None):
        raise RuntimeError("interrupted")


def test_an_interrupted_fit_does_not_count_and_does_not_block(conversions):
    model, calibrator = _compiled(), ActivationCalibrator(X[:4], progress=False)
    with pytest.raises(RuntimeError, match="interrupted"):
        model.fit(X, Y, callbacks=[calibrator, _Interrupt()], verbose=0)
    assert conversions == [(model, 1)]
    model.evaluate(X, Y, callbacks=[calibrator], verbose=0)
    assert conversions == [(model, 1), (model, 4)]


def test_data_that_do_not_fit_are_refused_before_training(conversions):
    model = _compiled()
    before = model.get_weights()
    with pytest.raises(UsageError, match="representative_data has shape"):
        model.fit(X, Y, callbacks=[ActivationCalibrator(X[:, :5])], verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))
    assert not conversions


@pytest.mark.parametrize(
    "data, keywords, sentence",
    [
        (X[:0], {}, "representative_data has shape"),
        ("c.npz", {}, "representative_data has shape"),
        (X, {"max_samples": 0}, "max_samples is 0"),
    ],
)
def test_arguments_that_make_no_sense_are_refused_at_once(data, keywords, sentence):
    with pytest.raises(UsageError, match=sentence):
        ActivationCalibrator(data, **keywords)


class _RestoresWeights(keras.callbacks.Callback):
    """Gives the first epoch's weights back at the end, as EarlyStopping does with the best ones."""

    def on_epoch_end(self, epoch, logs=None):
        if epoch == 0:
            self.kept = self.model.get_weights()

    def on_train_end(self, logs=None):
        self.model.set_weights(self.kept)


@pytest.mark.parametrize("is_last, num_calibrations", [(True, 1), (False, 2)])
def test_weights_that_are_restored_behind_it_are_calibrated(conversions, is_last, num_calibrations):
    model, calibrator = _compiled(), ActivationCalibrator(X[:4], progress=False)
    callbacks = [calibrator, _RestoresWeights()]
    model.fit(X, Y, epochs=2, callbacks=callbacks[::-1] if is_last else callbacks, verbose=0)
    result = calibrator.result
    assert result.weights_sha256 == weights_sha256(model)
    assert conversions == [(model, 1)] + [(model, 4)] * num_calibrations
    assert calibrator.result is result


def _with_loop() -> keras.Model:
    steps = keras.layers.Reshape((8, 12))
    model = keras.Sequential([steps, keras.layers.GRU(2, name="memory"), keras.layers.Dense(3)])
    model.compile(loss=keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    return model


def test_a_model_that_cannot_be_converted_is_refused_before_training():
    model = _with_loop()
    model.build((None, *X.shape[1:]))
    before = model.get_weights()
    with pytest.raises(UnsupportedModelError, match=r"layer 'memory' \(GRU, activation tanh\).*unroll=True"):
        model.fit(X, Y, callbacks=[ActivationCalibrator(X, progress=False)], verbose=0)
    assert all(np.array_equal(a, b) for a, b in zip(before, model.get_weights(), strict=True))


def test_a_training_is_not_lost_by_what_fails_after_it():
    model, calibrator = _with_loop(), ActivationCalibrator(X, progress=False)  # not built: nothing can be tried
    with pytest.warns(UserWarning, match="the model was not calibrated: .*unroll=True"):
        history = model.fit(X, Y, epochs=2, callbacks=[calibrator], verbose=0)
    assert len(history.history["loss"]) == 2
    with pytest.raises(UnsupportedModelError, match="unroll=True"):
        _ = calibrator.result


def test_layers_that_stay_in_float32_are_named_with_what_to_use_in_their_place():
    x = keras.Input(X.shape[1:])
    model = keras.Model(x, keras.layers.Dense(3)(keras.layers.Flatten()(_KeepsFloat(name="kept")(x))))
    with pytest.raises(UnsupportedModelError, match=r"no int8 form of layer 'kept' \(_KeepsFloat\) and leaves its"):
        calibrate_keras(model, X, progress=False)


class _KeepsFloat(keras.layers.Layer):
    """Uses an operation that TFLite has in float32 alone, and TFLM not at all."""

    def call(self, x):
        return keras.ops.sign(x * 3.0)
