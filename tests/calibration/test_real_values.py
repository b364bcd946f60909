"""Values of the unquantised network: all are counted, in any number of pieces and processes."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.networks import inverted_residual
from tflm_quantmcu.base.resumable_sums import ResumableSums
from tflm_quantmcu.calibration import calibrate
from tflm_quantmcu.calibration.real_histogram import RealHistogram
from tflm_quantmcu.calibration.real_model import RealModel
from tflm_quantmcu.calibration.real_values import count_real_values
from tflm_quantmcu.runtime.interpreter import Interpreter

REAL = RealModel(inverted_residual())
SHAPE = REAL.graph.tensors[REAL.graph.inputs[0]].shape[1:]
X = np.random.default_rng(2).normal(0, 1, (7, *SHAPE)).astype(np.float32)
MAPS = [op.outputs[0] for op in REAL.graph.ops]


def _count(n_jobs: int = 1) -> dict[int, RealHistogram]:
    return count_real_values(REAL.whole(), X, MAPS, ResumableSums(None, n_jobs=n_jobs, progress=False))


def _same(a: RealHistogram, b: RealHistogram) -> bool:
    return (a.exponent, a.low, a.high) == (b.exponent, b.low, b.high) and np.array_equal(a.counts, b.counts)


def test_every_value_of_every_map_is_counted():
    interpreter = Interpreter(REAL.whole(), preserve_all_tensors=True)
    values: dict[int, list[np.ndarray]] = {t: [] for t in MAPS}
    for sample in X:
        interpreter.invoke(sample)
        for t in MAPS:
            values[t].append(interpreter.tensor(t))
    found = _count()
    assert list(found) == MAPS
    assert all(_same(found[t], RealHistogram.of(np.concatenate(values[t]))) for t in MAPS)


@pytest.mark.parametrize("n_jobs", [1, 2])
def test_pieces_and_processes_give_the_same(monkeypatch, n_jobs):
    whole = _count()
    monkeypatch.setattr(calibrate, "CHUNK_SAMPLES", 2)
    assert all(_same(a, b) for a, b in zip(_count(n_jobs).values(), whole.values(), strict=True))
