"""What a plan is worth on samples, by the exact simulation: the same values as on the device, many samples at once.

In: an int8 model, samples, their labels if there are any. Out: a function of a plan that can be pickled.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import numpy as np

from tflm_quantmcu.graph.op_kinds import RESHAPES
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.graph.types import ModelGraph
from tflm_quantmcu.host.kernels import HOST_LAWS
from tflm_quantmcu.oracle.simulate import simulate
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.runtime.samples import to_real
from tflm_quantmcu.search.problem import CostModel, SearchProblem

BATCH = 64  # samples simulated at once
_IDENTITIES = ("QUANTIZE", "DEQUANTIZE", *RESHAPES)


class Evaluator:
    """A plan's accuracy where there are labels, else its fidelity; higher is better.

    Accuracy is the share of samples whose largest first output is at the label's index. Fidelity is 1 - the squared
    difference from the scores (`score_tensors`) of the unchanged model over their variance: 1 is equal, 0 as far as
    their mean.
    """

    def __init__(
        self,
        graph: ModelGraph,
        cost: CostModel,
        x: np.ndarray,
        labels: np.ndarray | None = None,
        *,
        tensors: Sequence[int] | None = None,
    ) -> None:
        """Keeps the samples.

        Args:
          graph: the int8 model.
          cost: of that model; converts plans with ops that the simulation does not know.
          x: [N, ...] in the model's input type.
          labels: [N] integers, or None.
          tensors: indices of what `outputs` gives; None are the outputs, or without labels the scores behind them.
        """
        self.graph = graph
        self._cost = cost
        self._x = x
        self._labels = labels
        if tensors is None:
            tensors = score_tensors(graph) if labels is None else graph.outputs
        self._tensors = [graph.tensors[t] for t in tensors]

    def __call__(self, plan: PrecisionPlan) -> float:
        if self._labels is not None:
            return float((self.outputs(plan)[0].argmax(axis=1) == self._labels).mean())
        return 1.0 - float(self.errors(plan).sum())

    def errors(self, plan: PrecisionPlan) -> np.ndarray:
        """Float64 [N]: what each sample takes off a fidelity of 1."""
        pairs = zip(self.outputs(plan), self._reference, strict=True)
        lost = sum(np.sum((a - b) ** 2, axis=1, dtype=np.float64) for a, b in pairs)
        variance = sum(float(np.sum((b - b.mean(axis=0)) ** 2)) for b in self._reference)
        return np.asarray(lost) / (variance or 1.0)

    @functools.cached_property
    def _reference(self) -> list[np.ndarray]:
        return self.outputs(PrecisionPlan(self.graph.sha256, {}))

    def outputs(self, plan: PrecisionPlan) -> list[np.ndarray]:
        """Real values, float32 [N, elements], of every output, or what is compared in its place."""
        batches = [self._x[i : i + BATCH] for i in range(0, len(self._x), BATCH)]
        first = self._simulated(plan, batches[0])
        if first is None:
            return self._on_tflm(plan)
        parts = [first, *(self._simulated(plan, batch) or [] for batch in batches[1:])]
        return [np.concatenate(values) for values in zip(*parts, strict=True)]

    def _simulated(self, plan: PrecisionPlan, x: np.ndarray) -> list[np.ndarray] | None:
        values = simulate(self.graph, plan, x, HOST_LAWS)
        if any(t.name not in values for t in self._tensors):
            return None
        found = []
        for tensor in self._tensors:
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


def fidelity_of(problem: SearchProblem) -> Evaluator:
    """Judges plans by fidelity on all samples of a problem, which tells more of others than accuracy on few does."""
    parts = [] if problem.labelled is None else [problem.labelled[0]]
    if problem.calibration is not None:
        parts.append(problem.calibration.samples)
    return Evaluator(problem.graph, problem.cost, np.concatenate(parts))


def score_tensors(graph: ModelGraph) -> tuple[int, ...]:
    """What a SOFTMAX made each output of, or the output itself: scores tell of errors where shares are near 0 or 1."""
    return tuple(_scores(graph, tensor) for tensor in graph.outputs)


def _scores(graph: ModelGraph, tensor: int) -> int:
    at: int | None = tensor
    while at is not None and at in graph.producer and graph.producer[at].kind in (*_IDENTITIES, "SOFTMAX"):
        op = graph.producer[at]
        if op.kind == "SOFTMAX":
            return op.inputs[0]
        at = op.inputs[0]
    return tensor
