"""FlexBuffer options and programs of our ops: the same bytes every time, and a sentence for what is malformed."""

from __future__ import annotations

import pytest

from tests.support import networks
from tests.support.edit_model import with_tensor
from tests.support.plans import front_stage
from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.converter.convert import convert_model
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.stage.custom_ops import decode_options, encode_options, program_of
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.reader import read_model

OPTIONS = {"version": 1, "clamp_min": -128, "multiplier": 2**31 - 1, "cache_mode": "recompute", "shift": -31}


def test_options_come_back():
    assert decode_options(encode_options(OPTIONS)) == OPTIONS


def test_the_order_of_keys_does_not_matter():
    assert encode_options(dict(reversed(OPTIONS.items()))) == encode_options(OPTIONS)


@pytest.mark.parametrize(
    ("data", "why"),
    [(b"", "not a FlexBuffer map"), (b"\xff" * 9, "not a FlexBuffer map"), (b"\x05\x04\x01", "are a int, not a map")],
)
def test_refuses_what_is_no_map(data, why):
    with pytest.raises(UnsupportedModelError, match=why):
        decode_options(data)


def converted() -> bytes:
    model = networks.inverted_residual()
    graph = read_model(model)
    return convert_model(model, PrecisionPlan(graph.sha256, {}, stages=(front_stage(graph),)))


def test_the_program_of_a_converted_model():
    graph = read_model(converted())
    program = program_of(graph, graph.ops[0])
    assert program.shapes[-1] == graph.tensors[graph.ops[0].outputs[0]].shape[1:]


def test_refuses_a_stage_without_a_program():
    model = converted()
    program = read_model(model).ops[0].inputs[2]
    graph = read_model(with_tensor(model, program, type=schema.TensorType.FLOAT32))
    with pytest.raises(UnsupportedModelError, match=r"QMCU_PATCH_STAGE \(op 0\) does not have constant int8"):
        program_of(graph, graph.ops[0])
    with pytest.raises(UnsupportedModelError, match="/program', which is no input, has no values in the file"):
        read_model(with_tensor(model, program, buffer=0))
