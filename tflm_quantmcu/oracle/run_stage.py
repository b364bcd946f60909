"""Runs patch stages on the numpy oracle, tile by tile, in batches, to the bytes that TFLM gives.

In: a StageProgram and a batch of its input. Out: its output, or what each tile computes, as unpacked values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tflm_quantmcu.graph.types import Window
from tflm_quantmcu.law import arithmetic
from tflm_quantmcu.law.arrays import Int8Array
from tflm_quantmcu.law.packing import run_bytes, unpack
from tflm_quantmcu.oracle.outlier_rule import holds_outliers
from tflm_quantmcu.oracle.own_kernels import LAWS, NO_FILTER, NOWHERE, Call, Law, moved_window, resize_places
from tflm_quantmcu.stage.geometry import StageOp, is_gated
from tflm_quantmcu.stage.program import StageProgram


def run_stage(
    program: StageProgram, x: Int8Array, laws: Mapping[str, Law] = LAWS, others: Sequence[Int8Array] = ()
) -> Int8Array:
    """Runs a patch stage tile by tile.

    Args:
      program: the stage.
      x: int8 [N, H, W, C], values of map 0.
      laws: what computes each kind.
      others: the same of the further inputs.

    Returns:
      int8 [N, H, W, C], values of the last map.
    """
    y = np.empty((len(x), *program.shapes[program.tiled]), np.int8)
    for row, col, values in run_patches(program, x, laws, others):
        y0, y1, x0, x1 = program.computed(row, col, program.tiled)
        y[:, y0:y1, x0:x1] = values[-1]
    return _reduce(program, y) if program.reduces else y


def _reduce(program: StageProgram, x: np.ndarray) -> np.ndarray:
    """What the reduction at the end of a stage makes of the whole map: int8 [N, 1, 1, C]."""
    y = REDUCTIONS[program.ops[-1].kind](program, x)
    return y.reshape(len(x), 1, 1, -1)


def _last_formats(program: StageProgram) -> dict[str, Any]:
    source, output = (program.formats[0][m] for m in (program.tiled, program.tiled + 1))
    return {"zero_in": source.zero_point, "output": output}


def _reduce_mean(program: StageProgram, x: np.ndarray) -> np.ndarray:
    return arithmetic.mean(x, program.tables[0][-1], **_last_formats(program))


def _reduce_average_pool(program: StageProgram, x: np.ndarray) -> np.ndarray:
    window = Window(kernel_height=x.shape[1], kernel_width=x.shape[2])
    return arithmetic.average_pool2d(x, program.tables[0][-1], window=window, size=(1, 1), **_last_formats(program))


def _reduce_fully_connected(program: StageProgram, x: np.ndarray) -> np.ndarray:
    filter = _unpack_filter(program.ops[-1], program.shapes).reshape(program.shapes[-1][2], -1)
    return arithmetic.fully_connected(x.reshape(len(x), -1), filter, program.tables[0][-1], **_last_formats(program))


# The law of each reduction at the end of a stage, by the kind of the op.
REDUCTIONS: Mapping[str, Callable[[StageProgram, np.ndarray], np.ndarray]] = {
    "MEAN": _reduce_mean,
    "GLOBAL_AVERAGE_POOL_2D": _reduce_average_pool,
    "FULLY_CONNECTED": _reduce_fully_connected,
}


def run_patches(
    program: StageProgram, x: np.ndarray, laws: Mapping[str, Law] = LAWS, others: Sequence[np.ndarray] = ()
) -> Iterator[tuple[int, int, list[np.ndarray]]]:
    """Runs a patch stage tile by tile.

    Args:
      program: the stage.
      x: int8 [N, H, W, C], values of map 0.
      laws: what computes each kind.
      others: the same of the further inputs.

    Yields:
      (row, column, values): of each tile in order, priming tiles too; values are int8 [N, height, width, C] a map up to
      the one that is cut into tiles, of the region that the tile computes, or reads of an input.
    """
    filters = [_unpack_filter(op, program.shapes) if op.filter else NO_FILTER for op in program.ops]
    made = program.shapes[program.num_inputs : program.tiled + 1]
    maps = [x, *others, *(np.zeros((len(x), *shape), np.int8) for shape in made)]
    for row, col in program.visits():
        for patch_class, samples in _samples_by_class(program, row, col, x):
            some = maps if samples is None else [values[samples] for values in maps]
            for index in range(len(made)):
                _run_stage_op(program, filters[index], row, col, patch_class, index, some, laws)
            if samples is not None:
                for values, computed in zip(maps[-len(made) :], some[-len(made) :], strict=True):
                    values[samples] = computed
        regions = (program.computed(row, col, m) for m in range(len(maps)))
        yield row, col, [m[:, y0:y1, x0:x1] for m, (y0, y1, x0, x1) in zip(maps, regions, strict=True)]


def _run_stage_op(
    program: StageProgram,
    filter: np.ndarray,
    row: int,
    col: int,
    patch_class: int,
    index: int,
    maps: Sequence[np.ndarray],
    laws: Mapping[str, Law],
) -> None:
    """Computes one tile's region of the op's map, from the regions that the tile may read."""
    op = program.ops[index]
    formats = program.formats[patch_class]
    y0, y1, x0, x1 = program.computed(row, col, op.output)
    regions = [program.region(row, col, m) for m in op.inputs]
    inputs = [maps[m][:, a:b, c:d] for m, (a, b, c, d) in zip(op.inputs, regions, strict=True)]
    window = op.window
    if op.traits.reads_in_place:
        inputs = [
            values[:, y0 - top : y1 - top, x0 - left : x1 - left]
            for values, (top, _, left, _) in zip(inputs, regions, strict=True)
        ]
        if is_gated(op.kind, op.inputs, op.output, program.shapes):
            inputs[1] = maps[op.inputs[1]]
    else:
        # The input's region takes the place of the map, so the window moves with both regions.
        window = moved_window(op, regions[0], (y0, x0))
    is_resize = op.kind == "RESIZE_BILINEAR"
    size = (y1 - y0, x1 - x0)
    maps[op.output][:, y0:y1, x0:x1] = laws[op.kind](
        Call(
            inputs,
            filter,
            program.tables[patch_class][index],
            window=window,
            size=size,
            zeros=[formats[m].zero_point for m in op.inputs],
            depth_multiplier=op.depth_multiplier,
            output=formats[op.output],
            positions=resize_places(op, program.shapes, regions[0], (y0, x0), size)
            if is_resize
            else (NOWHERE, NOWHERE),
        )
    )


def _samples_by_class(
    program: StageProgram, row: int, col: int, x: np.ndarray
) -> Iterator[tuple[int, np.ndarray | None]]:
    """The classes that a patch has in a batch, and which samples have them; None is all."""
    classes = program.classes_of(row, col)
    if len(classes) == 1:
        yield classes[0], None
        return
    has_outliers = holds_outliers(program, row, col, x)
    for patch_class, chosen in ((0, has_outliers), (1, ~has_outliers)):
        if chosen.any():
            yield patch_class, np.flatnonzero(chosen)


def _unpack_filter(op: StageOp, shapes: Sequence[tuple[int, int, int]]) -> np.ndarray:
    taps = shapes[op.inputs[0]][:2] if op.traits.is_vector else _kernel_size(op.window)
    is_depthwise = op.traits.is_depthwise
    channels = shapes[op.output if is_depthwise else op.inputs[0]][2]
    data = np.frombuffer(op.filter, np.uint8).reshape(-1, run_bytes(channels, op.weight_bits))
    values = unpack(data, op.weight_bits, channels)
    return values.reshape(*taps, channels) if is_depthwise else values.reshape(-1, *taps, channels)


def _kernel_size(window: Window) -> tuple[int, int]:
    return window.kernel_height, window.kernel_width
