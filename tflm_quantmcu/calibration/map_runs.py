"""Runs samples through a model and gives the values of its feature maps, in the bytes of TFLM.

TFLM's reference kernels take most of a calibration. So maps are computed by fast kernels of this machine where these
know every op and give what TFLM gives for the samples that are tried on both; else TFLM runs them all.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence

import numpy as np

from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.host.kernels import HOST_LAWS
from tflm_quantmcu.oracle.simulate import known_maps, simulate
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.tflite.model_file import ModelFile

NUM_TRIED = 2  # samples, the first and the last
_BYTES_AT_ONCE = 1 << 26  # of all maps of the samples that run together


@dataclasses.dataclass(frozen=True, eq=False)
class MapRuns:
    """What runs a model's samples.

    Attributes:
      model: the int8 `.tflite` in its canonical form.
      maps: tensor indices.
      on_host: whether the kernels of this machine run them, or TFLM.
    """

    model: ModelFile
    maps: tuple[int, ...]
    on_host: bool

    @staticmethod
    def of(model: ModelFile, maps: Sequence[int], samples: np.ndarray) -> MapRuns:
        """Chooses by what both give for some of the samples, [N, ...] of the model's input type.

        Raises:
          UnsupportedModelError: TFLM does not run the model.
        """
        host, tflm = (MapRuns(model, tuple(maps), on_host) for on_host in (True, False))
        tried = samples[[0, -1]][:NUM_TRIED] if len(samples) > 1 else samples
        expected = list(tflm(tried))
        found = list(host(tried)) if host._knows() else []
        same = len(found) == len(expected) and all(
            np.array_equal(a, b) for x, y in zip(found, expected, strict=True) for a, b in zip(x, y, strict=True)
        )
        return host if same else tflm

    def __call__(self, samples: np.ndarray) -> Iterator[list[np.ndarray]]:
        """The maps' values of each sample, int8 of their tensors' shapes."""
        if self.on_host:
            yield from self._on_host(samples)
            return
        interpreter = Interpreter(self.model, preserve_all_tensors=True)
        for sample in samples:
            interpreter.invoke(sample)
            yield [interpreter.tensor(t) for t in self.maps]

    def _on_host(self, samples: np.ndarray) -> Iterator[list[np.ndarray]]:
        tensors = [self.model.graph.tensors[t] for t in self.maps]
        sample_bytes = sum(t.num_elements for t in self.model.graph.tensors if not t.is_constant)
        at_once = max(1, _BYTES_AT_ONCE // max(1, sample_bytes))
        for start in range(0, len(samples), at_once):
            part = samples[start : start + at_once]
            values = simulate(self.model.graph, None, part, HOST_LAWS)
            for n in range(len(part)):
                yield [values[t.name][n].reshape(t.shape) for t in tensors]

    def _knows(self) -> bool:
        """Whether every map has values there."""
        graph = self.model.graph
        return known_maps(graph, PrecisionPlan(graph.sha256, {})).issuperset(self.maps)
