"""Calibrates an int8 model by any calibration method: new 8-bit formats if the method chooses some, then statistics."""

from __future__ import annotations

import dataclasses
import functools
import operator
import os
from collections.abc import Mapping, Sequence

import numpy as np

from tflm_quantmcu.base.checkpoint import Checkpoint
from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.base.resumable_sums import Arrays, ResumableSums
from tflm_quantmcu.calibration.calibrate import calibrate, require_one_input, worthwhile_jobs
from tflm_quantmcu.calibration.methods import wide_format
from tflm_quantmcu.calibration.real_model import RealModel
from tflm_quantmcu.calibration.real_values import count_real_values
from tflm_quantmcu.calibration.rescale import rescale_model
from tflm_quantmcu.calibration.unified_scale import layerwise_formats
from tflm_quantmcu.graph.calibration_result import OWN_FORMATS, CalibrationMethod, CalibrationResult
from tflm_quantmcu.graph.subgraphs import why_whole
from tflm_quantmcu.graph.types import Format
from tflm_quantmcu.lowering.format_groups import FormatGroup, free_groups
from tflm_quantmcu.runtime.samples import choose_samples, digest, to_model_input, to_real
from tflm_quantmcu.tflite.full_integer import require_source
from tflm_quantmcu.tflite.model_file import AnyModel, ModelFile


def calibrate_int8(
    model: AnyModel,
    samples: np.ndarray,
    *,
    method: CalibrationMethod = OWN_FORMATS,
    max_samples: int = 256,
    seed: int = 0,
    n_jobs: int = -1,
    progress: bool = True,
    checkpoint: str | os.PathLike[str] | None = None,
) -> CalibrationResult:
    """Calibrates a model.

    Args:
      model: the full-integer int8 `.tflite`.
      samples: [N, ...], as `samples.to_model_input` takes them.
      method: how ranges are chosen. All but `own` give the model new 8-bit formats first.
      max_samples, seed, n_jobs, progress: as of `calibrate`.
      checkpoint: file that keeps what was counted; after a kill the same call goes on from it. It stays.

    Returns:
      The calibration; its `model` is the model with new formats, if it has any.

    Raises:
      UsageError: samples that do not fit the model, max_samples below 1, or the checkpoint of another run.
      UnsupportedModelError: not such a model, TFLM does not run it, or cannot run it in float32 for new formats.
    """
    file = ModelFile.of(model)
    graph = file.graph
    require_source(graph)
    require_one_input(graph)
    if graph.subgraphs and method.name != "own":
        raise UnsupportedModelError(
            f"--calibration_method {method.name} changes formats inside of the network, and {why_whole(graph)}"
        )
    chosen = choose_samples(samples, max_samples=max_samples, seed=seed)
    inputs = to_model_input(chosen, graph.tensors[graph.inputs[0]])
    key = {
        "model": graph.sha256,
        "samples": digest(inputs),
        "calibration_method": dataclasses.asdict(method),
    }
    sums = ResumableSums(
        Checkpoint(checkpoint, key) if checkpoint is not None else None,
        n_jobs=worthwhile_jobs(graph, len(inputs), n_jobs),
        progress=progress,
    )
    if method.name == "own":
        return calibrate(file, inputs, max_samples=len(inputs), method=method, sums=sums)
    rescaled = ModelFile(rescale_model(file, _new_formats(file, inputs, method, sums)))
    result = calibrate(rescaled, inputs, max_samples=len(inputs), method=method, sums=sums)
    return dataclasses.replace(result, model=rescaled.data, source_sha256=graph.sha256)


def _new_formats(
    file: ModelFile, inputs: np.ndarray, method: CalibrationMethod, sums: ResumableSums
) -> Mapping[int, Format]:
    real = RealModel(file)
    groups = free_groups(real.graph)
    if not groups:
        return {}
    try:
        if method.name == "uspiq":
            return _formats_of(sums.sum("choosing scales by layers", _layerwise, [_Layerwise(file, groups, inputs)]))
        maps = [t for group in groups for t in group.computed]
        reals = to_real(inputs, real.graph.tensors[real.graph.inputs[0]])
        seen = count_real_values(real.whole(), reals, maps, sums)
    except UnsupportedModelError as error:
        raise UnsupportedModelError(
            f"--calibration_method {method.name} runs the network in float32: {error}; use --calibration_method own"
        ) from None
    formats = {
        group: wide_format(functools.reduce(operator.add, [seen[t] for t in group.computed]), method)
        for group in groups
    }
    return {t: format for group, format in formats.items() if format is not None for t in group.tensors}


@dataclasses.dataclass(frozen=True, eq=False)
class _Layerwise:
    """Work for one process, for one layer's scale waits for those before it."""

    model: ModelFile
    groups: Sequence[FormatGroup]
    inputs: np.ndarray


def _layerwise(task: _Layerwise) -> Arrays:
    formats = layerwise_formats(task.model, task.groups, task.inputs)
    return {
        "maps": np.array(list(formats), np.int64),
        "scales": np.array([f.scale for f in formats.values()]),
        "zero_points": np.array([f.zero_point for f in formats.values()], np.int64),
    }


def _formats_of(arrays: Arrays) -> dict[int, Format]:
    columns = (arrays[name].tolist() for name in ("maps", "scales", "zero_points"))
    return {t: Format(8, scale, zero_point) for t, scale, zero_point in zip(*columns, strict=True)}
