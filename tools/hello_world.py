"""Emits a project of each model of tflm_kernels/examples/hello_world: as it is, split, and split with 4 bits.

python -m tools.hello_world --output_dir build/hello_world
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import tflm_quantmcu as qm

MODELS = Path(__file__).resolve().parents[1] / "tflm_kernels/examples/hello_world/models"
VERSIONS = ("int8", "split", "narrow")


def emit_versions(output_dir: Path, *, target: str = "tflm", core: str = "host") -> list[Path]:
    """Writes the project of each version; their folders."""
    folders = []
    for version in VERSIONS:
        model = (MODELS / f"hello_world_{version}.tflite").read_bytes()
        project = qm.emit(
            model, output_dir=output_dir / version, target=target, core=core, name="hello_world", bundle=False
        )
        folders.append(project.directory)
    return folders


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
