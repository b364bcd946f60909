"""The user's model as the API takes it: read, made int8, calibrated, in its canonical form.

In: a keras.Model, a path or bytes, and data to calibrate on. Out: a Source, a CalibrationResult, or a Keras model.
"""

from __future__ import annotations

import dataclasses
import os
import pathlib
from typing import Any, Union

from tflm_quantmcu.base.errors import UnsupportedModelError, UsageError
from tflm_quantmcu.base.files import beside, read_bytes
from tflm_quantmcu.calibration.calibrate import require_one_input
from tflm_quantmcu.calibration.calibrated import calibrate_int8
from tflm_quantmcu.calibration.calibration_file import load_calibration, require_calibration_of
from tflm_quantmcu.graph.calibration_result import CalibrationResult
from tflm_quantmcu.graph.types import ModelGraph
from tflm_quantmcu.runtime.sample_sources import SampleSource, gather_samples
from tflm_quantmcu.runtime.samples import load_samples
from tflm_quantmcu.search.options import Options
from tflm_quantmcu.tflite.canonical.canonical import canonical
from tflm_quantmcu.tflite.full_integer import require_source
from tflm_quantmcu.tflite.model_file import ModelFile

Path = Union[str, "os.PathLike[str]"]
KERAS_SUFFIXES = (".keras", ".h5")
SOURCES = ".tflite, .keras, .h5 and SavedModel folders"
_BY_ONNX = "torch.onnx.export(model, x, 'm.onnx'), then `onnx2tf -i m.onnx -osd -o folder` writes a SavedModel folder"
# Suffix of a format of others -> how to get from it to one of ours.
_FOREIGN = {
    ".onnx": "`onnx2tf -i m.onnx -osd -o folder` writes a SavedModel folder",
    **dict.fromkeys((".pt", ".pth", ".pt2", ".safetensors"), _BY_ONNX),
    ".pb": "give the folder that a saved_model.pb lies in",
}


@dataclasses.dataclass(frozen=True, eq=False)
class Source:
    """The int8 model behind the user's `model` argument, in its canonical form."""

    model: ModelFile
    calibration: CalibrationResult | None

    @property
    def graph(self) -> ModelGraph:
        """The model's graph."""
        return self.model.graph


def calibrate_model(
    model: Any, calibration_data: SampleSource | Path, *, checkpoint: Path | None = None, **options: Any
) -> CalibrationResult:
    """Measures the feature maps of a model.

    Args:
      model, calibration_data: as of `plan`.
      checkpoint: file that keeps what was counted: a call that was killed goes on from it if made again. It stays.
      **options: `calibration_method`, `calibration_percentile`, `max_samples`, `seed`, `n_jobs` and `progress`.

    Returns:
      The calibration; its `model` holds the int8 `.tflite` that was made, of a Keras model or with new 8-bit formats.

    Raises:
      UsageError, UnsupportedModelError: see `tflm_quantmcu.base.errors`.
    """
    return _calibrate(_read(model), calibration_data, Options.of(options), checkpoint)


def keras_from_tflite(model: bytes | Path) -> Any:
    """An ordinary Keras model of an int8 `.tflite`, to fine-tune what has no Keras source.

    Weights are the dequantised ones; batch normalisation stays folded into them. It takes and gives real values.

    Args:
      model: the file's bytes or its path.

    Raises:
      UsageError: no such file.
      UnsupportedModelError: not a full-integer int8 model, or an op that Keras has no layer for; the sentence names it.
    """
    from tflm_quantmcu.keras_bridge.from_tflite import keras_from_graph  # TensorFlow takes seconds to import

    graph = ModelFile.of(model).graph
    require_source(graph)
    return keras_from_graph(graph)


def read_source(
    model: Any,
    calibration: CalibrationResult | Path | None,
    calibration_data: SampleSource | Path | None,
    options: Options,
    checkpoint: Path | None = None,
) -> Source:
    """The int8 model of `plan`'s first arguments, calibrated if there are data; arguments and errors as of `plan`."""
    kept = checkpoint and beside(checkpoint, ".calibration")
    if calibration is not None and not isinstance(calibration, CalibrationResult):
        calibration = load_calibration(calibration)
    model = _read(model)
    if calibration is None and not isinstance(model, ModelFile):
        several = _of_several_inputs(model, calibration_data)
        model, calibration_data = (several, None) if several else (model, calibration_data)
    if not isinstance(model, ModelFile):
        if calibration is None:
            if calibration_data is None:
                raise UsageError("a Keras model needs representative inputs: pass --calibration_data or --calibration")
            calibration = _calibrate(model, calibration_data, options, kept)
        model = _calibrated_model(model, calibration)
    require_source(model.graph)
    if calibration is None and calibration_data is not None:
        calibration = _calibrate(model, calibration_data, options, kept)
    if kept:
        pathlib.Path(kept).unlink(missing_ok=True)
    if calibration is None:
        return Source(canonical(model), None)
    if options.method.name not in ("own", calibration.method.name):
        raise UsageError(
            f"the calibration was made with --calibration_method {calibration.method.name}, not {options.method.name}; "
            "calibrate anew or drop the flag"
        )
    if calibration.model is not None and calibration.source_sha256 == model.sha256:
        model = ModelFile(calibration.model)
    if calibration.model_sha256 != model.sha256:
        raise UsageError("the calibration was made for another model; calibrate this one anew")
    model = canonical(model)
    require_calibration_of(calibration, model.graph)
    return Source(model, calibration)


def _of_several_inputs(model: Any, data: SampleSource | Path | None) -> ModelFile | None:
    """The int8 `.tflite` of a Keras model with several inputs, whose feature maps are not measured; None of others."""
    from tflm_quantmcu.keras_bridge.several_inputs import arrays_by_input, input_names
    from tflm_quantmcu.keras_bridge.to_tflite import several_inputs_to_int8  # TensorFlow takes seconds to import

    if len(input_names(model)) < 2 or data is None:
        return None
    return ModelFile(several_inputs_to_int8(model, arrays_by_input(model, data)))


def _calibrated_model(model: Any, calibration: CalibrationResult) -> ModelFile:
    """The int8 `.tflite` that a calibration made of a Keras model; refuses that of another, or of former weights."""
    from tflm_quantmcu.keras_bridge.to_tflite import weights_sha256  # TensorFlow takes seconds to import

    if calibration.model is None or calibration.weights_sha256 is None:
        raise UsageError("the calibration was made for a .tflite; calibrate the Keras model")
    if calibration.weights_sha256 != weights_sha256(model):
        raise UsageError(
            f"the calibration was made of other weights than the Keras model '{model.name}' has: of another model, or "
            "before it was trained on; calibrate it anew"
        )
    return ModelFile(calibration.model)


def _read(model: Any) -> Any:
    """The ModelFile of bytes or a path, a keras.Model, or the keras.Model of a path."""
    if isinstance(model, bytes):
        return ModelFile(model)
    if not isinstance(model, (str, os.PathLike)):
        return model
    path = pathlib.Path(model)
    if path.suffix in _FOREIGN:
        raise UnsupportedModelError(
            f"{path} is no format that is read here: supported are {SOURCES}; {_FOREIGN[path.suffix]}"
        )
    if path.suffix not in KERAS_SUFFIXES and not path.is_dir():
        return ModelFile(read_bytes(model, "--model"))
    from tflm_quantmcu.keras_bridge.load import load_keras  # TensorFlow takes seconds to import

    return load_keras(model)


def _calibrate(
    model: Any, calibration_data: SampleSource | Path, options: Options, checkpoint: Path | None = None
) -> CalibrationResult:
    inputs: dict[str, Any] = {
        "method": options.method,
        "max_samples": options.max_samples,
        "seed": options.seed,
        "n_jobs": options.n_jobs,
        "progress": options.progress,
        "checkpoint": checkpoint,
    }
    tensor = None
    if isinstance(model, ModelFile):
        require_source(model.graph)
        require_one_input(model.graph)
        tensor = model.graph.tensors[model.graph.inputs[0]]
    if isinstance(calibration_data, (str, os.PathLike)):
        x = load_samples(calibration_data, tensor)[0]
    else:
        rank, name = (len(tensor.shape), tensor.label) if tensor is not None else _keras_input(model)
        x = gather_samples(calibration_data, rank=rank, input_name=name, max_samples=options.max_samples)
    if tensor is not None:
        return calibrate_int8(model, x, **inputs)
    from tflm_quantmcu.keras_bridge.activation_calibrator import calibrate_keras  # TensorFlow takes seconds to import

    return calibrate_keras(model, x, **inputs)


def _keras_input(model: Any) -> tuple[int | None, str | None]:
    """Dimensions of a batch of a Keras model's first input and its layer's name, as far as the model says."""
    from tflm_quantmcu.keras_bridge.to_tflite import input_name  # TensorFlow takes seconds to import

    inputs = getattr(model, "inputs", None)
    return (len(inputs[0].shape) if inputs else None), input_name(model)
