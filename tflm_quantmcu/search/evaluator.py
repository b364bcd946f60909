"""What a plan is worth on samples, by the exact simulation: the same values as on the device, many samples at once.

In: an int8 model, samples, their labels if there are any. Out: a function of a plan that can be pickled.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

from tflm_quantmcu.precision_plan import PrecisionPlan
from tflm_quantmcu.runtime import Interpreter
from tflm_quantmcu.samples import to_real
from tflm_quantmcu.search.problem import CostModel
from tflm_quantmcu.simulate import simulate
from tflm_quantmcu.types import ModelGraph

BATCH = 64  # samples simulated at once


class Evaluator:
    """A plan's accuracy where there are labels, else its fidelity; higher is better.

    Accuracy is the share of samples whose largest first output is at the label's index. Fidelity is 1 - the squared
    difference from the outputs of the unchanged model over their variance: 1 is equal, 0 as far as their mean.
    """

    def __init__(self, graph: ModelGraph, cost: CostModel, x: np.ndarray, labels: np.ndarray | None = None) -> None:
        """Keeps the samples.

        Args:
          graph: the int8 model.
          cost: of that model; converts plans with ops that the simulation does not know.
          x: [N, ...] in the model's input type.
          labels: [N] integers, or None.
        """
        self._graph = graph
        self._cost = cost
        self._x = x
        self._labels = labels

    def __call__(self, plan: PrecisionPlan) -> float:
        outputs = self._outputs(plan)
        if self._labels is not None:
            return float((outputs[0].argmax(axis=1) == self._labels).mean())
        lost = sum(float(np.sum((a - b) ** 2)) for a, b in zip(outputs, self._reference, strict=True))
        variance = sum(float(np.sum((b - b.mean(axis=0)) ** 2)) for b in self._reference)
        return 1.0 - lost / (variance or 1.0)

    @functools.cached_property
    def _reference(self) -> list[np.ndarray]:
        return self._outputs(PrecisionPlan(self._graph.sha256, {}))

    def _outputs(self, plan: PrecisionPlan) -> list[np.ndarray]:
        """Real values [N, elements] of every output."""
        batches = [self._x[i : i + BATCH] for i in range(0, len(self._x), BATCH)]
        first = self._simulated(plan, batches[0])
        if first is None:
            return self._on_tflm(plan)
        parts = [first, *(self._simulated(plan, batch) or [] for batch in batches[1:])]
        return [np.concatenate(values) for values in zip(*parts, strict=True)]

    def _simulated(self, plan: PrecisionPlan, x: np.ndarray) -> list[np.ndarray] | None:
        tensors = [self._graph.tensors[t] for t in self._graph.outputs]
        values = simulate(self._graph, plan, x)
        if any(t.name not in values for t in tensors):
            return None
        found = []
        for tensor in tensors:
            q = values[tensor.name].reshape(len(x), -1)
            planned = plan.formats.get(tensor.name)
            found.append(planned.scale * (q.astype(np.float32) - planned.zero_point) if planned else to_real(q, tensor))
        return found

    def _on_tflm(self, plan: PrecisionPlan) -> list[np.ndarray]:
        interpreter = Interpreter(self._cost.convert(plan))
        runs: list[Sequence[np.ndarray]] = [interpreter.invoke(sample) for sample in self._x]
        return [
            to_real(np.stack(values).reshape(len(runs), -1), tensor)
            for tensor, values in zip(interpreter.outputs, zip(*runs, strict=True), strict=True)
        ]
