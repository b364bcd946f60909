"""mAP@0.5 of a small detector: in floats, at 8 bits by two ways to choose ranges, and mixed under each search, on TFLM.

    python -m experiments.detection.train
    python -m experiments.detection.table --output build/detection.csv

The detector of `network.py`, with the weights that `train.py` left, becomes an int8 `.tflite`; its maps
get formats by `--calibration_method` minmax and uspiq, from NUM_CALIBRATION canvases that it was trained on. From the
uspiq model each search makes mixed ones: as users call it, within parts of the int8 arena on the Cortex-M4; and in its
papers' setting with the bound on accuracy off, in which widths are lowered: vdqs for BitOPs, the others unsplit within
the smaller of these parts. Each runs NUM_TEST canvases with other digits on TFLM. A refusal is a row.
"""

from __future__ import annotations

import argparse
import dataclasses
import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from experiments.detection.network import STRIDES, kept_network
from experiments.detection.precision import mean_average_precision
from experiments.detection.scenes import SIDE, Scenes, scenes
from experiments.rows import csv_of
from tflm_quantmcu.app import api
from tflm_quantmcu.app.reserve import arena_bytes_on
from tflm_quantmcu.base.errors import BudgetError
from tflm_quantmcu.base.files import write_atomically
from tflm_quantmcu.graph.calibration_result import CalibrationResult
from tflm_quantmcu.graph.target import Target
from tflm_quantmcu.keras_bridge.to_tflite import keras_to_int8
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.runtime.samples import to_model_input, to_real
from tflm_quantmcu.tflite.reader import read_model

NUM_CALIBRATION, NUM_TEST, TEST_SEED = 256, 1_000, 1
SEARCHES = ("vdqs", "memory_driven", "rl", "hybrid")
PARTS = (0.5, 0.3)  # of the int8 arena
_OFF = {"max_accuracy_drop": "off"}
PAPERS: Mapping[str, dict[str, Any]] = {
    "vdqs": {"objective": "bit_ops", "vdqs_min_weight_bits": 4, **_OFF},
    **{search: {"split": "off", **_OFF} for search in SEARCHES[1:]},
}


@dataclasses.dataclass(frozen=True)
class DetectionRow:
    """A model and how well it detects; what is not known is None."""

    model: str
    search: str = ""
    sram_bytes: int | None = None
    arena_bytes: int | None = None
    milliseconds: float | None = None
    bit_ops: int | None = None
    precision: float | None = None
    points: float | None = None
    seconds: float | None = None
    refused: str = ""


class Detector:
    """The float network and the canvases that calibrate and test it."""

    def __init__(self, num_test: int) -> None:
        self._keras = kept_network()
        self._test = scenes(num_test, seed=TEST_SEED, is_test=True)
        self._samples = scenes(NUM_CALIBRATION, seed=0, is_test=False).x
        told = self._keras.predict(self._test.x, batch_size=64, verbose=0)
        self._float = mean_average_precision(told, self._test)
        self._int8 = keras_to_int8(self._keras, self._samples)

    def rows(self, searches: Sequence[str]) -> Iterator[DetectionRow]:
        """All rows, float first."""
        yield DetectionRow("float", precision=round(self._float, 2))
        yield self._judged(DetectionRow("int8, as TensorFlow made it"), self._int8)
        for method in ("minmax", "uspiq"):
            calibration = api.calibrate_model(
                self._int8, self._samples, calibration_method=method, n_jobs=1, progress=False
            )
            assert calibration.model is not None
            yield self._judged(DetectionRow(f"int8 {method}"), calibration.model)
        for search in searches:
            yield from self._mixed(search, calibration)

    def _mixed(self, search: str, calibration: CalibrationResult) -> Iterator[DetectionRow]:
        arena = arena_bytes_on(read_model(self._int8), Target()).reserved_bytes
        for part in PARTS:
            row = DetectionRow(f"mixed, {part:g} of the arena", search, int(part * arena))
            yield self._converted(row, calibration, {})
        row = DetectionRow(f"mixed, papers' setting, {PARTS[1]:g}", search, int(PARTS[1] * arena))
        yield self._converted(row, calibration, PAPERS[search])

    def _converted(self, row: DetectionRow, calibration: CalibrationResult, options: Mapping[str, Any]) -> DetectionRow:
        start = time.process_time()
        try:
            result = api.convert(
                self._int8,
                calibration=calibration,
                search=row.search,
                sram_bytes=row.sram_bytes,
                progress=False,
                n_jobs=1,
                **options,
            )
        except BudgetError as error:
            return dataclasses.replace(row, refused=str(error), seconds=round(time.process_time() - start, 1))
        figures = result.report.as_dict()["after"]
        row = dataclasses.replace(
            row,
            arena_bytes=figures["arena_bytes"],
            milliseconds=figures["milliseconds"],
            bit_ops=figures["bit_ops"],
            seconds=round(time.process_time() - start, 1),
        )
        return self._judged(row, result.model)

    def _judged(self, row: DetectionRow, model: bytes) -> DetectionRow:
        found = precision_on_tflm(model, self._test)
        return dataclasses.replace(row, precision=round(found, 2), points=round(self._float - found, 2))


def precision_on_tflm(model: bytes, test: Scenes) -> float:
    """mAP@0.5 in percent of a `.tflite`."""
    interpreter = Interpreter(model)
    values = interpreter.run_all(to_model_input(test.x, interpreter.inputs[0]))
    by_cells = {y.shape[1]: to_real(y, t) for y, t in zip(values, interpreter.outputs, strict=True)}
    return mean_average_precision([by_cells[SIDE // stride] for stride in STRIDES], test)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m experiments.detection.table", description=__doc__)
    parser.add_argument("--searches", default=",".join(SEARCHES), help="of convert")
    parser.add_argument("--num_test", type=int, default=NUM_TEST, help="canvases, fewer for a quick look")
    parser.add_argument("--output", help="where to write the table (.csv)")
    chosen = parser.parse_args()
    rows: list[DetectionRow] = []
    for row in Detector(chosen.num_test).rows([s for s in chosen.searches.split(",") if s]):
        rows.append(row)
        print(row, flush=True)
        if chosen.output:
            write_atomically(chosen.output, csv_of(DetectionRow, rows))


if __name__ == "__main__":
    main()
