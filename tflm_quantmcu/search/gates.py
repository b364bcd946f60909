"""Keras layers that compute with a blend of a tensor's widths, and learn how many bits it needs.

A tensor of widths b_0 < b_1 < ... has a gate for each but the first, and computes with

    x = x_0 + z_1 * (x_1 - x_0) + z_1 * z_2 * (x_2 - x_1) + ...        x_j: the tensor at b_j bits
    z = clamp(sigmoid((log(u / (1 - u)) + logit) / T) * (hi - lo) + lo, 0, 1),  u uniform in (0, 1)

Afterwards a gate is open if P(z = 0) < 0.34, and the width is that of the last gate before the first closed one.

Source: Rutishauser et al., arXiv 2307.02894, and its authors' code; Bayesian Bits (van Baalen et al., arXiv
2005.07093). Ours: each width has the format that the converter will give it, and x's own gradient passes straight
through within the range of the widest, since formats of few bits clip more than those the authors share among widths.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tflm_quantmcu.graph.types import Format
from tflm_quantmcu.keras_bridge.fake_quant import fake_quantize
from tflm_quantmcu.keras_bridge.to_tflite import keras

TEMPERATURE = 0.5
LOW, HIGH = -0.1, 1.1
MAX_CLOSED_PROBABILITY = 0.34
INITIAL_LOGIT = 2.0
_SHIFT = TEMPERATURE * float(np.log(-LOW / HIGH))
_EPSILON = 1e-6


def sample_gates(logits: Any, uniform: Any) -> Any:
    """Hard-concrete gates z in [0, 1].

    Args:
      logits: of the gates.
      uniform: u, broadcasting against them.
    """
    u = keras.ops.clip(uniform, _EPSILON, 1 - _EPSILON)
    noise = keras.ops.log(u) - keras.ops.log(1 - u)
    return keras.ops.clip(keras.ops.sigmoid((noise + logits) / TEMPERATURE) * (HIGH - LOW) + LOW, 0.0, 1.0)


def open_probabilities(logits: Any) -> Any:
    """q = P(z > 0) of each gate."""
    return keras.ops.sigmoid(logits - _SHIFT)


def chosen_width(logits: np.ndarray, widths: Sequence[int]) -> int:
    """The width at test time, bits; `logits`, float [widths - 1], are of the gates of all `widths` but the first."""
    is_closed = 1 - np.asarray(open_probabilities(np.asarray(logits, np.float32))) >= MAX_CLOSED_PROBABILITY
    return widths[int(np.argmax([*is_closed, True]))]


class Gates(keras.layers.Layer):
    """The gates of one tensor."""

    def __init__(self, widths: Sequence[int], *, seed: int, **keywords: Any) -> None:
        """Makes them open.

        Args:
          widths: bits, ascending; a single one has no gates.
          seed: of the noise.
        """
        super().__init__(**keywords)
        self.widths = tuple(widths)
        self.logits = self.add_weight(
            shape=(len(self.widths) - 1,), initializer=keras.initializers.Constant(INITIAL_LOGIT), name="logits"
        )
        self._noise = keras.random.SeedGenerator(seed)
        self.built = True

    def cumulative(self) -> list[Any]:
        """P(width >= b) of each width: q_1 * ... * q_j, 1 of the first."""
        q = open_probabilities(self.logits)
        products = [keras.ops.ones(())]
        for j in range(len(self.widths) - 1):
            products.append(products[-1] * q[j])
        return products

    def probabilities(self) -> dict[int, Any]:
        """P(width = b) by bits."""
        products = [*self.cumulative(), keras.ops.zeros(())]
        return {b: products[j] - products[j + 1] for j, b in enumerate(self.widths)}

    def expected_bits(self) -> Any:
        """The bits of the gated widths, each times the probability that all gates up to it are open."""
        gated = zip(self.cumulative()[1:], self.widths[1:], strict=True)
        return sum((product * bits for product, bits in gated), keras.ops.zeros(()))

    def blend(self, values: Sequence[Any], noise_shape: Sequence[Any] = ()) -> Any:
        """The tensor at all its widths together; no gradient goes to `values`.

        Args:
          values: the tensor at each width.
          noise_shape: one draw for each of its elements; broadcasts against the values.
        """
        values = [keras.ops.stop_gradient(v) for v in values]
        # The draws of all gates at once, one gate an entry of the first axis.
        logits = keras.ops.reshape(self.logits, (-1, *[1] * len(noise_shape)))
        uniform = keras.random.uniform((len(self.widths) - 1, *noise_shape), seed=self._noise)
        gates = sample_gates(logits, uniform)
        y, product = values[0], 1.0
        for j, (lower, higher) in enumerate(zip(values, values[1:], strict=False)):
            product = product * gates[j]
            y = y + product * (higher - lower)
        return y


class GatedMap(keras.layers.Layer):
    """A feature map; each sample has draws of its own."""

    def __init__(self, gates: Gates, formats: Sequence[Format], **keywords: Any) -> None:
        """Makes the layer; `formats` are those of the gates' widths."""
        super().__init__(**keywords)
        self.gates = gates
        self._formats = tuple(formats)

    def call(self, x: Any) -> Any:
        values = [_held(x, f) for f in self._formats]
        widest = self._formats[-1]
        straight = keras.ops.clip(x, *((q - widest.zero_point) * widest.scale for q in (widest.qmin, widest.qmax)))
        noise_shape = (keras.ops.shape(x)[0], *[1] * (len(x.shape) - 1))
        return self.gates.blend(values, noise_shape) + straight - keras.ops.stop_gradient(straight)

    def compute_output_shape(self, input_shape: Any) -> Any:
        return input_shape


def _held(x: Any, format: Format) -> Any:
    low, high = (float(q - format.zero_point) for q in (format.qmin, format.qmax))
    return fake_quantize(x, format.scale, low, high)


class GatedKernel(keras.layers.Layer):
    """A layer that computes with its kernel's values at several widths; its own weights are not trained."""

    def __init__(self, gates: Gates, layer: keras.layers.Layer, kernels: Sequence[np.ndarray], **keywords: Any) -> None:
        """Wraps a layer.

        Args:
          gates: of the kernel.
          layer: built; its weights are a kernel and a bias.
          kernels: the kernel's real values at each of the gates' widths, float of the kernel's shape.
        """
        super().__init__(**keywords)
        layer.trainable = False
        self.gates = gates
        self.layer = layer
        self._kernels = [np.asarray(kernel, np.float32) for kernel in kernels]

    def call(self, x: Any) -> Any:
        kernel = self.gates.blend([keras.ops.convert_to_tensor(k) for k in self._kernels])
        return self.layer.stateless_call([], [kernel, self.layer.bias], x)[0]

    def compute_output_spec(self, x: Any) -> Any:
        return self.layer.compute_output_spec(x)


@dataclasses.dataclass(frozen=True, eq=False)
class GatedLayer:
    """What a regulariser sees of one convolution or fully connected op.

    Attributes:
      macs: multiply-accumulates.
      map, kernel: the gates of the map that it reads and of its weights; None is fixed at 8 bits.
      cycles: (map bits, weight bits) -> cycles, of all widths that the two may have.
    """

    macs: int
    map: Gates | None
    kernel: Gates | None
    cycles: Mapping[tuple[int, int], float]


def bit_ops_regulariser(layers: Sequence[GatedLayer]) -> Any:
    """Sum over layers of MACs / largest MACs x (expected bits of the weights + those of the map)."""
    largest = max(layer.macs for layer in layers)
    terms = [gates.expected_bits() * (layer.macs / largest) for layer in layers for gates in _gates_of(layer)]
    return sum(terms, keras.ops.zeros(()))


def cycles_regulariser(layers: Sequence[GatedLayer]) -> Any:
    """Sum over layers of their expected cycles, less those of the layer's best widths, over the slowest layer's.

    The slowest layer is that of the most cycles at its slowest widths; that is our reading.
    """
    slowest = max(max(layer.cycles.values()) for layer in layers)
    total = keras.ops.zeros(())
    for layer in layers:
        maps, kernels = ({8: 1.0} if g is None else g.probabilities() for g in (layer.map, layer.kernel))
        best = min(layer.cycles.values())
        for a, p in maps.items():
            for w, q in kernels.items():
                total = total + p * q * ((layer.cycles[a, w] - best) / slowest)
    return total


def _gates_of(layer: GatedLayer) -> list[Gates]:
    return [gates for gates in (layer.map, layer.kernel) if gates is not None]
