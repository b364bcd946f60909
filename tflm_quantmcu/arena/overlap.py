"""How far a patch stage may write its output over its own input.

The stage runs tiles in row-major order, so the input's rows above the first one that the tiles of a row read are not
read any more, and the output's rows of those tiles and of the ones before are all that is written by then. A reduction
writes its output when all is read (docs/format.md F4).
"""

from __future__ import annotations

from tflm_quantmcu.law.packing import run_bytes
from tflm_quantmcu.placement.memory import ARENA_ALIGNMENT, align
from tflm_quantmcu.stage.program import StageProgram


def overlap_distance(program: StageProgram) -> int | None:
    """The least bytes by which the input must begin behind the output when they share memory.

    Returns:
      A multiple of 16 such that, for every row of tiles, the output written through that row ends at or before the
      first input row that the row of tiles reads; None where that is behind the whole output, or the input is streamed.
    """
    if program.is_streamed:
        return None
    if program.reduces:
        return 0
    input_row, output_row = _row_bytes(program, 0), _row_bytes(program, len(program.shapes) - 1)
    height = program.shapes[-1][0]
    distance = 0
    for row in range(len(program.patch_classes)):
        begin, end, *_ = program.region(row, 0, 0)
        if begin < end:
            written = min((row + 1) * program.tile_height, height) * output_row
            distance = max(distance, written - begin * input_row)
    distance = align(distance, ARENA_ALIGNMENT)
    return distance if distance < height * output_row else None


def _row_bytes(program: StageProgram, index: int) -> int:
    """Bytes of a row of X or Y, whose format all classes share."""
    _, width, channels = program.shapes[index]
    return width * run_bytes(channels, program.formats[0][index].bits)
