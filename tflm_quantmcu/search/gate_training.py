"""Trains the gates of search hybrid: a Keras model of the int8 model's graph, every free tensor at all its widths.

In: a SearchProblem and its Network. Out: the logits of every free tensor's gates. The weights stay as they are, since
the plan will be judged with them. What is learned is to give the model's own scores, on the labelled samples or without
them on those of the calibration: with fixed weights a loss of labels is lowered by coarser, less certain scores, which
tells nothing of what the widths can hold. A run that was killed goes on from its checkpoint to the same logits.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tflm_quantmcu.graph.types import ModelGraph, Op, Tensor
from tflm_quantmcu.keras_bridge.from_tflite import keras_from_graph
from tflm_quantmcu.keras_bridge.layer_builder import keras_kernel
from tflm_quantmcu.keras_bridge.to_tflite import keras, tf
from tflm_quantmcu.lowering.network import LoweredNetwork
from tflm_quantmcu.runtime.samples import to_real
from tflm_quantmcu.search.evaluator import score_tensors
from tflm_quantmcu.search.free_bits import TimedLayer
from tflm_quantmcu.search.gates import (
    GatedKernel,
    GatedLayer,
    GatedMap,
    Gates,
    bit_ops_regulariser,
    cycles_regulariser,
)
from tflm_quantmcu.search.network import Network
from tflm_quantmcu.search.problem import SearchProblem
from tflm_quantmcu.search.settings.hybrid import HybridSettings

REGULARISERS = {"bit_ops": bit_ops_regulariser, "cycles": cycles_regulariser}
# How far Adam can move a logit in the authors' run: 11 epochs of 5,004 steps at a rate of 1e-4.
LOGIT_REACH = 5.5
CHECKPOINT_STEPS = 10
MU_REACH = 100.0  # so many times mu grows where a budget is exceeded at every step
_TEACHER_BATCH = 64
_EPSILON = 1e-7


def train_gates(
    network: Network,
    timed: Sequence[TimedLayer],
    widths: Sequence[int],
    *,
    exceeds: Callable[[Mapping[int, np.ndarray]], bool],
) -> dict[int, np.ndarray]:
    """Trains the gates of all free maps and weights.

    Args:
      network: of a problem whose HybridSettings count.
      timed: its layers.
      widths: bits that a free tensor may have, ascending.
      exceeds: whether the widths of such logits exceed a budget; while they do, mu grows from mu0 on.

    Returns:
      Tensor index -> logits, float32 [widths - 1]: one for each width but the first.

    Raises:
      UnsupportedModelError: an op that Keras cannot compute.
      UsageError: there is no calibration.
    """
    problem = network.problem
    scored = dataclasses.replace(problem.graph, outputs=score_tensors(problem.graph))
    model = _GatedModel.of(network, scored, timed, widths)
    if not model.gates:
        return {}
    teacher = _Teacher(problem, scored)
    chosen = problem.settings.part(HybridSettings)
    steps, batch = chosen.hybrid_steps, chosen.hybrid_batch
    optimizer = keras.optimizers.Adam(LOGIT_REACH / steps)
    optimizer.build(model.logits)
    mu = keras.Variable(chosen.hybrid_mu0, trainable=False, name="mu")
    regulariser = REGULARISERS[chosen.hybrid_regulariser]
    train_step = _train_step(model, optimizer, lambda y, x: teacher.loss(y, x) + mu * regulariser(model.layers))
    variables = [mu, *(v for gates in model.gates.values() for v in gates.variables), *optimizer.variables]
    start = _restore(problem, variables)
    for step in problem.track(range(start, steps), "hybrid", total=steps - start):
        train_step(*teacher.batch(step, batch))
        if exceeds(model.values()):
            mu.assign(mu * MU_REACH ** (1 / steps))
        if problem.checkpoint is not None and ((step + 1) % CHECKPOINT_STEPS == 0 or step + 1 == steps):
            problem.checkpoint.save({"step": step + 1}, {str(i): np.asarray(v) for i, v in enumerate(variables)})
    return model.values()


def _restore(problem: SearchProblem, variables: Sequence[Any]) -> int:
    """The step to go on from."""
    state = problem.checkpoint.load() if problem.checkpoint is not None else None
    if state is None:
        return 0
    for i, variable in enumerate(variables):
        variable.assign(state.arrays[str(i)])
    return int(state.values["step"])


def _train_step(
    model: _GatedModel, optimizer: keras.optimizers.Optimizer, loss: Callable[[Any, Any], Any]
) -> Callable[[Any, Any], None]:
    @tf.function(autograph=False)
    def step(x: Any, target: Any) -> None:
        with tf.GradientTape() as tape:
            total = loss(target, model.keras(x, training=True))
        optimizer.apply(tape.gradient(total, [v.value for v in model.logits]), model.logits)

    return step


@dataclasses.dataclass(frozen=True, eq=False)
class _GatedModel:
    """The model that is trained.

    Attributes:
      keras: real inputs to real outputs.
      gates: tensor index -> the gates of a free map or weights.
      layers: convolutions and fully connected ops.
    """

    keras: keras.Model
    gates: Mapping[int, Gates]
    layers: Sequence[GatedLayer]

    @property
    def logits(self) -> list[Any]:
        return [gates.logits for gates in self.gates.values()]

    def values(self) -> dict[int, np.ndarray]:
        """Tensor index -> logits."""
        return {t: np.asarray(gates.logits) for t, gates in self.gates.items()}

    @staticmethod
    def of(network: Network, graph: ModelGraph, timed: Sequence[TimedLayer], widths: Sequence[int]) -> _GatedModel:
        """Builds it for `graph`, the network's with outputs of its own."""
        problem = network.problem
        chosen = {t: (network.fixed[t],) if t in network.fixed else tuple(widths) for t in network.uncut}
        gates = {t: Gates(bits, seed=problem.seed + t) for t, bits in chosen.items() if bits != (8,)}

        def observe(tensor: Tensor, x: Any) -> Any:
            if tensor.index not in gates:
                return x
            return GatedMap(gates[tensor.index], [problem.format_of(tensor.name, b) for b in chosen[tensor.index]])(x)

        def wrap(op: Op, layer: Any) -> Any:
            if op.inputs[1] not in gates:
                return layer
            return GatedKernel(gates[op.inputs[1]], layer, [_kernel(graph, op, b) for b in chosen[op.inputs[1]]])

        return _GatedModel(
            keras_from_graph(graph, wrap=wrap, observe=observe),
            {t: found for t, found in gates.items() if len(found.widths) > 1},
            [
                GatedLayer(
                    LoweredNetwork.of(graph).macs(graph.ops[t.op]),
                    gates.get(t.map),
                    gates.get(t.weights),
                    t.cycles,
                )
                for t in timed
            ],
        )


def _kernel(graph: ModelGraph, op: Op, bits: int) -> np.ndarray:
    """Real values of the weights that the converter stores at a width, as Keras lays them out."""
    filter = LoweredNetwork.of(graph).lower(op, weight_bits=bits).filter
    assert filter is not None
    axis = op.traits.weight_axis
    real = np.moveaxis(np.moveaxis(filter.values, axis, -1) * filter.scales, -1, axis)
    return keras_kernel(op, real)


class _Teacher:
    """Batches of inputs and what the unquantised model makes of them."""

    def __init__(self, problem: SearchProblem, graph: ModelGraph) -> None:
        """Runs all samples.

        Args:
          problem: whose labelled samples are taken, else those of the calibration.
          graph: the model; its outputs are the targets.
        """
        source = graph.tensors[graph.inputs[0]]
        x = problem.samples_of(source.index) if problem.labelled is None else problem.labelled[0]
        self._x = to_real(x, source)
        model = keras_from_graph(graph)
        batches = [self._x[i : i + _TEACHER_BATCH] for i in range(0, len(self._x), _TEACHER_BATCH)]
        runs = [keras.tree.flatten(model(batch, training=False)) for batch in batches]
        self._targets = [np.concatenate([np.asarray(y) for y in ys]) for ys in zip(*runs, strict=True)]
        self._seed = problem.seed

    def batch(self, step: int, size: int) -> tuple[Any, list[Any]]:
        """The samples of a step: in each epoch all of them, in an order of its own."""
        count = len(self._x)
        epochs, places = np.divmod(np.arange(step * size, (step + 1) * size), count)
        orders = {e: np.random.default_rng((self._seed, int(e))).permutation(count) for e in np.unique(epochs)}
        chosen = [orders[e][place] for e, place in zip(epochs, places, strict=True)]
        return tf.constant(self._x[chosen]), [tf.constant(target[chosen]) for target in self._targets]

    def loss(self, targets: Sequence[Any], outputs: Any) -> Any:
        """Squared errors over the variance of the targets: 0 is equal, 1 as far as their mean."""
        parts = []
        for target, output, known in zip(targets, keras.tree.flatten(outputs), self._targets, strict=True):
            variance = float(np.mean((known - known.mean(axis=0)) ** 2))
            parts.append(keras.ops.mean(keras.ops.square(output - target)) / max(variance, _EPSILON))
        return sum(parts[1:], parts[0])
