"""The Python interface: plan and convert. Each is one straight line through the other modules."""

from __future__ import annotations

import dataclasses
import os
import pathlib
from typing import Any, Union

import numpy as np

from tflm_quantmcu import report as reports
from tflm_quantmcu.arena import predict_arena
from tflm_quantmcu.calibrate import calibrate, load_calibration
from tflm_quantmcu.converter.convert import convert_model
from tflm_quantmcu.converter.reader import read_model, require_full_integer
from tflm_quantmcu.converter.verify import verify_conversion
from tflm_quantmcu.errors import BudgetError, UsageError
from tflm_quantmcu.files import read_bytes, write_atomically
from tflm_quantmcu.options import Options
from tflm_quantmcu.runtime import Interpreter
from tflm_quantmcu.samples import load_samples, random_samples, to_model_input
from tflm_quantmcu.search import run_search
from tflm_quantmcu.search.problem import SearchProblem
from tflm_quantmcu.types import CalibrationResult, ModelGraph, PrecisionPlan

Path = Union[str, "os.PathLike[str]"]
KERAS_SUFFIXES = (".keras", ".h5")
VERIFY_SAMPLES = 4


@dataclasses.dataclass(frozen=True, eq=False)
class ConversionResult:
    """A converted model and its proof.

    Attributes:
      model: the `.tflite` bytes.
      plan: what was decided.
      report: bytes, work and checks before and after; printable, `save_html(path)`.
    """

    model: bytes
    plan: PrecisionPlan
    report: reports.ConversionReport

    def save(self, path: Path) -> None:
        """Writes the `.tflite` under a temporary name and renames it."""
        write_atomically(path, self.model)


@dataclasses.dataclass(frozen=True, eq=False)
class _Source:
    """The int8 model behind the user's `model` argument."""

    data: bytes
    graph: ModelGraph
    calibration: CalibrationResult | None

    def samples_of(self, tensor: int) -> np.ndarray:
        """Values of a feature map for the calibration samples, int8 [N, H, W, C]."""
        if self.calibration is None:
            raise UsageError("this search needs calibration: pass --calibration_data or --calibration")
        samples = self.calibration.samples
        if tensor in self.graph.inputs:
            return samples
        interpreter = Interpreter(self.data, preserve_all_tensors=True)
        values = []
        for sample in samples:
            interpreter.invoke(sample)
            values.append(interpreter.tensor(tensor)[0])
        return np.stack(values)

    def samples(self, count: int) -> np.ndarray:
        """`count` model inputs: of the calibration, else random."""
        if self.calibration is not None:
            return self.calibration.samples[:count]
        return random_samples(self.graph.tensors[self.graph.inputs[0]], count)


def plan(
    model: Any,
    *,
    calibration: CalibrationResult | Path | None = None,
    calibration_data: np.ndarray | Path | None = None,
    **options: Any,
) -> PrecisionPlan:
    """Decides stages and bit widths.

    Args:
      model: a keras.Model, a path (.keras, .h5, .tflite) or the bytes of a full-integer int8 `.tflite`.
      calibration: what `ActivationCalibrator.result` or `calibrate` gave, or its saved file.
      calibration_data: representative inputs [N, H, W, C] or an .npz with them as `x`; calibrated on when there is
        no `calibration`.
      **options: see `tflm_quantmcu.options.Options`.

    Raises:
      UsageError, UnsupportedModelError, BudgetError: see `tflm_quantmcu.errors`.
    """
    chosen = Options.of(options)
    source = _source(model, calibration, calibration_data, chosen)
    return _search(source, chosen)


def convert(
    model: Any,
    *,
    calibration: CalibrationResult | Path | None = None,
    calibration_data: np.ndarray | Path | None = None,
    plan: PrecisionPlan | Path | None = None,
    **options: Any,
) -> ConversionResult:
    """Converts a model, verifies it on TFLM and reports.

    Args:
      model, calibration, calibration_data, **options: as of `plan`.
      plan: use this plan (or its file) instead of searching.

    Raises:
      UsageError, UnsupportedModelError, BudgetError: see `tflm_quantmcu.errors`.
      VerificationError: the converted model does not compute what it must; nothing is returned.
    """
    chosen = Options.of(options)
    source = _source(model, calibration, calibration_data, chosen)
    if plan is None:
        plan = _search(source, chosen)
    elif not isinstance(plan, PrecisionPlan):
        plan = PrecisionPlan.from_json(read_bytes(plan, "--plan").decode("utf-8", "replace"))
    converted = convert_model(source.data, plan, strip_metadata=chosen.strip_metadata)
    _check_budget(converted, chosen)
    verification = verify_conversion(source.data, converted, plan, source.samples(VERIFY_SAMPLES))
    report = reports.build_report(source.data, converted, plan, verification)
    return ConversionResult(converted, plan, report)


def _search(source: _Source, options: Options) -> PrecisionPlan:
    problem = SearchProblem(
        graph=source.graph,
        budget=options.budget,
        calibration=source.calibration,
        samples_of=source.samples_of,
        parameters=options.parameters,
    )
    return run_search(options.search, problem)


def _check_budget(converted: bytes, options: Options) -> None:
    arena_bytes = predict_arena(read_model(converted))
    for flag, bound, found in (
        ("sram_bytes", options.sram_bytes, arena_bytes),
        ("flash_bytes", options.flash_bytes, len(converted)),
    ):
        if bound is not None and found > bound:
            raise BudgetError(
                f"--{flag} is {bound:,} and the smallest reached is {found:,} bytes; raise --{flag} or lower the widths"
            )


def calibrate_model(model: Any, calibration_data: np.ndarray | Path, **options: Any) -> CalibrationResult:
    """Measures the feature maps of a model.

    Args:
      model, calibration_data: as of `plan`.
      **options: `max_samples` and `seed`.

    Returns:
      The calibration; its `model` holds the int8 `.tflite` that was made from a Keras model.
    """
    chosen = Options.of(options)
    model = _read(model)
    if isinstance(model, bytes):
        return _calibrate(model, _read_samples(calibration_data, read_model(model)), chosen)
    return _calibrate_keras(model, calibration_data, chosen)


def _source(
    model: Any,
    calibration: CalibrationResult | Path | None,
    calibration_data: np.ndarray | Path | None,
    options: Options,
) -> _Source:
    if calibration is not None and not isinstance(calibration, CalibrationResult):
        calibration = load_calibration(calibration)
    model = _read(model)
    if not isinstance(model, bytes):
        if calibration is None:
            if calibration_data is None:
                raise UsageError("a Keras model needs representative inputs: pass --calibration_data or --calibration")
            calibration = _calibrate_keras(model, calibration_data, options)
        if calibration.model is None:
            raise UsageError("the calibration was made for a .tflite; calibrate the Keras model")
        model = calibration.model
    graph = read_model(model)
    require_full_integer(graph)
    if calibration is None and calibration_data is not None:
        calibration = _calibrate(model, _read_samples(calibration_data, graph), options)
    if calibration is not None and calibration.model_sha256 != graph.sha256:
        raise UsageError("the calibration was made for another model; calibrate this one anew")
    return _Source(model, graph, calibration)


def _read(model: Any) -> Any:
    """Bytes of a `.tflite`, a keras.Model, or the keras.Model of a path."""
    if not isinstance(model, (str, os.PathLike)):
        return model
    if pathlib.Path(model).suffix not in KERAS_SUFFIXES:
        return read_bytes(model, "--model")
    from tflm_quantmcu.keras_to_tflite import load_keras  # TensorFlow takes seconds to import

    return load_keras(model)


def _read_samples(calibration_data: np.ndarray | Path, graph: ModelGraph) -> np.ndarray:
    tensor = graph.tensors[graph.inputs[0]]
    if isinstance(calibration_data, np.ndarray):
        return to_model_input(calibration_data, tensor)
    return to_model_input(load_samples(calibration_data, tensor)[0], tensor)


def _calibrate(model: bytes, samples: np.ndarray, options: Options) -> CalibrationResult:
    graph = read_model(model)
    require_full_integer(graph)
    return calibrate(model, samples, graph=graph, max_samples=options.max_samples, seed=options.seed)


def _calibrate_keras(model: Any, calibration_data: np.ndarray | Path, options: Options) -> CalibrationResult:
    from tflm_quantmcu.activation_calibrator import calibrate_keras  # TensorFlow takes seconds to import

    x = calibration_data if isinstance(calibration_data, np.ndarray) else load_samples(calibration_data, None)[0]
    return calibrate_keras(model, x, max_samples=options.max_samples, seed=options.seed)
