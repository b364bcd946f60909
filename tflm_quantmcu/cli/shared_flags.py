"""Flags that several commands have."""

from __future__ import annotations

import dataclasses

from tflm_quantmcu.cli.command import OUTPUT, Flag
from tflm_quantmcu.search.options import Options

MODEL = Flag(
    "model",
    "Model: int8 .tflite, .keras, .h5 or a SavedModel folder.",
    "int8 .tflite, .keras, .h5, SavedModel folder",
)
CONVERTED = Flag("model", "Model: a converted or any int8 .tflite.", "a converted or any int8 .tflite")
DATA = Flag(
    "calibration_data",
    "Representative inputs: .npz with x [N, H, W, C].",
    "representative inputs: .npz with x [N, H, W, C]",
)
CALIBRATION = Flag(
    "calibration",
    "Saved calibration, as `calibrate` or ActivationCalibrator wrote it.",
    "saved calibration, in place of the inputs",
)
EVALUATION_DATA = Flag(
    "evaluation_data",
    "Labelled samples by which --max_accuracy_drop is kept: .npz with x and y. Judge the result by others.",
    "labelled samples: .npz with x and y",
)
CHECKPOINT = Flag(
    "checkpoint",
    "Where a long run keeps its state, so that the same command goes on after a kill; default <output>.checkpoint, "
    "deleted at the end.",
    group=OUTPUT,
)
KERAS_CODE = (
    Flag(
        "import",
        "Modules that define a Keras model's own layers; looked for in this folder too.",
        kind=list,
        default="",
        value="NAMES",
    ),
    Flag(
        "unsafe_lambda",
        "Runs the Python code that Lambda layers in the model file hold; if you trust it.",
        kind=bool,
        default=False,
    ),
)


def output(help: str, brief: str) -> Flag:
    return Flag("output", help, brief, group=OUTPUT)


def output_dir(help: str, brief: str, default: str | None = None) -> Flag:
    return Flag("output_dir", help, brief, default=default, group=OUTPUT, value="DIR")


ALL_OPTIONS = tuple(field.name for field in dataclasses.fields(Options))
