"""`make demo`: shrinks a CNN that was trained on real handwriting and runs every version of it on the real TFLM.

The trained weights and the int8 model are the package's, so that figures are the same everywhere; `--fresh` trains and
quantises anew. Out: one table, and in build/demo/ the models, reports and samples that the closing lines work on.
"""

from __future__ import annotations

import argparse
import dataclasses
import io
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import rich.box
import rich.console
import rich.progress
import rich.table

import tflm_quantmcu as qm
from tflm_quantmcu.app.demo import FOLDER as PACKED
from tflm_quantmcu.cost.boards import board_of, error_text
from tflm_quantmcu.graph.target import DEFAULT_CORE, short_core
from tflm_quantmcu.runtime.native_stderr import capture_native_stderr
from tools.demo.dataset import Samples

with capture_native_stderr():  # TensorFlow reports the GPUs that it does not find
    from tools.demo import train

FOLDER = Path("build/demo")
FRESH = FOLDER / "trained"
# Versions to make: name, file stem, options of `qm.convert`.
CONVERSIONS: Sequence[tuple[str, str, dict[str, Any]]] = (
    (
        "8-bit split, 48 KB",
        "split48",
        {"search": "uniform", "activation_bits": 8, "weight_bits": 8, "sram_bytes": 48 * 1024},
    ),
    ("QuantMCU's trade, 48 KB", "qmcu48", {"search": "vdqs", "objective": "bit_ops", "sram_bytes": 48 * 1024}),
    ("QuantMCU, 32 KB", "qmcu32", {"search": "vdqs", "sram_bytes": 32 * 1024}),
)
NUM_SAMPLES = 500
_CHUNK = 25
_WIDTH = 120

console = rich.console.Console(width=_WIDTH)


@dataclasses.dataclass(frozen=True)
class Row:
    """One version of the network; None where it has no such figure.

    Attributes:
      accuracy: share of the evaluated held-out samples, 0 to 1.
      arena_bytes: of tensor arena to reserve on a Cortex-M4.
      map_bytes: of these, feature maps and scratch.
      milliseconds: of one inference on the board of a Cortex-M4, estimated.
      flash_bytes: of the `.tflite`; of the float32 weights for Keras.
    """

    name: str
    accuracy: float
    flash_bytes: int
    arena_bytes: int | None = None
    map_bytes: int | None = None
    milliseconds: float | None = None
    macs: int | None = None
    stage_bit_ops: int | None = None
    bit_ops: int | None = None


COLUMNS: Sequence[tuple[str, Callable[[Row], str]]] = (
    ("", lambda row: row.name),
    ("accuracy", lambda row: f"{row.accuracy:.1%}"),
    ("arena, B", lambda row: _grouped(row.arena_bytes)),
    ("of maps, B", lambda row: _grouped(row.map_bytes)),
    ("flash, B", lambda row: _grouped(row.flash_bytes)),
    ("ms", lambda row: "-" if row.milliseconds is None else f"{row.milliseconds:.1f}"),
    ("MACs", lambda row: _grouped(row.macs)),
    ("BitOPs, stage", lambda row: _grouped(row.stage_bit_ops)),
    ("BitOPs, all", lambda row: _grouped(row.bit_ops)),
)


def markdown(rows: Sequence[Row]) -> list[str]:
    """A line of README's table a row: all columns but the stage's own BitOPs."""
    cells = [[text(row) for heading, text in COLUMNS if heading != "BitOPs, stage"] for row in rows]
    return ["| " + " | ".join(line).replace("%", " %") + " |" for line in cells]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--fresh", action="store_true", help="train anew")
    parser.add_argument("--samples", type=int, default=NUM_SAMPLES, help="held-out samples run on TFLM")
    arguments = parser.parse_args()

    FOLDER.mkdir(parents=True, exist_ok=True)
    if arguments.fresh:
        train.write(FRESH, train.train())
    rows = compare(FRESH if arguments.fresh else PACKED, arguments.samples)
    _show(rows, arguments.samples)


def compare(trained: Path, num_samples: int) -> list[Row]:
    """Converts the network in every way of CONVERSIONS and measures all versions.

    Args:
      trained: folder that `train.write` filled.
      num_samples: held-out canvases to run.

    Returns:
      The float network, the int8 one, and one row a conversion; their files lie in FOLDER.
    """
    samples, calibration_x = train.held_out_samples(num_samples), train.training_samples(train.NUM_CALIBRATION).x
    np.savez_compressed(FOLDER / "held_out.npz", x=samples.x, y=samples.y)
    np.savez_compressed(FOLDER / "calibration.npz", x=calibration_x)
    model, int8 = train.load(trained)
    (FOLDER / "int8.tflite").write_bytes(int8)
    float_accuracy = train.accuracy(model.predict(samples.x, verbose=0), samples.y)
    rows = [Row("float32 Keras", float_accuracy, 4 * model.count_params())]
    calibration = qm.calibrate_model(int8, calibration_x)
    for name, stem, options in CONVERSIONS:
        console.print(f"converting and running on TFLM: {name}")
        result = qm.convert(int8, calibration=calibration, **options)
        result.save(FOLDER / f"{stem}.tflite")
        result.report.save_html(FOLDER / f"{stem}.html")
        if len(rows) == 1:
            rows.append(_row("int8 TFLM", int8, result.report.baseline, samples, is_split=False))
        rows.append(_row(name, result.model, result.report.converted, samples, is_split=True))
    return rows


def _row(name: str, model: bytes, figures: Any, samples: Samples, *, is_split: bool) -> Row:
    return Row(
        name,
        accuracy=_accuracy_on_tflm(model, samples, name),
        flash_bytes=figures.flash_bytes,
        arena_bytes=figures.arena_bytes,
        map_bytes=figures.on_target.nonpersistent_bytes,
        milliseconds=figures.milliseconds,
        macs=figures.cost.macs,
        stage_bit_ops=figures.cost.stage_bit_ops if is_split else None,
        bit_ops=figures.cost.bit_ops,
    )


def _accuracy_on_tflm(model: bytes, samples: Samples, name: str) -> float:
    """Runs the samples through TFLM, on all processor cores."""
    chunks = [samples.x[i : i + _CHUNK] for i in range(0, len(samples.x), _CHUNK)]
    parallel = joblib.Parallel(n_jobs=-1, return_as="generator")
    scores = parallel(joblib.delayed(_predict)(model, chunk) for chunk in chunks)
    shown = rich.progress.track(
        scores,
        f"running {name}",
        total=len(chunks),
        console=console,
        transient=True,
        disable=not console.is_terminal,
    )
    return train.accuracy(np.concatenate(list(shown)), samples.y)


def _predict(model: bytes, x: np.ndarray) -> np.ndarray:
    return qm.Interpreter(model).predict(x)


def _show(rows: Sequence[Row], num_samples: int) -> None:
    board = board_of(short_core(DEFAULT_CORE))
    assert board
    table = rich.table.Table(
        box=rich.box.SIMPLE_HEAD,
        title="One network, five ways; accuracy is that of the real TFLM interpreter",
        caption=f"accuracy: {num_samples} held-out canvases; arena: to reserve on a Cortex-M4; "
        f"ms: on {board.name}, estimated, {error_text(board)}; stage: what runs patch by patch",
    )
    for heading, _ in COLUMNS:
        table.add_column(heading, justify="right" if heading else "left")
    for row in rows:
        table.add_row(*(text(row) for _, text in COLUMNS))
    (FOLDER / "table.md").write_text("\n".join(markdown(rows)) + "\n", "utf-8")
    page = rich.console.Console(record=True, width=_WIDTH, file=io.StringIO())
    page.print(table)
    page.save_html(str(FOLDER / "report.html"))
    console.print(table)
    _, stem, _ = CONVERSIONS[-1]
    model = FOLDER / f"{stem}.tflite"
    console.print(
        f"report: {FOLDER}/report.html, one page a version beside it. To look further:\n"
        f"  . .venv/bin/activate\n"
        f"  tflm_quantmcu inspect --model {model}\n"
        f"  tflm_quantmcu evaluate --model {model} --data {FOLDER}/held_out.npz\n"
        f"  tflm_quantmcu run --model {model} --inputs {FOLDER}/held_out.npz --outputs y.npz",
        highlight=False,
    )


def _grouped(number: int | None) -> str:
    return "-" if number is None else f"{number:,}"


if __name__ == "__main__":
    main()
