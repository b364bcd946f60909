"""Runs every sample of a file through a model unsplit and split at 8 bits, on TFLM, and compares all output bytes.

python -m experiments.compare_with_stock --model m.tflite [--data x.npz] [--random 64] [--input streamed]
"""

from __future__ import annotations

import numpy as np
from absl import app, flags

import tflm_quantmcu as qm
from tflm_quantmcu.base.files import read_bytes
from tflm_quantmcu.runtime.samples import load_samples, random_samples, to_model_input
from tflm_quantmcu.stage.build import INPUT_MODES
from tflm_quantmcu.tflite.reader import read_model

_MODEL = flags.DEFINE_string("model", None, "int8 .tflite.", required=True)
_DATA = flags.DEFINE_string("data", None, ".npz with x.")
_RANDOM = flags.DEFINE_integer("random", 64, "Random samples to add.")
_SRAM_BYTES = flags.DEFINE_integer("sram_bytes", None, "Bound on RAM on a Cortex-M4; default the smallest.")
_INPUT = flags.DEFINE_enum("input", "resident", INPUT_MODES, "As of convert.")


def main(argv: list[str]) -> None:
    del argv
    model = read_bytes(_MODEL.value, "--model")
    graph = read_model(model)
    tensor = graph.tensors[graph.inputs[0]]
    x = random_samples(tensor, _RANDOM.value)
    if _DATA.value:
        x = np.concatenate([to_model_input(load_samples(_DATA.value, tensor)[0], tensor), x])
    options = {"activation_bits": 8, "weight_bits": 8, "sram_bytes": _SRAM_BYTES.value, "input": _INPUT.value}
    result = qm.convert(model, search="uniform", **options)
    stock, split = qm.Interpreter(model).run(x), qm.Interpreter(result.model).run(x)
    different = int((stock != split).reshape(len(x), -1).any(axis=1).sum())
    print(result.report)
    print(f"{len(x)} samples, {stock.size} output values, samples that differ: {different}")
    if different:
        raise SystemExit(5)


if __name__ == "__main__":
    app.run(main)
