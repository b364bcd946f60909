"""What a streamed model says of its input, and in which order its stage asks for it."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support import networks
from tests.support.edit_model import edited
from tests.support.plans import front_stage
from tests.support.streamed import streamed_plan
from tflm_quantmcu.app.inspection import describe_model
from tflm_quantmcu.base.errors import UnsupportedModelError, UsageError
from tflm_quantmcu.converter.convert import convert_model
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.stage.build import build_program
from tflm_quantmcu.stage.program import StageProgram
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.reader import load_model_t, read_model
from tflm_quantmcu.tflite.streaming import describe_requests, find_streamed_input, input_requests

MODEL = networks.inverted_residual()
GRAPH = read_model(MODEL)
INPUT = GRAPH.tensors[GRAPH.inputs[0]]
HEIGHT, WIDTH = INPUT.shape[1:3]


def program(**fields: object) -> StageProgram:
    plan = streamed_plan(GRAPH, **fields)
    return build_program(GRAPH, plan.stages[0], weight_bits={}, formats={})


def counts_of(stage: StageProgram) -> np.ndarray:
    """How often each pixel is asked for."""
    counts = np.zeros((HEIGHT, WIDTH), int)
    for y0, y1, x0, x1 in input_requests(stage):
        counts[y0:y1, x0:x1] += 1
    return counts


def test_the_input_is_described_by_the_file():
    found = find_streamed_input(load_model_t(convert_model(MODEL, streamed_plan(GRAPH))))
    kept = ("name", "shape", "dtype", "scales", "zero_points")
    assert [getattr(found, k) for k in kept] == [getattr(INPUT, k) for k in kept]


def test_without_metadata_shape_and_type_are_left():
    found = find_streamed_input(load_model_t(convert_model(MODEL, streamed_plan(GRAPH), strip_metadata=True)))
    assert (found.name, found.shape, found.dtype, found.scales) == ("input", INPUT.shape, "int8", ())


@pytest.mark.parametrize(
    "data", [b"", b"[]", b'{"dtype": "uint8"}', b'{"dtype": "uint8", "scale": 0, "zero_point": 0}']
)
def test_metadata_of_the_input_that_cannot_be_read_is_refused(data: bytes):
    def add(tree):
        tree.buffers.append(schema.BufferT(data=np.frombuffer(data, np.uint8)))
        tree.metadata.append(schema.MetadataT(name=b"QUANTMCU_INPUT", buffer=len(tree.buffers) - 1))

    converted = edited(convert_model(MODEL, streamed_plan(GRAPH)), add)
    with pytest.raises(UsageError, match="the file's QUANTMCU_INPUT does not tell a uint8 input's scale"):
        find_streamed_input(load_model_t(converted))


def test_a_resident_model_streams_nothing():
    converted = convert_model(MODEL, PrecisionPlan(GRAPH.sha256, {}, stages=(front_stage(GRAPH),)))
    assert find_streamed_input(load_model_t(converted)) is None
    assert find_streamed_input(load_model_t(MODEL)) is None


def test_a_stage_without_its_program_is_refused():
    def drop_program(tree):
        filters = tree.subgraphs[0].operators[0].inputs[1]
        tree.subgraphs[0].operators[0].inputs = np.array([-1, filters, -1], np.int32)

    converted = edited(convert_model(MODEL, streamed_plan(GRAPH)), drop_program)
    with pytest.raises(UnsupportedModelError, match="QMCU_PATCH_STAGE does not have constant filters"):
        read_model(converted)


def test_full_width_and_a_cached_input_read_rows_once_in_order():
    stage = program(tile_height=3, tile_width=None, cache_mode="recompute", map_caches={INPUT.name: "full"})
    requests = input_requests(stage)
    assert {(x0, x1) for _, _, x0, x1 in requests} == {(0, WIDTH)}
    assert [y0 for y0, *_ in requests] == [0, *(y1 for _, y1, *_ in requests)][:-1]
    assert (counts_of(stage) == 1).all()
    most = max(y1 - y0 for y0, y1, *_ in requests)
    assert describe_requests(stage) == f"reads each input row once, in order, {most} rows at a time at most"


def test_small_tiles_and_a_cached_input_read_pixels_once_but_not_in_rows():
    stage = program(tile_height=3, tile_width=4, cache_mode="full")
    assert (counts_of(stage) == 1).all()
    assert describe_requests(stage) == f"reads the input in {len(input_requests(stage))} regions, each pixel once"


def test_recomputed_halos_are_read_again():
    stage = program(tile_height=3, tile_width=None, cache_mode="recompute")
    again = (counts_of(stage) - 1).sum() / (HEIGHT * WIDTH)
    assert again > 0
    expected = f"reads the input in {len(input_requests(stage))} regions, {again:.1%} of its pixels again"
    assert describe_requests(stage) == expected
    assert expected in describe_model(convert_model(MODEL, streamed_plan(GRAPH, tile_height=3, tile_width=None)))
