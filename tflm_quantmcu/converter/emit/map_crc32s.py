"""CRC32s of every feature map that a model computes, those inside patch stages too: what an emitted test compares.

In: a model and samples. Out: uint32 [sample, op]. The maps between ops are TFLM's; those inside stages, which TFLM
has nowhere, are the numpy oracle's, tile by tile.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from tflm_quantmcu.converter.map_taps import stage_inputs
from tflm_quantmcu.graph.types import Op
from tflm_quantmcu.law.packing import pack
from tflm_quantmcu.oracle.outlier_rule import holds_outliers
from tflm_quantmcu.oracle.run_stage import run_patches
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.stage.custom_ops import PATCH_STAGE, program_of
from tflm_quantmcu.stage.program import StageProgram
from tflm_quantmcu.tflite.model_file import ModelFile


def map_crc32s(model: ModelFile, inputs: Sequence[np.ndarray]) -> np.ndarray:
    """Runs the samples.

    Args:
      model: the `.tflite`.
      inputs: [sample, ...] of each input.

    Returns:
      uint32 [sample, op]: of what the kernels of a patch stage write, call by call, and then of the op's output.
    """
    graph = model.graph
    interpreter = Interpreter(model, preserve_all_tensors=True)
    stages = {op.index: program_of(graph, op) for op in graph.ops if op.kind == PATCH_STAGE}
    outputs: list[list[bytes]] = []
    read: dict[int, list[list[np.ndarray]]] = {index: [] for index in stages}
    for sample in zip(*inputs, strict=True):
        interpreter.invoke(list(sample))
        outputs.append([interpreter.tensor(op.outputs[0]).tobytes() for op in graph.ops])
        for index, program in stages.items():
            read[index].append(stage_inputs(program, graph.ops[index], interpreter, sample[0]))
    inside = {
        index: _stage_crc32s(program, *map(np.stack, zip(*read[index], strict=True)))
        for index, program in stages.items()
    }
    return np.array(
        [[_crc32(maps[op.index], inside, op, n) for op in graph.ops] for n, maps in enumerate(outputs)], np.uint32
    )


def _crc32(output: bytes, inside: dict[int, list[int]], op: Op, sample: int) -> int:
    return zlib.crc32(output, inside[op.index][sample] if op.index in inside else 0)


def _stage_crc32s(program: StageProgram, x: np.ndarray, *others: np.ndarray) -> list[int]:
    """The CRC32s of all regions that the stage's kernels write, in order, for inputs int8 [N, H, W, C]."""
    crc32s = [0] * len(x)
    for row, col, maps in run_patches(program, x, others=others):
        classes = _classes(program, row, col, x)
        for op in program.ops[: len(program.ops) - program.reduces]:
            for n, patch_class in enumerate(classes):
                bits = program.formats[patch_class][op.output].bits
                crc32s[n] = zlib.crc32(pack(maps[op.output][n], bits).tobytes(), crc32s[n])
    return crc32s


def _classes(program: StageProgram, row: int, col: int, x: np.ndarray) -> list[int]:
    """The patch's class of each sample."""
    classes = program.classes_of(row, col)
    if len(classes) == 1:
        return [classes[0]] * len(x)
    return np.where(holds_outliers(program, row, col, x), 0, 1).tolist()
