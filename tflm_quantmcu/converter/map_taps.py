"""The real values of every feature map that a model computes, those inside patch stages too.

In: a model, the one that it was converted from, and samples. Out: real values by the names that the source has. Maps
between ops are TFLM's; those inside stages, which TFLM has nowhere, are the numpy oracle's, tile by tile, of the very
program and weights that the file holds. Maps whose scale no longer stands anywhere are left out.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence

import numpy as np

from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.converter.verify import map_values, stored_map
from tflm_quantmcu.graph.layer_names import PACKED_SUFFIX
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.graph.types import Format, ModelGraph, Op, Tensor
from tflm_quantmcu.law.packing import run_bytes, unpack
from tflm_quantmcu.oracle.outlier_rule import holds_outliers
from tflm_quantmcu.oracle.run_stage import run_patches
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.stage.build import stage_tensors
from tflm_quantmcu.stage.custom_ops import PATCH_STAGE, program_of
from tflm_quantmcu.stage.program import StageProgram
from tflm_quantmcu.tflite.model_file import ModelFile


@dataclasses.dataclass(frozen=True, eq=False)
class StageTap:
    """A stage of a converted model and what its maps are in the source.

    Attributes:
      number: of the stage in the model.
      op: in the converted model.
      program: as the file holds it.
      tensors: the source's tensor of each map.
      formats: [class][map]; None where the file does not say which.
    """

    number: int
    op: Op
    program: StageProgram
    tensors: tuple[Tensor, ...]
    formats: tuple[tuple[Format | None, ...], ...]


class MapTaps:
    """Runs samples through a model and reads its maps."""

    def __init__(self, file: ModelFile, source: ModelGraph) -> None:
        """Prepares the model.

        Args:
          file: of any origin.
          source: the graph that it was converted from, in its canonical form; its own if it is not converted.

        Raises:
          UnsupportedModelError: TFLM cannot run it.
          UsageError: the plan in the file, or our op library, cannot be read.
        """
        self._graph = file.graph
        self._plan = file.plan or PrecisionPlan("", {})
        self._source = source
        self._interpreter = Interpreter(file, preserve_all_tensors=True)
        stages = [op for op in file.graph.ops if op.kind == PATCH_STAGE]
        self.stages = [tap for n, op in enumerate(stages) if (tap := self._stage(n, op)) is not None]
        self._outside = dict(self._stored())

    @property
    def stage_of(self) -> dict[str, int]:
        """Name of a map that a stage computes -> the stage's number."""
        return {t.name: tap.number for tap in self.stages for t in tap.tensors[tap.program.num_inputs :]}

    def run(self, x: np.ndarray) -> Iterator[tuple[str, np.ndarray]]:
        """Runs samples.

        Args:
          x: [N, ...] in the model's input type.

        Yields:
          (name in the source, float32 [N, ...]) of each map; NaN where no tile computes a value that nothing reads.
        """
        kept: dict[str, list[np.ndarray]] = {name: [] for name in self._outside}
        inputs: list[list[list[np.ndarray]]] = [[] for _ in self.stages]  # [stage][sample][input]
        for sample in x:
            self._interpreter.invoke(sample)
            for name, tensor in self._outside.items():
                before = self._source.by_name[name]
                kept[name].append(map_values(self._interpreter, before, tensor, self._plan).copy())
            for tap, read in zip(self.stages, inputs, strict=True):
                read.append(stage_inputs(tap.program, tap.op, self._interpreter, sample))
        for name, values in kept.items():
            tensor = self._source.by_name[name]
            yield name, _real(np.stack(values), self._plan.formats.get(name) or _own(tensor))
        for tap, read in zip(self.stages, inputs, strict=True):
            for m, real in _inner_maps(tap, *map(np.stack, zip(*read, strict=True))):
                yield tap.tensors[m].name, real

    def _stored(self) -> Iterator[tuple[str, Tensor]]:
        """Those of the source's maps that the file holds as tensors."""
        readable = {t for op in self._graph.ops for t in op.outputs}
        for op in self._source.ops:
            for tensor in (self._source.tensors[t] for t in op.outputs):
                found = stored_map(self._graph, tensor.name, self._plan)
                if found is None or found.index not in readable or found.dtype not in (tensor.dtype, "int8"):
                    continue
                chosen = self._plan.formats.get(tensor.name)
                if chosen is not None or found.num_elements == tensor.num_elements:
                    yield tensor.name, found

    def _stage(self, number: int, op: Op) -> StageTap | None:
        program, names = program_of(self._graph, op), self._source.by_name
        ends = [
            self._plan.streamed_input or "" if t < 0 else self._graph.tensors[t].name.removesuffix(PACKED_SUFFIX)
            for t in (*op.inputs[: program.num_inputs], op.outputs[0])
        ]
        if ends[0] == "" and len(self._source.inputs) == 1:
            ends[0] = self._source.tensors[self._source.inputs[0]].name
        if not set(ends) <= names.keys():
            return None
        try:
            indices = stage_tensors(self._source, [names[end].index for end in ends[:-1]], names[ends[-1]].index)
        except UnsupportedModelError:  # the source is another model, or has stages itself
            return None
        tensors = tuple(self._source.tensors[t] for t in indices)
        if len(tensors) != len(program.shapes):
            return None
        classes: Sequence[Mapping[str, Format]] = next(
            ([c.formats for c in stage.classes] for stage in self._plan.stages if stage.output == ends[-1]), []
        )
        classes = [*classes, *[{}] * (len(program.formats) - len(classes))]
        ends_at = (*range(program.num_inputs), len(tensors) - 1)
        formats = tuple(
            tuple(
                chosen if (stored.bits, stored.zero_point) == (chosen.bits, chosen.zero_point) else None
                for m, (tensor, stored) in enumerate(zip(tensors, row, strict=True))
                for chosen in [(self._plan.formats if m in ends_at else known).get(tensor.name, tensor.format)]
            )
            for known, row in zip(classes, program.formats, strict=True)
        )
        return StageTap(number, op, program, tensors, formats)


def _own(tensor: Tensor) -> Format | None:
    return tensor.format if tensor.dtype == "int8" and len(tensor.scales) == 1 else None


def _real(q: np.ndarray, format: Format | None) -> np.ndarray:
    """Float32; a map without a format as it is."""
    if format is None:
        return q.astype(np.float32)
    return (q.astype(np.float32) - np.float32(format.zero_point)) * np.float32(format.scale)


def stage_inputs(program: StageProgram, op: Op, interpreter: Interpreter, sample: np.ndarray) -> list[np.ndarray]:
    """A stage's inputs int8 [H, W, C] of the values that its tensors, or a streamed sample, hold.

    Args:
      program: the stage.
      op: that runs it.
      interpreter: it has run the sample.
      sample: of the model's input.
    """
    found = []
    for m, tensor in enumerate(op.inputs[: program.num_inputs]):
        values = sample if tensor < 0 else interpreter.tensor(tensor)
        (height, width, channels), bits = program.shapes[m], program.formats[0][m].bits
        found.append(unpack(values.reshape(height, width, run_bytes(channels, bits)), bits, channels))
    return found


def _inner_maps(tap: StageTap, x: np.ndarray, *others: np.ndarray) -> Iterator[tuple[int, np.ndarray]]:
    """(map, float32 [N, H, W, C]) of each map inside the stage, for inputs int8 [N, H, W, C]."""
    program = tap.program
    inner = [m for m in range(program.num_inputs, program.tiled + 1) if m + 1 < len(program.shapes)]
    known = [m for m in inner if all(formats[m] is not None for formats in tap.formats)]
    maps = {m: np.full((len(x), *program.shapes[m]), np.nan, np.float32) for m in known}
    for row, col, values in run_patches(program, x, others=others):
        classes = program.classes_of(row, col)
        late = len(classes) > 1
        chosen = np.where(holds_outliers(program, row, col, x), 0, 1) if late else np.full(len(x), classes[0])
        for m in known:
            y0, y1, x0, x1 = program.computed(row, col, m)
            for patch_class in classes:
                some = chosen == patch_class
                maps[m][some, y0:y1, x0:x1] = _real(values[m][some], tap.formats[patch_class][m])
    yield from maps.items()
