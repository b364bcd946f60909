"""Writes the kernels as one Arduino library folder: library.properties and src/.

In: tflm_kernels/sources.txt and the headers that its files include. Out: a folder for Arduino's libraries/. Arduino
compiles every file below src/ for every core and knows no include path but src/, so files of one variant are
compiled to nothing on other cores.

    python -m tools.arduino_library --output_dir ~/Arduino/libraries/quantmcu

With --tflm the ops for TensorFlow Lite Micro are in it too; Arduino's library of that is then needed.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Sequence
from pathlib import Path

from tflm_quantmcu.converter.emit.bundle import headers_of

ROOT = Path(__file__).resolve().parent.parent
GUARDS = {
    "kernels": None,
    "plain": (
        "defined(__ARM_ARCH_PROFILE) && __ARM_ARCH_PROFILE == 'M' && "
        "!defined(__ARM_FEATURE_DSP) && !defined(__ARM_FEATURE_MVE)"
    ),
    "dsp": "defined(__ARM_FEATURE_DSP) && !defined(__ARM_FEATURE_MVE)",
    "mve": "defined(__ARM_FEATURE_MVE)",
}
_TFLM_GROUPS = ("program", "micro", "fast_ops")
# Arduino passes no macros to libraries.
_TFLM_MACROS = """#define QUANTMCU_USE_TFLM_HEADERS
#ifndef TF_LITE_STATIC_MEMORY
#define TF_LITE_STATIC_MEMORY
#endif
"""
_HEADER = "quantmcu.h"
_PROPERTIES = """name=quantmcu
version={version}
author=tflm_quantmcu maintainers
maintainer=tflm_quantmcu maintainers
sentence=Kernels of 8, 4 and 2 bits for CNNs that run patch by patch.
paragraph=Runs what tflm_quantmcu emits ahead of time: no interpreter, no heap, a static arena.
category=Data Processing
url=https://arxiv.org/abs/2401.13714
architectures=*
includes=quantmcu.h
"""


def library_files(root: Path = ROOT, *, with_tflm: bool = False) -> dict[str, str]:
    """The folder's files, name -> text."""
    first, *lines = (root / "tflm_kernels/sources.txt").read_text(encoding="utf-8").splitlines()
    sources = {}
    for group, name in (line.split() for line in lines):
        text = (root / "tflm_kernels" / name).read_text(encoding="utf-8")
        if group in GUARDS:
            sources[f"tflm_kernels/{name}"] = _guarded(text, GUARDS[group])
        elif with_tflm and group in _TFLM_GROUPS:
            sources[f"tflm_kernels/{name}"] = _TFLM_MACROS + text
    main_header = '#pragma once\n#include "tflm_kernels/aot/kernels.h"\n'
    if with_tflm:
        main_header += _TFLM_MACROS
        main_header += "".join(f'#include "tflm_kernels/micro/{name}.h"\n' for name in ("fast_ops", "register"))
    files = {**sources, **headers_of(root, [*sources.values(), main_header]), _HEADER: main_header}
    (version,) = re.findall(r"tflm_quantmcu ([\d.]+)", first)
    properties = {"library.properties": _PROPERTIES.format(version=version), "LICENSE": (root / "LICENSE").read_text()}
    return {f"src/{name}": text for name, text in files.items()} | properties


def _guarded(text: str, guard: str | None) -> str:
    return text if guard is None else f"#if {guard}\n{text}#endif\n"


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="arduino_library", description=__doc__.splitlines()[0])
    parser.add_argument("--output_dir", type=Path, required=True)
    parser.add_argument("--tflm", action="store_true", help="with the ops for TensorFlow Lite Micro")
    flags = parser.parse_args(arguments)
    for name, text in library_files(with_tflm=flags.tflm).items():
        path = flags.output_dir / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
