"""Measures every int8 feature map of a model on samples.

In: an int8 `.tflite`, its graph and samples. Out: CalibrationResult: of each map a histogram of all its
values, which loses nothing, and where in the map values lie beyond z(phi) standard deviations. The
same inputs give the same result, wherever and in however many pieces they are measured.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np

from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.base.resumable_sums import Arrays, ResumableSums
from tflm_quantmcu.calibration.map_runs import MapRuns
from tflm_quantmcu.calibration.outliers import PHIS, outlier_values
from tflm_quantmcu.graph.calibration_result import OWN_FORMATS, CalibrationMethod, CalibrationResult, TensorStats
from tflm_quantmcu.graph.types import ModelGraph, Tensor
from tflm_quantmcu.lowering.network import LoweredNetwork
from tflm_quantmcu.runtime.samples import choose_samples, to_model_input
from tflm_quantmcu.tflite.canonical.canonical import canonical
from tflm_quantmcu.tflite.model_file import AnyModel, ModelFile

# Samples that are measured at a time, by one process.
CHUNK_SAMPLES = 8
# Below so much work, seconds of it, starting processes takes longer than they save.
_SMALL_MACS = 1 << 33


def calibrate(
    model: AnyModel,
    samples: np.ndarray,
    *,
    max_samples: int = 256,
    seed: int = 0,
    progress: bool = True,
    n_jobs: int = -1,
    method: CalibrationMethod = OWN_FORMATS,
    sums: ResumableSums | None = None,
) -> CalibrationResult:
    """Runs samples through a model and gathers the statistics of its int8 feature maps.

    Args:
      model: the int8 `.tflite`.
      samples: [N, ...], as `samples.to_model_input` takes them.
      max_samples: of more samples so many are drawn by `seed`.
      progress: a progress bar on standard error.
      n_jobs: processes; -1 is one a core where the work is worth it.
      method: by which formats below 8 bits are to be chosen; nothing that is measured depends on it.
      sums: does the work, in place of `progress` and `n_jobs`.

    Returns:
      Statistics of every int8 map with one scale that the ops of the model's canonical form write or that is its input.

    Raises:
      UsageError: samples that do not fit the model, or max_samples below 1.
      UnsupportedModelError: TFLM does not run the model, or it has not exactly one input.
    """
    file = canonical(ModelFile.of(model))
    graph = file.graph
    require_one_input(graph)
    chosen = choose_samples(samples, max_samples=max_samples, seed=seed)
    inputs = to_model_input(chosen, graph.tensors[graph.inputs[0]])
    sums = sums or ResumableSums(None, n_jobs=worthwhile_jobs(graph, len(inputs), n_jobs), progress=progress)
    maps = calibrated_maps(graph)
    runs = MapRuns.of(file, [t.index for t in maps], inputs)
    chunks = [_Chunk(runs, part) for part in split_samples(inputs)]
    counts = sums.sum("calibrating", _count_values, chunks)["counts"]
    histograms = {t.index: histogram for t, histogram in zip(maps, counts, strict=True)}
    outliers = _outlier_maps(sums, chunks, [t for t in maps if _is_image(t)], histograms)
    stats = {t.name: TensorStats(t.name, histograms[t.index], t.format, outliers.get(t.index), method) for t in maps}
    return CalibrationResult(file.sha256, None, inputs, stats, method)


def require_one_input(graph: ModelGraph) -> None:
    """Refuses to measure a model with several inputs.

    Raises:
      UnsupportedModelError: with the way to convert it without samples.
    """
    if len(graph.inputs) != 1:
        raise UnsupportedModelError(
            f"the model has {len(graph.inputs)} inputs, and feature maps are measured with one; give no calibration: "
            "all widths then stay at 8 bits"
        )


def split_samples(x: np.ndarray) -> list[np.ndarray]:
    """The samples [N, ...], of any dtype, in the pieces in which they are measured, whatever the number of
    processes."""
    return [x[i : i + CHUNK_SAMPLES] for i in range(0, len(x), CHUNK_SAMPLES)]


def worthwhile_jobs(graph: ModelGraph, num_samples: int, n_jobs: int) -> int:
    """`n_jobs`, or 1 where so many samples run faster than processes start."""
    return n_jobs if num_samples * LoweredNetwork.of(graph).total_macs > _SMALL_MACS else 1


def calibrated_maps(graph: ModelGraph) -> list[Tensor]:
    """The feature maps that are measured: those that hold values after a run, which optional ones may not."""
    written = [*graph.inputs, *(t for op in graph.ops for t in op.outputs)]
    tensors = (graph.tensors[t] for t in dict.fromkeys(written))
    return [t for t in tensors if t.dtype == "int8" and len(t.scales) == 1 and not t.is_constant]


@dataclasses.dataclass(frozen=True, eq=False)
class _Chunk:
    """Work for one process: samples, and what runs them.

    Attributes:
      levels: uint8 [maps, 256], of how many of PHIS each value is an outlier; None where only values are counted.
    """

    runs: MapRuns
    inputs: np.ndarray
    levels: np.ndarray | None = None

    def bins(self) -> Iterator[list[np.ndarray]]:
        """The maps' values for each sample, as uint8 bins q + 128."""
        for values in self.runs(self.inputs):
            yield [v.view(np.uint8) ^ 0x80 for v in values]


def _is_image(tensor: Tensor) -> bool:
    """Whether it is [1, H, W, C]: maps of several images stand in no stage."""
    return len(tensor.shape) == 4 and tensor.shape[0] == 1


def _count_values(chunk: _Chunk) -> Arrays:
    counts = np.zeros((len(chunk.runs.maps), 256), np.int64)
    for run in chunk.bins():
        for i, bins in enumerate(run):
            counts[i] += np.bincount(bins.ravel(), minlength=256)
    return {"counts": counts}


def _count_outliers(chunk: _Chunk) -> Arrays:
    """The outliers of each map, by its index: int64 [len(PHIS), H, W]."""
    assert chunk.levels is not None
    counts: dict[str, np.ndarray] = {}
    for run in chunk.bins():
        for t, bins, levels in zip(chunk.runs.maps, run, chunk.levels, strict=True):
            _, height, width, channels = bins.shape
            places = np.flatnonzero(_has_level(bins.ravel(), levels))  # few
            level, pixels = levels[bins.ravel()[places]], places // max(1, channels)
            count = counts.setdefault(str(t), np.zeros((len(PHIS), height, width), np.int64))
            for k in range(level.max(initial=0)):
                count[k] += np.bincount(pixels[level > k], minlength=height * width).reshape(height, width)
    return counts


def _has_level(bins: np.ndarray, levels: np.ndarray) -> np.ndarray:
    """Whether a value is an outlier of some phi, bool as uint8 [values]: those beyond a range are."""
    inner = np.flatnonzero(levels == 0)
    if not inner.size or np.ptp(inner) >= inner.size:
        return levels[bins] != 0
    return (bins - np.uint8(inner[0])) > np.uint8(np.ptp(inner))  # what is below wraps round


def _outlier_maps(
    sums: ResumableSums, chunks: list[_Chunk], maps: list[Tensor], histograms: dict[int, np.ndarray]
) -> dict[int, np.ndarray]:
    """Float32 [len(PHIS), H, W] of each [1, H, W, C] map: mean share of outliers."""
    if not maps:
        return {}
    # An outlier of one phi is one of every smaller phi: a value's level says of how many it is one.
    levels = np.stack(
        [np.sum([outlier_values(histograms[t.index], phi) for phi in PHIS], axis=0, dtype=np.uint8) for t in maps]
    )
    runs = dataclasses.replace(chunks[0].runs, maps=tuple(t.index for t in maps))
    items = [_Chunk(runs, c.inputs, levels) for c in chunks]
    counts = sums.sum("looking for outliers", _count_outliers, items)
    num_samples = sum(len(chunk.inputs) for chunk in chunks)
    return {t.index: (counts[str(t.index)] / (num_samples * t.shape[3])).astype(np.float32) for t in maps}
