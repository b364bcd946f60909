"""The worked example of emitted TFLM projects: a small network, split and narrowed, ready for TFLM.

In: nothing. Out: one project a version below --output_dir (tflm_kernels/examples/hello_world/README.md).

    python -m tools.hello_world --output_dir build/hello_world
"""

from __future__ import annotations

import argparse
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

import tflm_quantmcu as qm
from tests.support.networks import inverted_residual
from tflm_quantmcu.runtime.samples import random_samples
from tflm_quantmcu.tflite.reader import read_model

# Version -> options of the conversion; None: the model as it is.
VERSIONS: Mapping[str, Mapping[str, object] | None] = {
    "stock": None,
    "split": {"search": "uniform", "activation_bits": 8, "weight_bits": 8},
    "narrow": {"search": "uniform", "activation_bits": 4, "weight_bits": 4},
}


def emit_versions(output_dir: Path, *, target: str = "tflm", core: str = "host") -> list[Path]:
    """Writes the project of each version; their folders."""
    model = inverted_residual()
    graph = read_model(model)
    samples = random_samples(graph.tensors[graph.inputs[0]], 16)
    folders = []
    for version, options in VERSIONS.items():
        converted = model if options is None else _convert(model, samples, options)
        project = qm.emit(
            converted, output_dir=output_dir / version, target=target, core=core, name="hello_world", bundle=False
        )
        folders.append(project.directory)
    return folders


def _convert(model: bytes, samples: np.ndarray, options: Mapping[str, object]) -> bytes:
    calibration = qm.calibrate_model(model, samples)
    return qm.convert(model, calibration=calibration, **options).model


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="hello_world", description=__doc__.splitlines()[0])
    parser.add_argument("--output_dir", type=Path, required=True)
    parser.add_argument("--target", choices=("tflm", "aot"), default="tflm")
    parser.add_argument("--core", default="host")
    flags = parser.parse_args(arguments)
    for folder in emit_versions(flags.output_dir, target=flags.target, core=flags.core):
        print(folder)


if __name__ == "__main__":
    main()
