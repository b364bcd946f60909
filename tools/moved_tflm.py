"""A copy of TFLM's sources in which all that stands in `tflite` below tensorflow/lite/micro stands in `tflite::micro`.

So newer versions of TFLM spell their names: the glue is tried on them while only the pinned sources can be had.

    python -m tools.moved_tflm --tflm_dir <checkout of tflite-micro> --output_dir <copy>
"""

from __future__ import annotations

import argparse
import re
import shutil
from collections.abc import Sequence
from pathlib import Path

_COPIED = ("tensorflow", "signal", "python/tflite_micro", "third_party")
_MOVED = ("tensorflow/lite/micro", "python/tflite_micro", "signal/micro")
_BRIDGE = "tflite_bridge"  # declares classes of tflite, which stay
_RULES = (
    (r"^namespace micro \{", "inline namespace kernels {"),  # what stands in tflite::micro already
    (r"^namespace tflite \{", "namespace tflite::micro {\nusing namespace tflite;"),
    (r"\btflite::(?=\w)(?!micro \{|GetTensorData<)", "tflite::micro::"),
    (r"\btflite::micro::micro::", "tflite::micro::"),
    (r"(?<![\w:])GetTensorData<", "tflite::GetTensorData<"),  # of a TfLiteTensor: the other is tflite::micro's
)


def moved(text: str) -> str:
    """A source with its names moved."""
    for pattern, replacement in _RULES:
        text = re.sub(pattern, replacement, text, flags=re.MULTILINE)
    return text


def move(tflm: Path, output: Path) -> None:
    """Writes the copy; what is there is replaced."""
    shutil.rmtree(output, ignore_errors=True)
    for folder in filter(lambda name: (tflm / name).is_dir(), _COPIED):
        shutil.copytree(tflm / folder, output / folder)
    for path in (p for folder in _MOVED for p in (output / folder).rglob("*") if _is_moved(p)):
        path.write_text(moved(path.read_text(encoding="utf-8")), encoding="utf-8")


def _is_moved(path: Path) -> bool:
    return path.suffix in (".h", ".cc") and path.parent.name != _BRIDGE


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="moved_tflm", description=__doc__.splitlines()[0])
    parser.add_argument("--tflm_dir", type=Path, required=True)
    parser.add_argument("--output_dir", type=Path, required=True)
    flags = parser.parse_args(arguments)
    move(flags.tflm_dir, flags.output_dir)


if __name__ == "__main__":
    main()
