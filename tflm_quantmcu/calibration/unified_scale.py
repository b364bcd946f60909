"""Scales chosen layer by layer for the least error of each layer's output: calibration method uspiq.

In: an int8 model's unquantised twin and samples. Out: formats. Ops run in order, each on inputs that have the formats
chosen before; the format of what it writes is the candidate in which that comes nearest, by squared error, to the
unquantised network's values. Input, weight and output scale then make one factor, s_in * s_w / s_out, an integer
multiplier and a shift a channel (law A3), each branch of an add its own, s_j / s_out (A4); maps that are concatenated
share one format.

Source: our reading of USPIQ (Al-Hamid and Kim, Electronics 2023, 12(12), 2660), whose equations are not public.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import numpy as np

from tflm_quantmcu.base.progress import track
from tflm_quantmcu.calibration.methods import candidate_formats, least_error_format
from tflm_quantmcu.calibration.plan_formats import planned_formats, renew_plan
from tflm_quantmcu.calibration.real_model import RealModel
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.graph.types import Format, Tensor
from tflm_quantmcu.lowering.format_groups import FormatGroup
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.runtime.samples import to_real
from tflm_quantmcu.tflite.model_file import AnyModel, ModelFile

# All maps of the samples that are used fit so many bytes at 8 bits.
_KEPT_BYTES = 1 << 27
# Values of a map on which candidates are compared.
_COMPARED = 1 << 14


def layerwise_formats(
    model: AnyModel, groups: Sequence[FormatGroup], samples: np.ndarray, *, progress: bool = False
) -> dict[int, Format]:
    """The 8-bit formats of an int8 model, chosen anew.

    Args:
      model: the int8 `.tflite`.
      groups: maps that may have other formats, see `free_groups`.
      samples: [N, ...] of the model's input type; the first ones are used, as many as memory holds.

    Returns:
      Tensor -> format, of all maps in the groups but those that only ever hold 0.
    """
    layers = _Layers(RealModel(model), samples)
    group_of = {t: group for group in groups for t in group.tensors}
    known: dict[int, np.ndarray] = {}
    chosen: dict[int, Format] = {}

    def choose(tensor: Tensor, values: np.ndarray) -> _Levels:
        group = group_of.get(tensor.index)
        if group is None or tensor.index not in group.computed:
            return _Levels.of(chosen.get(tensor.index, tensor.format))
        known[tensor.index] = values
        if tensor.index not in chosen:
            wanted = np.concatenate([layers.wanted[t] for t in group.computed])
            found = np.concatenate([known.get(t, layers.wanted[t]) for t in group.computed])
            low, high = (f(layers.ends[t][i] for t in group.computed) for i, f in enumerate((min, max)))
            if low < high:
                best = least_error_format(candidate_formats(low, high, 8), found, wanted)
                chosen.update(dict.fromkeys(group.tensors, best))
        return _Levels.of(chosen.get(tensor.index, tensor.format))

    layers.run(choose, progress=progress)
    return chosen


def layerwise_plan(
    model: AnyModel, plan: PrecisionPlan, samples: np.ndarray, *, progress: bool = False
) -> PrecisionPlan:
    """A plan with its formats below 8 bits chosen anew; widths, stages and classes stay.

    A map inside a stage is taken position by position in the format of its class there (`plan_formats`).

    Args:
      model: the int8 `.tflite` that the plan is for.
      plan: whose formats are renewed.
      samples: [N, ...] of the model's input type, as of `layerwise_formats`.
      progress: a bar on standard error.
    """
    file = ModelFile.of(model)
    graph = file.graph
    layers = _Layers(RealModel(file, plan.weight_bits), samples)
    chosen: dict[tuple[str, Format], Format] = {}

    def choose(tensor: Tensor, values: np.ndarray) -> _Levels:
        planned, kinds = planned_formats(graph, plan, tensor)
        kind_of = np.zeros(1, int) if kinds is None else np.repeat(kinds.ravel(), tensor.shape[-1])
        formats = []
        for kind, format in enumerate(planned):
            here = kind_of[layers.places[tensor.index]] == kind if len(planned) > 1 else slice(None)
            wanted = layers.wanted[tensor.index][here]
            if format.bits < 8 and np.any(wanted):
                candidates = candidate_formats(
                    min(0.0, float(wanted.min())), max(0.0, float(wanted.max())), format.bits
                )
                best = least_error_format([format, *candidates], values[here], wanted)
                chosen[tensor.name, format] = format = best
            formats.append(format)
        return _Levels.of_kinds(formats, kinds)

    layers.run(choose, progress=progress)
    return renew_plan(plan, graph, graph, chosen)


@dataclasses.dataclass(frozen=True)
class _Levels:
    """The formats of a map's positions: arrays that broadcast to [1, H, W, C], or scalars."""

    scale: np.ndarray
    zero_point: np.ndarray
    qmin: np.ndarray
    qmax: np.ndarray

    @staticmethod
    def of_kinds(formats: Sequence[Format], kinds: np.ndarray | None) -> _Levels:
        place = np.zeros((), int) if kinds is None else kinds[None, :, :, None]
        return _Levels(
            *(
                np.array([getattr(f, name) for f in formats], np.float32)[place]
                for name in ("scale", "zero_point", "qmin", "qmax")
            )
        )

    @staticmethod
    def of(format: Format) -> _Levels:
        return _Levels.of_kinds([format], None)

    def quantize(self, values: np.ndarray) -> np.ndarray:
        steps = np.rint(values / self.scale) + self.zero_point
        return np.clip(steps, self.qmin, self.qmax).astype(np.int8)

    def dequantize(self, q: np.ndarray) -> np.ndarray:
        return (q - self.zero_point) * self.scale


class _Layers:
    """The unquantised network on samples.

    Attributes:
      places: tensor -> flat positions in each sample's map that are compared, one after another, and which sample's.
      wanted: tensor -> the unquantised network's values there, float32.
      ends: tensor -> its smallest and largest value anywhere, 0 included.
    """

    def __init__(self, real: RealModel, samples: np.ndarray) -> None:
        graph = self._graph = real.graph
        self._real = real
        self._maps = [graph.tensors[t] for op in graph.ops for t in op.outputs if _has_format(graph.tensors[t])]
        num_bytes = sum(t.num_elements for t in self._maps)
        self._inputs = to_real(samples[: max(1, _KEPT_BYTES // num_bytes)], graph.tensors[graph.inputs[0]])
        count = len(self._inputs)
        rng = np.random.default_rng(0)
        each = -(-_COMPARED // count)
        self._offsets = {
            t.index: rng.integers(t.num_elements, size=(count, each))
            if t.num_elements > each
            else np.tile(np.arange(t.num_elements), (count, 1))
            for t in self._maps
        }
        self.places = {t: offsets.ravel() for t, offsets in self._offsets.items()}
        self.wanted, self.ends = self._unquantized()

    def _unquantized(self) -> tuple[dict[int, np.ndarray], dict[int, tuple[float, float]]]:
        interpreter = Interpreter(self._real.whole(), preserve_all_tensors=True)
        parts: dict[int, list[np.ndarray]] = {t.index: [] for t in self._maps}
        ends = dict.fromkeys(parts, (0.0, 0.0))
        for i, sample in enumerate(self._inputs):
            interpreter.invoke(sample)
            for t, kept in parts.items():
                values = interpreter.tensor(t).ravel()
                kept.append(values[self._offsets[t][i]])
                ends[t] = min(ends[t][0], float(values.min())), max(ends[t][1], float(values.max()))
        return {t: np.concatenate(kept) for t, kept in parts.items()}, ends

    def run(self, choose: Callable[[Tensor, np.ndarray], _Levels], *, progress: bool) -> None:
        """Runs op after op on all samples; `choose` is given each int8 map and what is found at its `places`."""
        graph = self._graph
        held: dict[int, list[np.ndarray]] = {graph.inputs[0]: list(self._inputs)}
        levels: dict[int, _Levels] = {}
        for op in track(graph.ops, "calibrating by layers", progress=progress):
            interpreter = Interpreter(self._real.of_op(op))
            sources = list(dict.fromkeys(graph.feature_maps(op)))
            results = []
            for i in range(len(self._inputs)):
                values = [levels[t].dequantize(held[t][i]) if t in levels else held[t][i] for t in sources]
                results.append(interpreter.invoke(values))
            for t, found in zip(op.outputs, zip(*results, strict=True), strict=True):
                held[t] = list(found)
                if _has_format(graph.tensors[t]):
                    seen = [y.ravel()[places] for y, places in zip(found, self._offsets[t], strict=True)]
                    levels[t] = choose(graph.tensors[t], np.concatenate(seen))
                    held[t] = [levels[t].quantize(y) for y in found]


def _has_format(tensor: Tensor) -> bool:
    return tensor.dtype == "int8" and len(tensor.scales) == 1
