"""What the TFLM wheel that Python finds first makes of a few small models.

A process of its own runs `python -m tests.support.wheel_outputs OUT.npz`, with a wheel's folder on PYTHONPATH.
"""

from __future__ import annotations

import sys

import numpy as np

from tests.support import networks
from tests.support.plans import mixed, split
from tests.support.streamed import streamed
from tflm_quantmcu.base.tflm_wheel import version
from tflm_quantmcu.converter.convert import convert_model
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.runtime.samples import random_samples
from tflm_quantmcu.tflite.reader import read_model


def outputs() -> dict[str, np.ndarray]:
    """The wheel's version; of each model its bytes, its outputs [N, 5] and the bytes of its non-persistent arena."""
    stock = networks.inverted_residual()
    graph = read_model(stock)
    plans = {"split": split(graph), "mixed": mixed(graph, seed=3), "streamed": streamed(mixed(graph, seed=5))}
    models = {"stock": stock, **{name: convert_model(stock, plan) for name, plan in plans.items()}}
    x = random_samples(graph.tensors[graph.inputs[0]], 4)
    found = {"version": np.array(version())}
    for name, model in models.items():
        interpreter = Interpreter(model)
        found[f"{name}: model"] = np.frombuffer(model, np.uint8)
        found[f"{name}: output"] = interpreter.run(x)
        found[f"{name}: arena"] = np.array(interpreter.allocations().non_persistent_bytes)
    return found


if __name__ == "__main__":
    np.savez(sys.argv[1], **outputs())  # type: ignore[arg-type]
