"""A calibration's file: what it may hold, and that it must agree with the model that it is used with."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest

import tflm_quantmcu as qm
from tests.support.networks import inverted_residual
from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.calibration.calibrate import calibrate
from tflm_quantmcu.calibration.calibration_file import load_calibration, save_calibration
from tflm_quantmcu.graph.calibration_result import CalibrationResult
from tflm_quantmcu.graph.types import Format

MODEL = inverted_residual(size=6, channels=2)
SAMPLES = np.random.default_rng(0).integers(-128, 128, (3, 6, 6, 3), np.int8)
RESULT = calibrate(MODEL, SAMPLES, progress=False)
FIRST = next(iter(RESULT.stats))


def saved(path, **changes: object) -> object:
    """The file with some arrays changed; None takes one out."""
    save_calibration(RESULT, path)
    with np.load(path) as archive:
        arrays = {**dict(archive), **changes}
    np.savez(path, **{name: array for name, array in arrays.items() if array is not None})
    return path


def first(name: str, value: object) -> np.ndarray:
    """An array of the file with another first value."""
    arrays = {
        "scales": np.array([s.format.scale for s in RESULT.stats.values()]),
        "histograms": np.array([s.histogram for s in RESULT.stats.values()]),
        "outliers_0": RESULT.stats[FIRST].outliers.copy(),
        "names": np.array(list(RESULT.stats)),
    }
    arrays[name].flat[0] = value
    return arrays[name]


COMPARISON = {"num_samples": 1, "outputs": [], "data_range": [0, 1], "input_range": [0, 1], "saturated_share": 0}


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"color": np.zeros(3)}, "unknown array 'color'"),
        ({"outliers_99": RESULT.stats[FIRST].outliers}, "unknown array 'outliers_99'"),
        ({"samples": None}, "it lacks samples"),
        ({"samples": np.array("x")}, "samples are <U1"),
        ({"scales": first("scales", np.nan)}, "scale is nan"),
        ({"scales": first("scales", np.inf)}, "scale is inf"),
        ({"scales": first("scales", -1)}, "scale is -1"),
        ({"scales": first("scales", 0.05).astype(np.float32)}, "scales is float32"),
        ({"zero_points": np.full(len(RESULT.stats), 1 << 40)}, "zero point 1099511627776 does not fit"),
        ({"histograms": first("histograms", -1)}, "counts less than nothing"),
        ({"histograms": np.zeros((len(RESULT.stats), 256), np.int64)}, "or nothing"),
        ({"outliers_0": first("outliers_0", np.nan)}, "shares outside 0 to 1"),
        ({"outliers_0": first("outliers_0", 1.5)}, "shares outside 0 to 1"),
        ({"names": np.array([FIRST] * len(RESULT.stats))}, "stands twice"),
        ({"model_sha256": np.array("\x1b[2J")}, r"model_sha256 is '\\x1b\[2J'; needed are 64"),
        ({"model_sha256": np.array("")}, "its model is not that of its SHA-256"),
        ({"model": np.frombuffer(b"another", np.uint8)}, "its model is not that of its SHA-256"),
        ({"percentile": np.float64(np.nan), "method": np.array("percentile")}, "--calibration_percentile is nan"),
        ({"percentile": np.array([99.0])}, r"percentile is float64 \(1,\)"),
        ({"comparison": np.array("{")}, "not JSON"),
        (
            {"comparison": np.array(json.dumps({**COMPARISON, "data_range": [0, float("inf")]}))},
            "Infinity is no number",
        ),
        ({"comparison": np.array(json.dumps({**COMPARISON, "outputs": [{"name": 1}]}))}, r"outputs\[0\]"),
    ],
)
def test_what_nothing_wrote_is_refused_by_name(tmp_path, changes, sentence):
    with pytest.raises(UsageError, match=f"c.npz is not a whole calibration file: .*{sentence}"):
        load_calibration(saved(tmp_path / "c.npz", **changes))


def contradicting(**changes: object) -> CalibrationResult:
    stats = dataclasses.replace(RESULT.stats[FIRST], **changes)
    return dataclasses.replace(RESULT, stats={**RESULT.stats, FIRST: stats})


@pytest.mark.parametrize(
    ("result", "sentence"),
    [
        (contradicting(format=Format(8, 0.07, 0)), f"'{FIRST}' has scale 0.07 and zero point 0, not the model's"),
        (contradicting(format=Format(8, RESULT.stats[FIRST].format.scale, 9)), "and zero point 9, not the model's"),
        (contradicting(histogram=2 * RESULT.stats[FIRST].histogram), "has 648 values counted, and 3 samples have 324"),
        (contradicting(outliers=np.zeros((5, 2, 2), np.float32)), "has outliers at"),
        (dataclasses.replace(RESULT, samples=SAMPLES[:2]), "has 324 values counted, and 2 samples have 216"),
        (dataclasses.replace(RESULT, samples=SAMPLES[:, :5]), "has samples int8 .*, and the model takes"),
        (dataclasses.replace(RESULT, samples=SAMPLES.astype(np.float32)), "has samples float32"),
        (dataclasses.replace(RESULT, samples=SAMPLES[:0]), "has samples int8"),
        (dataclasses.replace(RESULT, stats={}), f"does not know the feature map '{FIRST}'"),
    ],
)
@pytest.mark.parametrize("call", [qm.plan, qm.convert])
def test_a_calibration_that_contradicts_the_model_is_refused(call, result, sentence):
    with pytest.raises(UsageError, match=f"the calibration .*{sentence}"):
        call(MODEL, calibration=result, progress=False)
