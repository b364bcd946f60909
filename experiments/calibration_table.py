"""Accuracy of a labelled model by calibration method and width of its feature maps, weights at 8 bits, on TFLM.

    python -m experiments.calibration_table --model m.tflite --calibration_data c.npz --data labelled.npz

One row a method; at 8 bits the int8 model itself, below every map that our kernels can hold has that width (search
uniform).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from absl import app, flags

from tflm_quantmcu.app import api, evaluation
from tflm_quantmcu.app.labelled import labelled_inputs, read_labelled
from tflm_quantmcu.base.errors import QuantMcuError
from tflm_quantmcu.base.files import read_bytes
from tflm_quantmcu.graph.calibration_result import CALIBRATION_METHODS
from tflm_quantmcu.graph.types import COMPENSATIONS
from tflm_quantmcu.tflite.reader import read_model

_MODEL = flags.DEFINE_string("model", None, "int8 .tflite, .keras or .h5.", required=True)
_CALIBRATION_DATA = flags.DEFINE_string("calibration_data", None, ".npz with x.", required=True)
_DATA = flags.DEFINE_string("data", None, ".npz with x and labels y.", required=True)
_METHODS = flags.DEFINE_list("methods", list(CALIBRATION_METHODS), "Calibration methods.")
_WIDTHS = flags.DEFINE_list("widths", ["8", "4"], "Widths of feature maps.")
_PERCENTILE = flags.DEFINE_float("calibration_percentile", 99.99, "As of convert.")
_COMPENSATION = flags.DEFINE_enum("compensation", "weights", COMPENSATIONS, "As of convert.")


def accuracies_of(method: str, widths: Sequence[int]) -> list[float]:
    """Accuracies of one method at these widths."""
    calibration = api.calibrate_model(
        _MODEL.value,
        _CALIBRATION_DATA.value,
        calibration_method=method,
        calibration_percentile=_PERCENTILE.value,
        progress=False,
    )
    int8 = calibration.model or read_bytes(_MODEL.value, "--model")
    options: dict[str, Any] = {"search": "uniform", "compensation": _COMPENSATION.value, "progress": False}
    models = [
        int8 if bits == 8 else api.convert(int8, calibration=calibration, activation_bits=bits, **options).model
        for bits in widths
    ]
    x, y = labelled_inputs(read_labelled(_DATA.value, "--data"), read_model(int8), "--data")
    return evaluation.accuracies(models, x, y)


def main(argv: list[str]) -> None:
    if len(argv) > 1:
        raise app.UsageError(f"'{argv[1]}' is not a flag")
    widths = [int(bits) for bits in _WIDTHS.value]
    print("| method | " + " | ".join(f"{bits} bits" for bits in widths) + " |")
    print("|---|" + "---|" * len(widths))
    for method in _METHODS.value:
        try:
            cells = [f"{100 * share:.2f} %" for share in accuracies_of(method, widths)]
        except QuantMcuError as error:
            raise SystemExit(f"{method}: {error}") from None
        print(f"| {method} | " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    app.run(main)
