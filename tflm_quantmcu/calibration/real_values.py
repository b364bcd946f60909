"""Counts the values of feature maps in the unquantised network, in parallel.

In: a float32 `.tflite` and real samples. Out: a RealHistogram a map, the same in however many pieces it was counted.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from tflm_quantmcu.base.resumable_sums import Arrays, ResumableSums
from tflm_quantmcu.calibration.calibrate import split_samples
from tflm_quantmcu.calibration.real_histogram import RealHistogram
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.tflite.model_file import AnyModel, ModelFile


def count_real_values(
    model: AnyModel, inputs: np.ndarray, maps: Sequence[int], sums: ResumableSums
) -> dict[int, RealHistogram]:
    """Runs samples through a float32 network.

    Args:
      model: the `.tflite`.
      inputs: float32 [N, ...].
      maps: tensor indices, at least one.
      sums: does the work.

    Raises:
      UnsupportedModelError: TFLM does not run the model.
    """
    file = ModelFile.of(model)
    chunks = [_Chunk(file, part, tuple(maps)) for part in split_samples(inputs)]
    return dict(zip(maps, _unstack(sums.sum("finding ranges", _count, chunks, _add)), strict=True))


@dataclasses.dataclass(frozen=True, eq=False)
class _Chunk:
    model: ModelFile
    inputs: np.ndarray
    maps: tuple[int, ...]


def _count(chunk: _Chunk) -> Arrays:
    interpreter = Interpreter(chunk.model, preserve_all_tensors=True)
    found: list[RealHistogram] = []
    for sample in chunk.inputs:
        interpreter.invoke(sample)
        seen = [RealHistogram.of(interpreter.tensor(t)) for t in chunk.maps]
        found = [a + b for a, b in zip(found, seen, strict=True)] if found else seen
    return _stack(found)


def _add(a: Arrays, b: Arrays) -> Arrays:
    return _stack([x + y for x, y in zip(_unstack(a), _unstack(b), strict=True)])


def _stack(histograms: Sequence[RealHistogram]) -> Arrays:
    return {
        "counts": np.stack([h.counts for h in histograms]),
        "exponents": np.array([h.exponent for h in histograms]),
        "ends": np.array([(h.low, h.high) for h in histograms]),
    }


def _unstack(arrays: Arrays) -> list[RealHistogram]:
    columns = (arrays[name].tolist() for name in ("exponents", "ends"))
    return [RealHistogram(c, e, *ends) for c, e, ends in zip(arrays["counts"], *columns, strict=True)]
