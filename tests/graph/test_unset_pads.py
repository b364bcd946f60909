"""Ops that TFLM pads with a byte that it never sets are told."""

from __future__ import annotations

import pytest

from tests.support.blocks import blocks_of, conv, map_of
from tests.support.edit_model import StockModel
from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.converter.verify import verify_conversion
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.graph.unset_pads import unset_pads_sentences
from tflm_quantmcu.tflite.canonical.canonical import canonical
from tflm_quantmcu.tflite.model_file import ModelFile

NOTHING = [(0, 0), (0, 0)]


def blocks(pads, *, zero_point: int = 1) -> ModelFile:
    net = StockModel()
    inner = blocks_of(net, net.relu(net.input((1, 8, 8, 4), zero_point=5)), (2, 2), pads)
    y = map_of(net, conv(net, inner, (1, 1)), (2, 2), NOTHING)
    return canonical(ModelFile(net.build(net.add(y, y, scale=0.2, zero_point=zero_point))))


def test_a_block_op_that_pads_is_told():
    (text,) = unset_pads_sentences(blocks([(2, 2), (2, 2)]).graph)
    assert text.startswith("SPACE_TO_BATCH_ND 'map") and "never sets" in text
    assert not unset_pads_sentences(blocks(NOTHING).graph)


def test_where_outputs_differ_it_is_the_reason():
    model = blocks([(2, 2), (2, 2)])
    other = blocks([(2, 2), (2, 2)], zero_point=9).data
    with pytest.raises(UnsupportedModelError, match="no certain outputs of the model: SPACE_TO_BATCH_ND"):
        verify_conversion(model, other, PrecisionPlan(model.graph.sha256, {}))
