"""Maps come from fast kernels where these give TFLM's bytes, and from TFLM where not."""

from __future__ import annotations

from unittest import mock

import numpy as np
import pytest

from tests.support import shared_data
from tflm_quantmcu.calibration import map_runs
from tflm_quantmcu.calibration.calibrate import calibrate, calibrated_maps
from tflm_quantmcu.calibration.map_runs import MapRuns
from tflm_quantmcu.host.kernels import HOST_LAWS
from tflm_quantmcu.tflite.canonical.canonical import canonical
from tflm_quantmcu.tflite.model_file import ModelFile

RNG = np.random.default_rng(7)
FILE = canonical(ModelFile.of(shared_data.model("kws_dscnn_int8")))
MAPS = [t.index for t in calibrated_maps(FILE.graph)]
X = RNG.integers(-128, 128, (5, *FILE.graph.tensors[FILE.graph.inputs[0]].shape[1:]), np.int8)


def test_both_ways_give_the_same_maps() -> None:
    host, tflm = (MapRuns(FILE, tuple(MAPS), on_host) for on_host in (True, False))
    for ours, theirs in zip(host(X), tflm(X), strict=True):
        for a, b in zip(ours, theirs, strict=True):
            np.testing.assert_array_equal(a, b)
    assert MapRuns.of(FILE, MAPS, X).on_host


def test_few_samples_at_a_time_change_nothing(monkeypatch) -> None:
    host = MapRuns(FILE, tuple(MAPS), True)
    together = list(host(X))
    monkeypatch.setattr(map_runs, "_BYTES_AT_ONCE", 1)
    assert all(np.array_equal(a, b) for x, y in zip(together, host(X), strict=True) for a, b in zip(x, y, strict=True))


@pytest.mark.parametrize("kind", ("CONV_2D", "DEPTHWISE_CONV_2D"))
def test_a_kernel_that_differs_in_a_byte_is_noticed_and_not_used(kind) -> None:
    def broken(call):
        y = HOST_LAWS[kind](call)
        y.flat[0] ^= 1
        return y

    whole = calibrate(FILE, X, progress=False)
    with mock.patch.object(map_runs, "HOST_LAWS", {**HOST_LAWS, kind: broken}):
        assert not MapRuns.of(FILE, MAPS, X).on_host
        again = calibrate(FILE, X, progress=False)
    assert all(np.array_equal(whole.stats[n].histogram, again.stats[n].histogram) for n in whole.stats)


def test_an_op_that_no_kernel_here_knows_leaves_all_to_tflm() -> None:
    with mock.patch.object(map_runs, "known_maps", return_value=set()):
        assert not MapRuns.of(FILE, MAPS, X).on_host
