"""Measures every int8 feature map of a model on samples, and keeps the result in a file.

In: an int8 `.tflite`, its graph and samples. Out: CalibrationResult: of each map a histogram of all its
values, which loses nothing, and where in the map values lie beyond z(phi) standard deviations. The
same inputs give the same result.
"""

from __future__ import annotations

import hashlib
import io
import os
import zipfile
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from tflm_quantmcu.errors import UnsupportedModelError, UsageError
from tflm_quantmcu.files import write_atomically
from tflm_quantmcu.outliers import PHIS, outlier_values
from tflm_quantmcu.progress import track
from tflm_quantmcu.runtime import Interpreter
from tflm_quantmcu.samples import choose_samples, to_model_input
from tflm_quantmcu.types import CalibrationResult, Format, ModelGraph, Tensor, TensorStats

FILE_VERSION = 1

# Of each tensor index the map's values in one run, as uint8 bins q + 128.
_Run = dict[int, np.ndarray]
# Runs of up to so many bytes are kept; of more, the samples run twice.
_KEPT_BYTES = 1 << 28


def calibrate(
    model: bytes,
    samples: np.ndarray,
    *,
    graph: ModelGraph,
    max_samples: int = 256,
    seed: int = 0,
    progress: bool = True,
) -> CalibrationResult:
    """Runs samples through a model and gathers the statistics of its int8 feature maps.

    Args:
      model: the int8 `.tflite`.
      samples: [N, ...], as `samples.to_model_input` takes them.
      graph: the model as read.
      max_samples: of more samples so many are drawn by `seed`.
      progress: a progress bar on standard error.

    Returns:
      Statistics of every int8 map with one scale that the model's ops write or that is its input.

    Raises:
      UsageError: samples that do not fit the model, or max_samples below 1.
      UnsupportedModelError: TFLM does not run the model, or it has not exactly one input.
    """
    if len(graph.inputs) != 1:
        raise UnsupportedModelError(f"the model has {len(graph.inputs)} inputs; supported is 1")
    chosen = choose_samples(samples, max_samples=max_samples, seed=seed)
    inputs = to_model_input(chosen, graph.tensors[graph.inputs[0]])
    interpreter = Interpreter(model, preserve_all_tensors=True)
    maps = _int8_maps(graph)
    num_bytes = len(inputs) * sum(t.num_bytes for t in maps)
    kept = list(_runs(interpreter, inputs, maps, progress)) if num_bytes <= _KEPT_BYTES else None
    histograms = _histograms(kept or _runs(interpreter, inputs, maps, progress), maps)
    outliers = _outlier_maps(kept or _runs(interpreter, inputs, maps, progress), maps, histograms)
    stats = {t.name: TensorStats(t.name, histograms[t.index], t.format, outliers.get(t.index)) for t in maps}
    return CalibrationResult(hashlib.sha256(model).hexdigest(), None, inputs, stats)


def save_calibration(result: CalibrationResult, path: str | os.PathLike[str]) -> None:
    """Writes a calibration as a compressed `.npz`.

    Raises:
      UsageError: the file cannot be written.
    """
    stats = list(result.stats.values())
    arrays: dict[str, Any] = {
        "version": np.int64(FILE_VERSION),
        "model_sha256": np.array(result.model_sha256),
        "samples": result.samples,
        "names": np.array([s.name for s in stats], np.str_),
        "histograms": np.array([s.histogram for s in stats], np.int64).reshape(-1, 256),
        "scales": np.array([s.format.scale for s in stats], np.float64),
        "zero_points": np.array([s.format.zero_point for s in stats], np.int64),
    }
    if result.model is not None:
        arrays["model"] = np.frombuffer(result.model, np.uint8)
    arrays |= {f"outliers_{i}": s.outliers for i, s in enumerate(stats) if s.outliers is not None}
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    write_atomically(path, buffer.getvalue())


def load_calibration(path: str | os.PathLike[str]) -> CalibrationResult:
    """Reads what `save_calibration` wrote.

    Raises:
      UsageError: no such file, or not a whole calibration of this version.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            arrays = dict(archive)
        version = int(arrays["version"])
        if version != FILE_VERSION:
            raise UsageError(f"{path} has version {version}; supported is {FILE_VERSION}")
        stats = [_stats_from(arrays, i) for i in range(len(arrays["names"]))]
        return CalibrationResult(
            model_sha256=str(arrays["model_sha256"]),
            model=arrays["model"].tobytes() if "model" in arrays else None,
            samples=arrays["samples"],
            stats={s.name: s for s in stats},
        )
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from None
    except (ValueError, TypeError, KeyError, IndexError, EOFError, zipfile.BadZipFile) as error:
        raise UsageError(
            f"{path} is not a whole calibration file ({error!r}); write it anew with `calibrate`"
        ) from None


def _stats_from(arrays: dict[str, np.ndarray], i: int) -> TensorStats:
    histogram = arrays["histograms"][i].astype(np.int64, casting="safe").reshape(256)
    outliers = arrays.get(f"outliers_{i}")
    if outliers is not None:
        outliers = outliers.astype(np.float32, casting="safe")
        if outliers.ndim != 3 or len(outliers) != len(PHIS):
            raise ValueError(f"outliers_{i} has shape {outliers.shape}")
    format = Format(8, float(arrays["scales"][i]), int(arrays["zero_points"][i]))
    return TensorStats(str(arrays["names"][i]), histogram, format, outliers)


def _int8_maps(graph: ModelGraph) -> list[Tensor]:
    """Feature maps that hold values after a run; optional or dangling tensors hold none."""
    written = [*graph.inputs, *(t for op in graph.ops for t in op.outputs)]
    tensors = (graph.tensors[t] for t in dict.fromkeys(written))
    return [t for t in tensors if t.dtype == "int8" and len(t.scales) == 1 and not t.is_constant]


def _runs(interpreter: Interpreter, inputs: np.ndarray, maps: Sequence[Tensor], progress: bool) -> Iterator[_Run]:
    for sample in track(inputs, "calibrating", progress=progress):
        interpreter.invoke(sample)
        yield {t.index: interpreter.tensor(t.index).view(np.uint8) ^ 0x80 for t in maps}


def _histograms(runs: Iterable[_Run], maps: Sequence[Tensor]) -> dict[int, np.ndarray]:
    histograms = {t.index: np.zeros(256, np.int64) for t in maps}
    for run in runs:
        for index, bins in run.items():
            histograms[index] += np.bincount(bins.ravel(), minlength=256)
    return histograms


def _outlier_maps(
    runs: Iterable[_Run], maps: Sequence[Tensor], histograms: dict[int, np.ndarray]
) -> dict[int, np.ndarray]:
    """Float32 [len(PHIS), H, W] of each [1, H, W, C] map: mean share of outliers."""
    counts = {t.index: np.zeros((len(PHIS), *t.shape[1:3]), np.int64) for t in maps if len(t.shape) == 4}
    # An outlier of one phi is one of every smaller phi: a value's level says of how many it is one.
    levels = {t: np.sum([outlier_values(histograms[t], phi) for phi in PHIS], axis=0, dtype=np.uint8) for t in counts}
    num_samples = 0
    for run in runs:
        num_samples += 1
        for t, count in counts.items():
            level = levels[t][run[t][0]]
            for k in range(level.max(initial=0)):
                count[k] += np.count_nonzero(level > k, axis=-1)
    channels = {t.index: t.shape[3] for t in maps if t.index in counts}
    return {t: (count / (num_samples * channels[t])).astype(np.float32) for t, count in counts.items()}
