"""What the C++ reader refuses of a stage that keeps halos, streams its input and ends in a reduction."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.kernels import why_refused
from tests.support.networks import inverted_residual
from tflm_quantmcu.graph.precision_plan import PatchClass, StagePlan
from tflm_quantmcu.stage.build import build_program
from tflm_quantmcu.stage.op_words import OP_WORDS
from tflm_quantmcu.stage.program import FORMAT_WORDS, MAP_WORDS, StageProgram
from tflm_quantmcu.tflite.reader import read_model


def _program() -> StageProgram:
    graph = read_model(inverted_residual())
    pool = next(op for op in graph.ops if op.kind == "AVERAGE_POOL_2D")
    stage = StagePlan(
        input=graph.tensors[graph.inputs[0]].name,
        output=graph.tensors[pool.outputs[0]].name,
        tile_height=2,
        tile_width=3,
        patch_classes=((0,) * 4,) * 6,
        classes=(PatchClass("outlier", {}),),
        cache_mode="full",
        input_mode="streamed",
    )
    return build_program(graph, stage, weight_bits={}, formats={})


PROGRAM = _program()
OPTIONS, FILTERS, WORDS = PROGRAM.encode()
LAST = len(PROGRAM.shapes) - 1
HALO = next(m for m, cache in enumerate(PROGRAM.caches) if m > 0 and min(cache.left_columns, cache.top_rows) > 1)


def map_word(m: int, name: str) -> int:
    names = ["height", "width", "channels", "mode", "columns", "left", "left_bytes", "rows", "top", "top_bytes"]
    return OP_WORDS * len(PROGRAM.ops) + MAP_WORDS * m + names.index(name)


def format_word(m: int, field: int) -> int:
    return map_word(LAST + 1, "height") + FORMAT_WORDS * m + field


def test_the_stage_itself_is_accepted() -> None:
    assert why_refused(OPTIONS, FILTERS, WORDS) is None


@pytest.mark.parametrize("primed", [-1, 3])
def test_priming_that_we_do_not_know_is_refused(primed: int) -> None:
    assert "primed" in (why_refused({**OPTIONS, "primed": primed}, FILTERS, WORDS) or "")


@pytest.mark.parametrize(
    ("word", "value", "reason"),
    [
        (map_word(HALO, "mode"), 4, "cache_mode"),
        (map_word(HALO, "mode"), 3, "cache_mode"),
        (map_word(HALO, "mode"), 1, "top_rows"),
        (map_word(HALO, "mode"), 0, "left_columns"),
        (map_word(HALO, "columns"), PROGRAM.caches[HALO].left_columns - 1, "left"),
        (map_word(HALO, "columns"), 99, "left_columns"),
        (map_word(HALO, "left"), 2, "multiple of 4"),
        (map_word(HALO, "left"), PROGRAM.caches[HALO].top_offset, "what another map keeps"),
        (map_word(HALO, "left"), PROGRAM.formats[0][HALO].scratch_offset, "what a map keeps"),
        (map_word(HALO, "left_bytes"), 0, "left_bytes"),
        (map_word(HALO, "rows"), 0, "store"),
        (map_word(HALO, "rows"), PROGRAM.caches[HALO].top_rows - 1, "top_rows"),
        (map_word(HALO, "top_bytes"), PROGRAM.caches[HALO].top_bytes - 1, "top_bytes"),
        (map_word(HALO, "top"), -4, "multiple of 4"),
        (map_word(PROGRAM.tiled, "mode"), 1, "cache_mode"),
        (map_word(LAST, "height"), 2, "one pixel"),
        (format_word(0, 4), -1, ""),
        (format_word(0, 5), 8, "scratch_bytes"),
        (format_word(LAST, 4), 6, "multiple of 4"),
        (format_word(LAST, 4), PROGRAM.caches[HALO].top_offset, "keeps"),
        (format_word(LAST, 5), 4 * PROGRAM.shapes[LAST][2] - 4, "int32 sums"),
        (OP_WORDS * (LAST - 1), 8, "weight_bits"),
        (OP_WORDS * (LAST - 1) + 1, 2, "before Y"),
        (OP_WORDS * (LAST - 1) + 6, 2, "stride"),
    ],
)
def test_a_wrong_word_is_refused_for_what_it_is(word: int, value: int, reason: str) -> None:
    words = WORDS.copy()
    assert words[word] != value
    words[word] = value
    refusal = why_refused(OPTIONS, FILTERS, words)
    assert refusal is not None and reason in refusal


def test_a_stage_of_less_cache_than_its_maps_is_refused() -> None:
    refusal = why_refused({**OPTIONS, "cache_mode": "rows"}, FILTERS, WORDS)
    assert refusal is not None and "cache_mode" in refusal


def test_random_words_never_get_past_the_checks_to_run_wild() -> None:
    rng = np.random.default_rng(0)
    for _ in range(2000):
        words = WORDS.copy()
        words[rng.integers(0, words.size)] = rng.choice([-1, 0, 1, 7, 99, 2**31 - 1, -(2**31), rng.integers(0, 5000)])
        why_refused(OPTIONS, FILTERS, words)
