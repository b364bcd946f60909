"""The child's part of a conversion (native_converter.py): TensorFlow's own converter, in a process of its own.

It needs nothing of the user's code: a SavedModel holds a graph. Each line on stdin is a folder with `REQUEST`; the
child writes `CONVERTED` or `REFUSAL` into it and answers with a line on stdout. It ends with its stdin.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import tensorflow as tf

from tflm_quantmcu.keras_bridge.native_converter import CONVERTED, ONE_INPUT, REFUSAL, REQUEST, SAMPLES, SAVED_MODEL


def serve() -> None:
    """Converts until stdin ends."""
    answers = os.fdopen(os.dup(1), "w", encoding="utf-8")
    os.dup2(2, 1)  # what TensorFlow prints is no answer
    for line in sys.stdin:
        folder = Path(json.loads(line))
        try:
            (folder / CONVERTED).write_bytes(_convert(folder))
        except Exception as error:  # TensorFlow raises many kinds
            (folder / REFUSAL).write_text(str(error) or type(error).__name__, "utf-8")
        print("done", file=answers, flush=True)


def _convert(folder: Path) -> bytes:
    input_type = tf.as_dtype(json.loads((folder / REQUEST).read_text("utf-8"))["input_type"])
    with np.load(folder / SAMPLES, allow_pickle=False) as archive:
        samples = dict(archive)
    converter = tf.lite.TFLiteConverter.from_saved_model(str(folder / SAVED_MODEL))
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = input_type
    converter.inference_output_type = input_type
    converter.representative_dataset = lambda: _samples(samples)
    return converter.convert()


def _samples(arrays: dict[str, np.ndarray]) -> Iterator[list[np.ndarray] | dict[str, np.ndarray]]:
    """One sample after the other, as TFLiteConverter takes them."""
    for sample in zip(*arrays.values(), strict=True):
        batches = [values[None] for values in sample]
        yield batches if ONE_INPUT in arrays else dict(zip(arrays, batches, strict=True))


if __name__ == "__main__":
    serve()
