"""A Keras callback that calibrates: the model's int8 `.tflite` and the statistics of its feature maps."""

from __future__ import annotations

import dataclasses
import os
from typing import Any

import numpy as np

from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.calibration.calibrate import save_calibration
from tflm_quantmcu.calibration.calibrated import calibrate_int8
from tflm_quantmcu.graph.calibration_result import OWN_FORMATS, CalibrationMethod, CalibrationResult
from tflm_quantmcu.keras_bridge.to_tflite import check_representative_data, keras, keras_to_int8, weights_sha256
from tflm_quantmcu.runtime.samples import choose_samples


class ActivationCalibrator(keras.callbacks.Callback):
    """Calibrates a model at the end of `fit`, `evaluate` or `predict`.

    When the run that it was given to ends, it converts the model, with its weights of that moment, to an int8
    `.tflite` and runs the representative data through that on TFLM. Validation inside `fit` does not count as
    a run. Further runs with the same weights change nothing; with other weights they calibrate anew.

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

    @property
    def result(self) -> CalibrationResult:
        """The latest calibration; its `model` is the int8 `.tflite`.

        Raises:
          UsageError: no run has ended yet.
        """
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
        if state != self._calibrated:
            self._result = calibrate_keras(
                self.model, self._samples, method=self._method, n_jobs=self._n_jobs, progress=self._progress
            )
            self._calibrated = state


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
      The calibration; its `model` is the int8 `.tflite`.

    Raises:
      UsageError, UnsupportedModelError: see `keras_to_int8` and `calibrate_int8`.
    """
    check_representative_data(model, representative_data)
    samples = choose_samples(representative_data, max_samples=max_samples, seed=seed)
    converted = keras_to_int8(model, samples)
    result = calibrate_int8(
        converted,
        samples,
        method=method,
        max_samples=max_samples,
        n_jobs=n_jobs,
        progress=progress,
        checkpoint=checkpoint,
    )
    return dataclasses.replace(result, model=result.model or converted, weights_sha256=weights_sha256(model))


def _fingerprint(model: keras.Model) -> str:
    return f"{id(model)} {weights_sha256(model)}"
