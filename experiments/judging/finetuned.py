"""What `finetune` makes of a plan that lost accuracy, on one of the judging networks.

    python -m experiments.judging.finetuned --data_dir SAMPLES --network resnet_32 --sram_bytes 10436

The kept int8 file becomes a Keras model, which is planned, fine-tuned with the images that the network was trained on,
and converted, each as a user would. Accuracy is of `judge.npz`, in percent, by the exact simulation; points are those
that the int8 model has more. `seconds` are CPU seconds of fine-tuning. With `--role judge` networks this is a look at
the judging set.
"""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
import time

import numpy as np

from experiments.judging.judged import JudgedNetwork
from experiments.judging.networks import NETWORKS, WEIGHTS, JudgingNetwork
from experiments.judging.samples import DATA, Samples, enlarged, scaled
from experiments.judging.train import NUM_CALIBRATION, prepare
from tflm_quantmcu.app import api
from tflm_quantmcu.app.accuracy_lines import accuracy_of
from tflm_quantmcu.app.source import keras_from_tflite
from tflm_quantmcu.finetuning.finetune import finetune
from tflm_quantmcu.graph.accuracy_loss import AccuracyLoss
from tflm_quantmcu.graph.calibration_result import CalibrationResult
from tflm_quantmcu.graph.precision_plan import PrecisionPlan


@dataclasses.dataclass(frozen=True)
class TunedRow:
    """A plan before and after fine-tuning."""

    network: str
    sram_bytes: int
    int8: float
    planned: float
    said: float
    planned_arena: int
    tuned: float
    tuned_arena: int
    points: float
    limit: float
    num_judged: int
    seconds: float


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m experiments.judging.finetuned")
    parser.add_argument("--data_dir", type=pathlib.Path, required=True, help="folder of the .npz files")
    parser.add_argument("--output_dir", type=pathlib.Path, default=pathlib.Path("build/finetuned"))
    parser.add_argument("--network", choices=NETWORKS, required=True, help="whose int8 file is kept")
    parser.add_argument("--sram_bytes", type=int, required=True, help="as of convert")
    parser.add_argument("--epochs", type=int, default=3, help="as of finetune")
    parser.add_argument("--distill", action="store_true", help="as of finetune")
    print(tuned_row(parser.parse_args()))


def tuned_row(asked: argparse.Namespace) -> TunedRow:
    """The row that was asked for."""
    network = NETWORKS[asked.network]
    samples = DATA[network.data](asked.data_dir)
    x = scaled(enlarged(samples.train[0], network.side))
    model = keras_from_tflite(WEIGHTS / f"{asked.network}.tflite")
    calibration = api.calibrate_model(model, x[:NUM_CALIBRATION], progress=False, n_jobs=1)
    before = _judged(network, samples, calibration, asked.output_dir / "before")
    planned = api.convert(model, calibration=calibration, sram_bytes=asked.sram_bytes, progress=False, n_jobs=1)
    start, data = time.process_time(), x if asked.distill else (x, samples.train[1])
    tuned = finetune(model, planned.plan, data, epochs=asked.epochs, calibration=calibration, verbose=2)
    seconds = time.process_time() - start
    after = _judged(network, samples, tuned.calibration, asked.output_dir / "after")
    converted = api.convert(
        tuned.model,
        plan=tuned.plan,
        calibration=tuned.calibration,
        sram_bytes=asked.sram_bytes,
        progress=False,
        n_jobs=1,
    )
    is_right = before.right_with(PrecisionPlan(before.graph.sha256, {}))
    loss = AccuracyLoss.of_samples("labels", is_right.astype(float) - after.right_with(converted.plan), 0)
    told = accuracy_of(planned.plan.search)
    return TunedRow(
        network=asked.network,
        sram_bytes=asked.sram_bytes,
        int8=_percent(is_right),
        planned=_percent(before.right_with(planned.plan)),
        said=0.0 if told is None else round(told["points"], 2),
        planned_arena=planned.report.as_dict()["after"]["arena_bytes"],
        tuned=_percent(after.right_with(converted.plan)),
        tuned_arena=converted.report.as_dict()["after"]["arena_bytes"],
        points=round(loss.points, 2),
        limit=round(loss.upper_points, 2),
        num_judged=loss.num_samples,
        seconds=round(seconds, 1),
    )


def _judged(
    network: JudgingNetwork, samples: Samples, calibration: CalibrationResult, folder: pathlib.Path
) -> JudgedNetwork:
    """The int8 model of a calibration with the samples that judge it."""
    assert calibration.model is not None
    folder.mkdir(parents=True, exist_ok=True)
    prepare(network, samples, calibration.model, folder)
    return JudgedNetwork(folder)


def _percent(is_right: np.ndarray) -> float:
    return round(100 * float(is_right.mean()), 2)


if __name__ == "__main__":
    main()
