"""Stock TFLM, the voice that every 8-bit result must equal."""

from __future__ import annotations

import numpy as np
from tflite_micro import runtime

from tflm_quantmcu.tflite import schema


def run_stock(model: bytes, x: np.ndarray, *, arena_bytes: int = 1 << 20) -> list[np.ndarray]:
    """Runs a batch through the unchanged TFLM interpreter.

    Args:
      model: a `.tflite` with one input of batch 1.
      x: [N, ...], inputs in the model's input type.
      arena_bytes: size of the tensor arena.

    Returns:
      [N, ...] an output.
    """
    interpreter = runtime.Interpreter.from_bytes(model, arena_size=arena_bytes)
    samples = []
    for sample in x:
        interpreter.set_input(sample[None], 0)
        interpreter.invoke()
        samples.append([interpreter.get_output(i).copy() for i in range(_num_outputs(model))])
    return [np.concatenate(outputs) for outputs in zip(*samples, strict=True)]


def _num_outputs(model: bytes) -> int:
    return schema.Model.GetRootAsModel(model, 0).Subgraphs(0).OutputsLength()
