"""A patch stage may write over the input rows that no later tile reads, and no others."""

from __future__ import annotations

import numpy as np
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.support.property_settings import examples
from tests.support.random_cnn import random_cnns, random_stages, stage_regions
from tests.support.tiny_models import TinyModel
from tflm_quantmcu.arena.overlap import overlap_distance
from tflm_quantmcu.graph.precision_plan import PatchClass, StagePlan
from tflm_quantmcu.graph.types import BIT_WIDTHS
from tflm_quantmcu.law.packing import run_bytes
from tflm_quantmcu.stage.build import build_program
from tflm_quantmcu.stage.program import StageProgram
from tflm_quantmcu.tflite.reader import read_model


def overwrites(program: StageProgram, distance: int) -> bool:
    """Whether, byte by byte, a tile reads of X what it or an earlier tile has written of Y."""
    if program.reduces:
        return False  # Y is written after the last tile
    x, y = 0, len(program.shapes) - 1
    row_bytes = [program.shapes[m][1] * run_bytes(program.shapes[m][2], program.formats[0][m].bits) for m in (x, y)]
    written = np.zeros(distance + sum(program.shapes[m][0] * n for m, n in zip((x, y), row_bytes, strict=True)), bool)
    for row, col, _ in program.patches():
        written[program.region(row, col, y)[0] * row_bytes[1] : program.region(row, col, y)[1] * row_bytes[1]] = True
        first, last, *_ = program.region(row, col, x)
        if written[distance + first * row_bytes[0] : distance + last * row_bytes[0]].any():
            return True
    return False


@examples(100)
@given(st.data())
def test_no_tile_reads_what_was_written_and_a_smaller_distance_would(data: st.DataObject) -> None:
    graph = read_model(data.draw(random_cnns()).model)
    assume(stage_regions(graph))
    stage = data.draw(random_stages(graph, bits=data.draw(st.sampled_from([(8,), BIT_WIDTHS]))))
    program = build_program(graph, stage, weight_bits={}, formats={})
    distance = overlap_distance(program)
    if program.is_streamed:
        assert distance is None
    elif distance is None:
        height, width, channels = program.shapes[-1]
        num_bytes = height * width * run_bytes(channels, program.formats[0][-1].bits)
        assert num_bytes <= 16 or overwrites(program, (num_bytes - 1) // 16 * 16)
    else:
        assert distance % 16 == 0
        assert not overwrites(program, distance)
        assert distance == 0 or overwrites(program, distance - 16)


def test_the_distance_of_a_convolution() -> None:
    """3x3 SAME on 8 rows of 8 bytes in, 16 bytes out, tiles of 2 rows: before tile row r = 0, 1, 2, 3 the input rows
    0, 1, 3, 5 are the first ones read, while 32, 64, 96 and 128 bytes are written: 128 - 40 = 88, on 16 bytes 96."""
    net = TinyModel()
    model = net.build(net.conv2d(net.input((1, 8, 4, 2)), np.ones((4, 3, 3, 2), np.int8)))
    graph = read_model(model)
    names = [graph.tensors[t].name for t in (graph.inputs[0], graph.outputs[0])]
    for tile_height, wanted in ((2, 96), (4, 112), (8, None)):
        rows = 8 // tile_height
        stage = StagePlan(*names, tile_height, 4, ((0,),) * rows, (PatchClass("outlier", {}),))
        assert overlap_distance(build_program(graph, stage, weight_bits={}, formats={})) == wanted
