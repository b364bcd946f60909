"""A Keras callback that calibrates: the model's int8 `.tflite` and the statistics of its feature maps."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np

from tflm_quantmcu.base.errors import UnsupportedModelError, UsageError
from tflm_quantmcu.calibration.calibrated import calibrate_int8
from tflm_quantmcu.calibration.calibration_file import save_calibration
from tflm_quantmcu.graph.calibration_result import OWN_FORMATS, CalibrationMethod, CalibrationResult
from tflm_quantmcu.keras_bridge.compare_with_keras import compare_with_keras
from tflm_quantmcu.keras_bridge.layer_remedies import float_remedy
from tflm_quantmcu.keras_bridge.to_tflite import check_representative_data, keras, keras_to_int8, weights_sha256
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.runtime.samples import choose_samples
from tflm_quantmcu.tflite.full_integer import require_full_integer
from tflm_quantmcu.tflite.reader import read_model


class ActivationCalibrator(keras.callbacks.Callback):
    """Calibrates a model at the end of `fit`, `evaluate` or `predict`.

    When the run that it was given to ends, it converts the model, with its weights of that moment, to an int8
    `.tflite` and runs the representative data through that on TFLM. Validation inside `fit` does not count as
    a run. Further runs with the same weights change nothing; with other weights they calibrate anew.

    Where the model is built, `fit` tries the conversion on one sample before it trains, and refuses a model that cannot
    be converted. What fails after training is kept for `result`: the training is not lost.

    Put it behind callbacks that change weights at the end, such as `EarlyStopping(restore_best_weights=True)`. In front
    of them it calibrates weights that are given up: `result` notices and calibrates the restored ones.

    It reads the model only: outputs, metrics, weights and the compiled state are those of a run without it. The
    data of the run itself are not looked at. Data that do not fit the model are refused when the run begins.
    A run that ends by an exception leaves the former result.
    """

    def __init__(
        self,
        representative_data: np.ndarray,
        *,
        calibration_method: str = "own",
        calibration_percentile: float = CalibrationMethod.percentile,
        max_samples: int = 256,
        seed: int = 0,
        n_jobs: int = -1,
        progress: bool = True,
    ) -> None:
        """Keeps the samples.

        Args:
          representative_data: [N, ...] inputs as the model was trained, float32.
          calibration_method, calibration_percentile: how ranges are chosen, see `options.Options`.
          max_samples: of more samples so many are drawn by `seed`.
          n_jobs: processes, as of `calibrate`.
          progress: a progress bar on standard error.

        Raises:
          UsageError: no samples, max_samples below 1, or another method or percentile.
        """
        super().__init__()
        x = np.asarray(representative_data)
        if x.ndim < 2 or not len(x):
            raise UsageError(f"representative_data has shape {x.shape}; needed are samples [N, ...]")
        self._samples = choose_samples(x, max_samples=max_samples, seed=seed)
        self._method = CalibrationMethod(calibration_method, calibration_percentile)
        self._n_jobs = n_jobs
        self._progress = progress
        self._is_fitting = False
        self._calibrated: str | None = None
        self._result: CalibrationResult | None = None
        self._error: Exception | None = None

    @property
    def result(self) -> CalibrationResult:
        """The latest calibration; its `model` is the int8 `.tflite`.

        If the weights have changed since the run ended, the model is calibrated anew first.

        Raises:
          UsageError: no run has ended yet.
          QuantMcuError: what the calibration at the end of the run failed by.
        """
        has_ended = self._result is not None or self._error is not None
        if has_ended and not self._is_fitting and _fingerprint(self.model) != self._calibrated:
            self._calibrate()
        if self._error is not None:
            raise self._error
        if self._result is None:
            raise UsageError(
                "the ActivationCalibrator has no result yet: give it to fit, evaluate or predict as "
                "callbacks=[calibrator] first"
            )
        return self._result

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes `result` to a file for `--calibration` and `load_calibration`."""
        save_calibration(self.result, path)

    def set_model(self, model: keras.Model) -> None:
        """Called once at the start of each outer run, also after one that ended by an exception."""
        super().set_model(model)
        self._is_fitting = False
        check_representative_data(model, self._samples)

    def on_train_begin(self, logs: Any = None) -> None:
        self._is_fitting = True
        if self.model.built:
            _try_conversion(self.model, self._samples[:1])

    def on_train_end(self, logs: Any = None) -> None:
        self._is_fitting = False
        self._calibrate()

    def on_test_end(self, logs: Any = None) -> None:
        self._calibrate()

    def on_predict_end(self, logs: Any = None) -> None:
        self._calibrate()

    def _calibrate(self) -> None:
        if self._is_fitting:
            return
        state = _fingerprint(self.model)
        if state == self._calibrated:
            return
        self._calibrated, self._error = state, None
        try:
            self._result = calibrate_keras(
                self.model, self._samples, method=self._method, n_jobs=self._n_jobs, progress=self._progress
            )
        except Exception as error:  # whatever it is, the run that has just ended must not be lost by it
            self._error = error
            warnings.warn(f"the model was not calibrated: {error}", stacklevel=2)


def calibrate_keras(
    model: keras.Model,
    representative_data: np.ndarray,
    *,
    method: CalibrationMethod = OWN_FORMATS,
    max_samples: int = 256,
    seed: int = 0,
    n_jobs: int = -1,
    progress: bool = True,
    checkpoint: str | os.PathLike[str] | None = None,
) -> CalibrationResult:
    """Converts a Keras model to int8 and calibrates that.

    Args:
      model: built, with one input.
      representative_data: [N, ...] real values as the model was trained.
      method, max_samples, seed, n_jobs, progress, checkpoint: as of `calibrate_int8`.

    Returns:
      The calibration; its `model` is the int8 `.tflite`, its `comparison` is with the Keras model.

    Raises:
      UsageError, UnsupportedModelError: see `keras_to_int8` and `calibrate_int8`.

    Warns:
      UserWarning: the int8 model and the Keras model, or the data, are beyond the limits of `keras_comparison`.
    """
    check_representative_data(model, representative_data)
    samples = choose_samples(representative_data, max_samples=max_samples, seed=seed)
    converted = keras_to_int8(model, samples)
    options: dict[str, Any] = {"method": method, "max_samples": max_samples, "n_jobs": n_jobs, "progress": progress}
    with _keras_words(model, converted):
        result = calibrate_int8(converted, samples, checkpoint=checkpoint, **options)
    measured = result.model or converted
    comparison = compare_with_keras(model, measured, representative_data)
    for sentence in comparison.warnings:
        warnings.warn(sentence, stacklevel=2)
    return dataclasses.replace(
        result,
        model=measured,
        weights_sha256=weights_sha256(model),
        comparison=comparison,
    )


@contextlib.contextmanager
def _keras_words(model: keras.Model, converted: bytes) -> Iterator[None]:
    """Names the Keras layer where the int8 `.tflite` of a model is refused for what is not int8 in it."""
    try:
        yield
    except UnsupportedModelError as error:
        remedy = float_remedy(model, read_model(converted))
        if remedy is None:
            raise
        raise FloatLayerError(f"the Keras model '{model.name}' is not full-integer: {remedy}") from error


class FloatLayerError(UnsupportedModelError):
    """A layer has no int8 form, whatever its weights are."""


def _try_conversion(model: keras.Model, sample: np.ndarray) -> None:
    """Refuses a model whose layers cannot be converted; what depends on weights that are not trained yet may pass."""
    converted = keras_to_int8(model, sample)
    try:
        with _keras_words(model, converted):
            require_full_integer(read_model(converted))
            Interpreter(converted)  # TFLM may not have what is left in float32
    except FloatLayerError:
        raise
    except UnsupportedModelError:
        pass


def _fingerprint(model: keras.Model) -> str:
    return f"{id(model)} {weights_sha256(model)}"
