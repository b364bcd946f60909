"""The curve accuracy against BitOPs of VDQS on a labelled model: lambda and phi swept, the default marked.

    python -m tools.vdqs_curve --model m.tflite --calibration_data c.npz --data labelled.npz --output curve.csv

Every point is a plan; its accuracy is that of the exact simulation (`simulate.py`, equal to TFLM in every byte).
"""

from __future__ import annotations

import csv
import io
from typing import Any

import numpy as np
from absl import app, flags

from tflm_quantmcu import api
from tflm_quantmcu.converter.reader import read_model
from tflm_quantmcu.files import read_bytes, write_atomically
from tflm_quantmcu.options import Options
from tflm_quantmcu.outliers import PHIS
from tflm_quantmcu.samples import load_samples, to_model_input
from tflm_quantmcu.simulate import simulate
from tflm_quantmcu.stage_program import build_program
from tflm_quantmcu.types import ModelGraph, PrecisionPlan

_MODEL = flags.DEFINE_string("model", None, "int8 .tflite.", required=True)
_CALIBRATION_DATA = flags.DEFINE_string("calibration_data", None, ".npz with x.", required=True)
_DATA = flags.DEFINE_string("data", None, ".npz with x and labels y.", required=True)
_OUTPUT = flags.DEFINE_string("output", None, "Where to write the curve (.csv).")
_SRAM_BYTES = flags.DEFINE_integer("sram_bytes", None, "Bound on the arena of the planned stage.")
_MIN_BITS = flags.DEFINE_integer("vdqs_min_bits", None, "As of convert.")
_BATCH = flags.DEFINE_integer("batch", 125, "Samples simulated at once.")

LAMBDAS = tuple(round(0.1 * n, 1) for n in range(1, 10))


def main(argv: list[str]) -> None:
    del argv
    data = read_bytes(_MODEL.value, "--model")
    graph = read_model(data)
    tensor = graph.tensors[graph.inputs[0]]
    x, y = load_samples(_DATA.value, tensor)
    assert y is not None, "--data needs labels y"
    q = to_model_input(x, tensor)
    calibration = api.calibrate_model(data, _CALIBRATION_DATA.value)
    base = api.plan(data, search="uniform", sram_bytes=_SRAM_BYTES.value)
    reference = (_accuracy(graph, base, q, y), _stage_bit_ops(graph, base))
    rows: list[dict[str, Any]] = []
    seen: dict[str, float] = {}
    default = Options()
    fixed: dict[str, Any] = {"sram_bytes": _SRAM_BYTES.value, "vdqs_min_bits": _MIN_BITS.value or default.vdqs_min_bits}
    for phi in PHIS:
        for weight in LAMBDAS:
            plan = api.plan(data, calibration=calibration, vdpc_phi=phi, vdqs_lambda=weight, **fixed)
            key = repr(plan.stages)
            if key not in seen:
                seen[key] = _accuracy(graph, plan, q, y)
            bit_ops = _stage_bit_ops(graph, plan)
            rows.append(
                {
                    "phi": phi,
                    "lambda": weight,
                    "outlier_patches": sum(
                        s.classes[k].name == "outlier" for s in plan.stages for row in s.patch_classes for k in row
                    ),
                    "accuracy": round(seen[key], 4),
                    "points_below_int8": round(100 * (reference[0] - seen[key]), 2),
                    "stage_bit_ops": bit_ops,
                    "times_fewer_bit_ops": round(reference[1] / bit_ops, 3),
                    "default": int((phi, weight) == (default.vdpc_phi, default.vdqs_lambda)),
                }
            )
            print(" ".join(f"{k}={v}" for k, v in rows[-1].items()), flush=True)
    print(f"int8: accuracy={reference[0]:.4f} stage_bit_ops={reference[1]}")
    if _OUTPUT.value:
        text = io.StringIO()
        writer = csv.DictWriter(text, rows[0])
        writer.writeheader()
        writer.writerows(rows)
        write_atomically(_OUTPUT.value, text.getvalue().encode())


def _accuracy(graph: ModelGraph, plan: PrecisionPlan, x: np.ndarray, y: np.ndarray) -> float:
    right = 0
    for start in range(0, len(x), _BATCH.value):
        values = simulate(graph, plan, x[start : start + _BATCH.value])
        scores = list(values.values())[-1]
        labels = y[start : start + _BATCH.value]
        right += int((scores.reshape(len(labels), -1).argmax(axis=1) == labels).sum())
    return right / len(x)


def _stage_bit_ops(graph: ModelGraph, plan: PrecisionPlan) -> int:
    return sum(
        build_program(graph, s, weight_bits=plan.weight_bits, formats=plan.formats).cost.bit_ops for s in plan.stages
    )


if __name__ == "__main__":
    app.run(main)
