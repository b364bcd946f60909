"""A trained network with the samples that choose plans for it and those that judge them."""

from __future__ import annotations

import functools
import pathlib

import numpy as np

from tflm_quantmcu.app import api
from tflm_quantmcu.app.plan_costs import PlanCosts
from tflm_quantmcu.compensation.compensate import has_low_widths
from tflm_quantmcu.graph.accuracy_loss import AccuracyLoss
from tflm_quantmcu.graph.calibration_result import CalibrationResult
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.search.evaluator import Evaluator
from tflm_quantmcu.tflite.canonical.canonical import canonical
from tflm_quantmcu.tflite.model_file import ModelFile


class JudgedNetwork:
    """What `train.py` wrote of a network, calibrated once.

    Attributes:
      file: the int8 `.tflite`.
      folder: of the network.
    """

    def __init__(self, folder: pathlib.Path, max_judge: int | None = None, *, part: str = "judge") -> None:
        """Judges by `max_judge` samples, None is all, of a part that has labels."""
        self.folder = folder
        self.file = (folder / "int8.tflite").read_bytes()
        with np.load(folder / f"{part}.npz") as archive:
            x, self._labels = (archive[key][:max_judge] for key in ("x", "y"))
        model = canonical(ModelFile(self.file))
        self.graph = model.graph
        self._judge = Evaluator(model.graph, PlanCosts(model), x, tensors=model.graph.outputs)

    @functools.cached_property
    def calibration(self) -> CalibrationResult:
        return api.calibrate_model(self.file, self.folder / "calibration.npz", progress=False, n_jobs=1)

    @functools.cached_property
    def _right(self) -> np.ndarray:
        return self.right_with(PrecisionPlan(self.graph.sha256, {}))

    def right_with(self, plan: PrecisionPlan) -> np.ndarray:
        """Which samples that judge are right, bool [N]."""
        return self._judge.outputs(plan)[0].argmax(axis=1) == self._labels

    @property
    def accuracy(self) -> float:
        """The int8 model's accuracy."""
        return float(self._right.mean())

    def loss_of(self, plan: PrecisionPlan) -> AccuracyLoss:
        """The loss against the int8 model, on the samples that judge."""
        if not has_low_widths(plan):
            return AccuracyLoss("equality", 0)
        return AccuracyLoss.of_samples("labels", self._right.astype(float) - self.right_with(plan), 0)
