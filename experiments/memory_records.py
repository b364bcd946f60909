"""The arena of well-known networks with streamed input, as TFLM records it, at several bounds on MACs.

    python -m experiments.memory_records [--models mobilenet_v2_0.35_144,mobilenet_v2_1.0_224] [--output_dir D]

Weights of the Keras networks are random, which bytes and MACs do not depend on. Every row is a converted model whose
outputs were compared byte for byte: at 8 bits with stock TFLM, below with the oracle. --output_dir keeps the int8
models, for other commands: `tools.crc_matrix` counts their instructions on a core, `convert` reports an estimate.
"""

from __future__ import annotations

import pathlib
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from absl import app, flags

import tflm_quantmcu as qm
from tflm_quantmcu.base.files import read_bytes, write_atomically

_MODELS = flags.DEFINE_list(
    "models", ["mobilenet_v2_0.35_144", "mobilenet_v2_1.0_224", "mcunet_vww80"], "Networks to run."
)
_OUTPUT_DIR = flags.DEFINE_string("output_dir", None, "Folder for the int8 models; None keeps none.")
_VWW = pathlib.Path(__file__).parents[2] / "shared/data/models/mcunet_vww80.tflite"
# Of the smallest arena at 4 bits this one map is the most.
_NARROW_END = [{"match": ".*block_16_project.*", "activation_bits": 2}]
_WAYS: Sequence[tuple[str, dict[str, Any]]] = (
    ("int8", {"max_macs_ratio": 1.0}),
    ("int8", {"max_macs_ratio": 1.05}),
    ("int8", {"max_macs_ratio": 1.1}),
    ("int8", {"max_macs_ratio": 1.3}),
    ("int8", {"max_macs_ratio": 2.0}),
    ("4-bit maps", {"activation_bits": 4, "max_macs_ratio": 1.0}),
)
_MIXED_WAYS: Sequence[tuple[str, dict[str, Any]]] = (
    ("4- and 2-bit maps", {"activation_bits": 4, "precision_overrides": _NARROW_END, "max_macs_ratio": 1.0}),
    ("4- and 2-bit maps", {"activation_bits": 4, "precision_overrides": _NARROW_END, "max_macs_ratio": 1.1}),
)


def _mobilenet_v2(alpha: float, size: int) -> bytes:
    from experiments.networks import mobilenet_v2  # TensorFlow takes seconds to import

    return mobilenet_v2(alpha, size)


_SOURCES: dict[str, Callable[[], bytes]] = {
    "mobilenet_v2_0.35_144": lambda: _mobilenet_v2(0.35, 144),
    "mobilenet_v2_1.0_224": lambda: _mobilenet_v2(1.0, 224),
    "mcunet_vww80": lambda: read_bytes(_VWW, "--models"),
}


def _row(name: str, model: bytes, what: str, options: dict[str, Any]) -> str:
    size = qm.Interpreter(model).inputs[0].shape[1:]
    x = np.random.default_rng(1).normal(size=(4, *size)).astype(np.float32)
    result = qm.convert(model, calibration_data=x, search="uniform", input="streamed", progress=False, **options)
    after, before = result.report.converted, result.report.baseline
    return (
        f"{name:22} {what:18} {options['max_macs_ratio']:5.2f} {after.cost.macs / before.cost.macs:8.3f} "
        f"{after.recorded_non_persistent_bytes:10,}   {result.report.verification.summary}"
    )


def main(argv: list[str]) -> None:
    del argv
    print(f"{'network':22} {'maps':18} {'bound':>5} {'MACs x':>8} {'arena, B':>10}")
    for name in _MODELS.value:
        if name not in _SOURCES:
            raise app.UsageError(f"--models: there is no {name}; there are {', '.join(_SOURCES)}")
        if name == "mcunet_vww80" and not _VWW.is_file():
            print(f"{name}: skipped, {_VWW} is missing")
            continue
        model = _SOURCES[name]()
        if _OUTPUT_DIR.value:
            folder = pathlib.Path(_OUTPUT_DIR.value)
            folder.mkdir(parents=True, exist_ok=True)
            write_atomically(folder / f"{name}.tflite", model)
        for what, options in (*_WAYS, *(_MIXED_WAYS if name == "mobilenet_v2_0.35_144" else ())):
            print(_row(name, model, what, options), flush=True)


if __name__ == "__main__":
    app.run(main)
