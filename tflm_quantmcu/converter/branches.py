"""Writes each patch of a converted model's stages as a small `.tflite` of its own, for debuggers and viewers.

In: a converted model. Out: files whose input is the patch's region of X and whose output is its tile of Y; TFLM
computes in them, op by op, the very bytes that the stage computes for that patch.
"""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path

import numpy as np

from tflm_quantmcu.base.errors import UnsupportedModelError, UsageError
from tflm_quantmcu.base.files import write_atomically
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.graph.types import Format, Tensor, Window
from tflm_quantmcu.law.packing import pack
from tflm_quantmcu.stage.custom_ops import PATCH_STAGE, program_of
from tflm_quantmcu.stage.geometry import Region, StageOp
from tflm_quantmcu.stage.layout import MapCache
from tflm_quantmcu.stage.program import StageProgram
from tflm_quantmcu.tflite.model_builder import ModelBuilder
from tflm_quantmcu.tflite.model_file import AnyModel, ModelFile
from tflm_quantmcu.tflite.operators import QmcuMap, QmcuOp
from tflm_quantmcu.tflite.writer import write_model


def write_branches(converted: AnyModel, directory: str | os.PathLike[str]) -> list[Path]:
    """Writes `stage<n>_r<row>_c<col>_<class>.tflite` for every patch of every stage.

    Args:
      converted: a model with QMCU_PATCH_STAGE ops.
      directory: is made where it is missing.

    Returns:
      The files in execution order; none if the model has no stage.

    Raises:
      UnsupportedModelError: the model cannot be read.
      UsageError: the folder cannot be written.
    """
    folder = Path(directory)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"{folder} cannot be made: {error.strerror or error}") from None
    file = ModelFile.of(converted)
    graph, plan = file.graph, file.plan
    paths = []
    stages = [op for op in graph.ops if op.kind == PATCH_STAGE]
    for number, op in enumerate(stages):
        program = program_of(graph, op)
        source = graph.streamed_input if program.is_streamed else graph.tensors[op.inputs[0]]
        assert source is not None
        ends = source, graph.tensors[op.outputs[0]]
        names = _class_names(plan, ends[1], len(program.formats))
        for row, col, patch_class in ((r, c, k) for r, c, _ in program.patches() for k in program.classes_of(r, c)):
            path = folder / f"stage{number}_r{row}_c{col}_{names[patch_class]}.tflite"
            write_atomically(path, build_branch(program, row, col, patch_class, ends=ends))
            paths.append(path)
    return paths


def _class_names(plan: PrecisionPlan | None, output: Tensor, count: int) -> list[str]:
    """The classes' names in the plan that the model carries, fit for file names; else their numbers."""
    for stage in plan.stages if plan else ():
        if stage.output == output.name and len(stage.classes) == count:
            return [re.sub(r"[^\w.-]", "_", c.name) for c in stage.classes]
    return [f"class{k}" for k in range(count)]


def build_branch(program: StageProgram, row: int, col: int, patch_class: int, *, ends: tuple[Tensor, Tensor]) -> bytes:
    """One patch as a model.

    Args:
      program: the stage.
      row, col: of the patch.
      patch_class: one that the patch may have.
      ends: X and Y, for their names and scales.

    Returns:
      A `.tflite` with input [1, h, w, bytes], the region of X, and output [1, th, tw, bytes], the tile of Y. Where the
      patch needs nothing of X, the input is one pixel that nothing reads. Of a stage that ends in a reduction it is the
      tile of what is reduced.

    Raises:
      UnsupportedModelError: the patch needs what tiles of another class computed.
    """
    alone = standalone_program(program)
    for op in alone.ops:
        if not op.traits.kernel:
            raise UnsupportedModelError(
                f"this stage has an op {op.kind}, which runs in stages alone, so no patch of it is a model of its own"
            )
    branch = _Branch(alone, row, col, patch_class, ends)
    for index, op in enumerate(program.ops[: program.tiled]):
        branch.add_op(index, op)
    return branch.bytes()


def standalone_program(program: StageProgram) -> StageProgram:
    """The stage up to the map that is cut into tiles, with every tile computing all that it reads.

    Raises:
      UnsupportedModelError: a tile reads what tiles of another class computed, or an op runs in stages alone.
    """
    if program.num_inputs > 1:
        raise UnsupportedModelError("this stage reads several maps, so no patch of it is a model of its own")
    if len(program.formats) > 1 and any(cache.keeps_halo for cache in program.caches):
        raise UnsupportedModelError(
            "tiles of this stage read what tiles of other classes computed, so no patch of it is a model of its own; "
            "supported are stages of one class or cache mode 'recompute'"
        )
    last = program.tiled
    return dataclasses.replace(
        program,
        shapes=program.shapes[: last + 1],
        ops=program.ops[:last],
        formats=tuple(formats[: last + 1] for formats in program.formats),
        tables=tuple(tables[:last] for tables in program.tables),
        caches=(MapCache(),) * (last + 1),
        primed=False,
    )


class _Branch:
    """One patch's ops over regions in place of maps."""

    def __init__(self, program: StageProgram, row: int, col: int, patch_class: int, ends: tuple[Tensor, Tensor]):
        self._program = program
        self._class = patch_class
        self._regions = [program.region(row, col, m) for m in range(len(program.shapes))]
        self._ends = {0: ends[0], len(program.shapes) - 1: ends[1]}
        self._builder = ModelBuilder.empty(
            f"Patch ({row}, {col}) of the stage from '{ends[0].label}' to '{ends[1].label}'"
        )
        self._maps = {0: self._add_map(0)}

    def add_op(self, index: int, op: StageOp) -> None:
        """An op whose output region is empty computes nothing and is left out."""
        if _is_empty(self._regions[op.output]):
            return
        output = self._maps[op.output] = self._add_map(op.output)
        inputs = [self._padding_pixel(m) if _is_empty(self._regions[m]) else self._maps[m] for m in op.inputs]
        operator = self._qmcu_op(index, op).operator(self._builder, f"op{index}", inputs, output)
        self._builder.subgraph.operators.append(operator)

    def bytes(self) -> bytes:
        self._builder.subgraph.inputs = [self._maps[0]]
        self._builder.subgraph.outputs = [self._maps[len(self._program.shapes) - 1]]
        return write_model(self._builder.model)

    def _add_map(self, m: int) -> int:
        y0, y1, x0, x1 = (0, 1, 0, 1) if _is_empty(self._regions[m]) else self._regions[m]
        shape = (1, y1 - y0, x1 - x0, self._program.shapes[m][2])
        stored = self._program.formats[self._class][m]
        # The program does not hold the scales of maps inside the stage, and no kernel needs them.
        name, scales = (self._ends[m].name, self._ends[m].scales) if m in self._ends else (f"map{m}", ())
        return self._builder.add_map(name, shape, Format(stored.bits, (*scales, 1.0)[0], stored.zero_point))

    def _padding_pixel(self, m: int) -> int:
        """Stands for an empty region: padding is the zero point, so it matters not whether a tap reads it."""
        stored = self._program.formats[self._class][m]
        values = np.full((1, 1, 1, self._program.shapes[m][2]), stored.zero_point, np.int8)
        return self._builder.add_constant(f"map{m}/padding", pack(values, stored.bits).view(np.int8))

    def _qmcu_op(self, index: int, op: StageOp) -> QmcuOp:
        stored = self._program.formats[self._class][op.output]
        source, target = self._regions[op.inputs[0]], self._regions[op.output]
        window = Window() if op.traits.num_maps == 2 else _moved(op.window, source, target)
        origins = tuple((target[0] - self._regions[m][0], target[2] - self._regions[m][2]) for m in op.inputs)
        return QmcuOp(
            kind=op.kind,
            inputs=tuple(self._map(m) for m in op.inputs),
            output=self._map(op.output),
            clamps=(stored.clamp_min, stored.clamp_max),
            window=window,
            table=self._program.tables[self._class][index],
            filter=self._filter(op),
            weight_bits=op.weight_bits,
            depth_multiplier=op.depth_multiplier,
            origins=origins,
        )

    def _map(self, m: int) -> QmcuMap:
        stored = self._program.formats[self._class][m]
        return QmcuMap(self._program.shapes[m][2], stored.bits, stored.zero_point)

    def _filter(self, op: StageOp) -> np.ndarray | None:
        if not op.filter:
            return None
        taps = (op.window.kernel_height, op.window.kernel_width)
        outputs = () if op.traits.is_depthwise else (self._program.shapes[op.output][2],)
        return np.frombuffer(op.filter, np.uint8).reshape(*outputs, *taps, -1)


def _is_empty(region: Region) -> bool:
    return region[1] <= region[0] or region[3] <= region[2]


def _moved(window: Window, source: Region, target: Region) -> Window:
    """The window over regions: their corners take the place of the maps' corners."""
    if _is_empty(source):
        return dataclasses.replace(window, pad_top=0, pad_left=0)
    return dataclasses.replace(
        window,
        pad_top=window.pad_top + source[0] - target[0] * window.stride_height,
        pad_left=window.pad_left + source[2] - target[2] * window.stride_width,
    )
