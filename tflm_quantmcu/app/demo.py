"""The package's own example: a small int8 network and a few samples, converted and run on TFLM without TensorFlow.

A classifier of handwritten digits on canvases of 96x96 pixels; `python -m tools.demo.train` made its files.
"""

from __future__ import annotations

import dataclasses
import os
import time
from pathlib import Path
from typing import Any

import numpy as np

from tflm_quantmcu.app import api
from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.base.files import write_atomically
from tflm_quantmcu.runtime.interpreter import Interpreter

FOLDER = Path(__file__).with_name("demo_data")
# In it. The first two also make up what a training of one's own writes.
WEIGHTS = "weights.npz"  # float32, one array a Keras variable, under its path
MODEL = "digits_int8.tflite"
SAMPLES = (
    "samples.npz"  # int8: calibration [M, 96, 96, 1]; x [N, 96, 96, 1] that were not trained on, their labels y [N]
)
SRAM_BYTES = "48KB"
_CALIBRATION, _LABELLED, _CONVERTED, _REPORT = "calibration.npz", "labelled.npz", "digits_qmcu.tflite", "report.html"


@dataclasses.dataclass(frozen=True, eq=False)
class Demo:
    """What `demo` did.

    Attributes:
      result: of the conversion.
      num_right: of the labelled samples, before and after.
      num_equal: of them, whose raw output bytes are the same before and after.
      num_samples: labelled samples.
      seconds: of the whole.
      report: path of the page.
      summary: all of this, and what to try next, as text.
    """

    result: api.ConversionResult
    num_right: tuple[int, int]
    num_equal: int
    num_samples: int
    seconds: float
    report: Path
    summary: str


def demo(output_dir: str | os.PathLike[str], **options: Any) -> Demo:
    """Converts the example for a core and a budget, runs it before and after on TFLM and writes the report.

    Args:
      output_dir: gets the model, its samples, the converted model and the report; made where it is missing.
      **options: `core`, `board`, `sram_bytes` (48 KB where it is not given) and `progress` of `api.convert`.

    Raises:
      UsageError: the folder cannot be written, or an option is none.
      BudgetError: the network does not fit; the sentence says what does.
    """
    start = time.monotonic()
    options = {"sram_bytes": SRAM_BYTES, **options}
    folder = Path(output_dir)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--output_dir {folder} cannot be written: {error.strerror or error}") from None
    model = (FOLDER / MODEL).read_bytes()
    with np.load(FOLDER / SAMPLES) as samples:
        calibration, x, y = (samples[name] for name in ("calibration", "x", "y"))
    write_atomically(folder / MODEL, model)
    _save(folder / _CALIBRATION, x=calibration)
    _save(folder / _LABELLED, x=x, y=y)
    result = api.convert(model, calibration_data=folder / _CALIBRATION, **options)
    result.save(folder / _CONVERTED)
    report = folder / _REPORT
    result.report.save_html(report)
    scores = [Interpreter(data).run(x).reshape(len(x), -1) for data in (model, result.model)]
    before, after = ([int(v) for v in (s.argmax(axis=1) == y)] for s in scores)
    done = Demo(
        result,
        num_right=(sum(before), sum(after)),
        num_equal=int((scores[0] == scores[1]).all(axis=1).sum()),
        num_samples=len(y),
        seconds=time.monotonic() - start,
        report=report,
        summary="",
    )
    return dataclasses.replace(done, summary=_summary(done, folder))


def _summary(done: Demo, folder: Path) -> str:
    """What came out, where it lies, and the commands that go on from there."""
    report = done.result.report
    before, after = (figures.arena_bytes for figures in (report.baseline, report.converted))
    core, converted = report.target.timed_core, folder / _CONVERTED
    return "\n".join(
        [
            "handwritten digits on canvases of 96x96 pixels, int8",
            f"  {report.headline}: {before:,} bytes before, {after:,} after ({report.sram_bytes:,} are allowed)",
            f"  {report.time}",
            f"  right on TFLM: {done.num_right[0]} of {done.num_samples} samples before, {done.num_right[1]} after; "
            f"equal in every output byte: {done.num_equal}",
            f"report, after {done.seconds:.0f} s: {done.report}",
            "What to try next:",
            f"  tflm_quantmcu inspect {converted} --memory",
            f"  tflm_quantmcu convert {folder / MODEL} --calibration_data {folder / _CALIBRATION} "
            f"--core cortex-{core} --sram_bytes 32KB --output {folder}/smaller.tflite",
            f"  tflm_quantmcu evaluate {converted} --data {folder / _LABELLED}",
            f"  tflm_quantmcu emit {converted} --inputs {folder / _LABELLED} --output_dir {folder}/project "
            f"&& make -C {folder}/project test",
            "  tflm_quantmcu convert YOUR.keras --calibration_data x.npz --sram_bytes 64KB --output yours.tflite",
        ]
    )


def _save(path: Path, **arrays: np.ndarray) -> None:
    with open(path, "wb") as file:
        np.savez_compressed(file, **arrays)
