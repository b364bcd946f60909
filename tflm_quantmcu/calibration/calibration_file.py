"""A calibration's file, `calibration.npz`: its one schema, writing and reading it, and whether it fits a model.

In: a CalibrationResult or a path. Out: the other one. Refuses unknown and missing arrays, other types and shapes before
they are unpacked, values that nothing could have counted, and what contradicts the model that it is used with.
"""

from __future__ import annotations

import hashlib
import io
import json
import os
import re
from typing import Any

import numpy as np

from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.base.files import write_atomically
from tflm_quantmcu.base.npz import Header, NpzFile, open_npz
from tflm_quantmcu.base.text import shown
from tflm_quantmcu.calibration.calibrate import calibrated_maps
from tflm_quantmcu.calibration.outliers import PHIS
from tflm_quantmcu.graph.calibration_result import CalibrationMethod, CalibrationResult, TensorStats
from tflm_quantmcu.graph.keras_comparison import KerasComparison
from tflm_quantmcu.graph.types import Format, ModelGraph, Tensor

FILE_VERSION = 2

_SHA256 = re.compile("[0-9a-f]{64}")
# Arrays by name: kind of type (numpy's letter) and shape; -1 is the number of feature maps, None any extent.
_TEXT: tuple[int | None, ...] = ()
_SCHEMA: dict[str, tuple[str, tuple[int | None, ...]]] = {
    "version": ("i8", ()),
    "model_sha256": ("U", _TEXT),
    "names": ("U", (-1,)),
    "histograms": ("i8", (-1, 256)),
    "scales": ("f8", (-1,)),
    "zero_points": ("i8", (-1,)),
    "method": ("U", _TEXT),
    "percentile": ("f8", ()),
    "source_sha256": ("U", _TEXT),
}
# Files that were written before there were these lack them.
_OPTIONAL: dict[str, tuple[str, tuple[int | None, ...]]] = {
    "weights_sha256": ("U", _TEXT),
    "comparison": ("U", _TEXT),
    "model": ("u1", (None,)),
}
_OUTLIERS = re.compile(r"outliers_(0|[1-9]\d{0,5})")


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
        "method": np.array(result.method.name),
        "percentile": np.float64(result.method.percentile),
        "source_sha256": np.array(result.source_sha256 or ""),
        "weights_sha256": np.array(result.weights_sha256 or ""),
        "comparison": np.array(json.dumps(result.comparison.as_dict()) if result.comparison else ""),
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
    remedy = f"{path} is not a whole calibration file"
    with open_npz(path, "a whole calibration file") as file:
        try:
            if "version" in file and file.headers["version"].shape == () and int(file["version"]) != FILE_VERSION:
                raise UsageError(f"{path} has version {file['version']}; supported is {FILE_VERSION}")
            _check_headers(file)
            return _result_of(file)
        except UsageError as error:
            if str(error).startswith(str(path)):
                raise
            raise UsageError(f"{remedy}: {error}; write it anew with `calibrate`") from None


def require_calibration_of(result: CalibrationResult, graph: ModelGraph) -> None:
    """Refuses a calibration that contradicts the model, in its canonical form, that it says it is of.

    Raises:
      UsageError: feature maps, formats, sizes, counts or samples are not the model's.
    """
    maps = {t.name: t for t in calibrated_maps(graph)}
    # Maps of the model as it was written may be gone from its canonical form.
    if unknown := [t.label for name, t in maps.items() if name not in result.stats]:
        raise UsageError(f"the calibration does not know the feature map '{unknown[0]}'; calibrate the model anew")
    source = graph.tensors[graph.inputs[0]]
    samples = result.samples
    if samples.dtype != source.dtype or samples.shape[1:] != source.shape[1:] or not len(samples):
        raise UsageError(
            f"the calibration has samples {samples.dtype} {samples.shape}, and the model takes {source.dtype} "
            f"{source.shape}; calibrate the model anew"
        )
    for name, tensor in maps.items():
        if contradiction := _contradiction(result.stats[name], tensor, len(samples)):
            raise UsageError(
                f"the calibration contradicts the model: '{tensor.label}' {contradiction}; calibrate the model anew"
            )


def _contradiction(stats: TensorStats, tensor: Tensor, num_samples: int) -> str | None:
    if stats.format != tensor.format:
        return f"has scale {stats.format.scale} and zero point {stats.format.zero_point}, not the model's"
    counted, expected = int(stats.histogram.sum()), num_samples * tensor.num_elements
    if counted != expected:
        return f"has {counted} values counted, and {num_samples} samples have {expected}"
    if stats.outliers is not None and (len(tensor.shape) != 4 or stats.outliers.shape[1:] != tensor.shape[1:3]):
        return f"has outliers at {stats.outliers.shape[1:]} places, and the shape {tensor.shape}"
    return None


def _check_headers(file: NpzFile) -> None:
    """Refuses a file by its headers, before anything is unpacked."""
    for name in (*_SCHEMA, "samples"):
        if name not in file:
            raise UsageError(f"it lacks {name}")
    num_maps = file.headers["names"].shape[0] if len(file.headers["names"].shape) == 1 else 0
    for name, header in file.headers.items():
        outliers = _OUTLIERS.fullmatch(name)
        if outliers is not None and int(outliers[1]) < num_maps:
            _check_header(name, header, "f4", (len(PHIS), None, None), num_maps)
        elif name in _SCHEMA or name in _OPTIONAL:
            _check_header(name, header, *{**_SCHEMA, **_OPTIONAL}[name], num_maps)
        elif name != "samples":
            raise UsageError(f"it has the unknown array {shown(name)}")
    samples = file.headers["samples"]
    if not samples.shape or samples.dtype.kind not in "iuf":
        raise UsageError(f"samples are {samples.dtype} {samples.shape}")


def _check_header(name: str, header: Header, kind: str, shape: tuple[int | None, ...], num_maps: int) -> None:
    wanted = tuple(num_maps if extent == -1 else extent for extent in shape)
    is_kind = header.dtype.kind == "U" if kind == "U" else header.dtype == np.dtype(kind)
    fits = len(wanted) == len(header.shape) and all(w in (None, h) for w, h in zip(wanted, header.shape, strict=True))
    if not is_kind or not fits:
        raise UsageError(f"{name} is {header.dtype} {header.shape}")


def _result_of(file: NpzFile) -> CalibrationResult:
    method = CalibrationMethod(str(file["method"]), float(file["percentile"]))
    columns = {name: file[name] for name in ("names", "histograms", "scales", "zero_points")}
    stats = [_stats_from(file, columns, i, method) for i in range(len(columns["names"]))]
    if len({s.name for s in stats}) < len(stats):
        raise UsageError("a feature map stands twice in it")
    kept = file.get("model")
    model = None if kept is None else kept.tobytes()
    sha256 = _digest(file, "model_sha256")
    if sha256 is None or (model is not None and hashlib.sha256(model).hexdigest() != sha256):
        raise UsageError("its model is not that of its SHA-256")
    comparison = str(file["comparison"]) if "comparison" in file else ""
    samples = file["samples"]
    if samples.dtype.kind == "f" and not np.isfinite(samples).all():
        raise UsageError("samples are not finite")
    return CalibrationResult(
        model_sha256=sha256,
        model=model,
        samples=samples,
        stats={s.name: s for s in stats},
        method=method,
        source_sha256=_digest(file, "source_sha256"),
        weights_sha256=_digest(file, "weights_sha256"),
        comparison=KerasComparison.from_json(comparison) if comparison else None,
    )


def _digest(file: NpzFile, name: str) -> str | None:
    digest = str(file[name]) if name in file else ""
    if digest and not _SHA256.fullmatch(digest):
        raise UsageError(f"{name} is {shown(digest)}; needed are 64 hexadecimal digits")
    return digest or None


def _stats_from(file: NpzFile, columns: dict[str, np.ndarray], i: int, method: CalibrationMethod) -> TensorStats:
    name, histogram = str(columns["names"][i]), columns["histograms"][i]
    if histogram.min() < 0 or not 0 < sum(histogram.tolist()) < 1 << 62:
        raise UsageError(f"the histogram of '{shown(name)}' counts less than nothing, or nothing")
    outliers = file.get(f"outliers_{i}")
    if outliers is not None and not ((outliers >= 0) & (outliers <= 1)).all():
        raise UsageError(f"outliers_{i} has shares outside 0 to 1")
    format = Format(8, float(columns["scales"][i]), int(columns["zero_points"][i]))
    return TensorStats(name, histogram, format, outliers, method)
