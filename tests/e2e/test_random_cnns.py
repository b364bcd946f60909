"""Random small CNNs, converted and run on the real TFLM.

Split at 8 bits by any tile, a network is the same function in every byte; at other widths every
map equals the oracle's. The arena that TFLM records is the predicted one.
"""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st

from tests.support.conversions import assert_equals_oracle, assert_split_equals_stock
from tests.support.property_settings import examples
from tests.support.random_cnn import random_cnns, random_formats, random_stages, stage_regions
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.graph.types import BIT_WIDTHS, ModelGraph
from tflm_quantmcu.lowering.network import LoweredNetwork
from tflm_quantmcu.tflite.reader import read_model


def _has_kernel(graph: ModelGraph, tensor: int) -> bool:
    """Whether an op that can become ours reads or writes the map: else no format but 8 bits fits."""
    ops = [*graph.consumers[tensor], *(op for op in graph.ops if tensor in op.outputs)]
    return any(map(LoweredNetwork.of(graph).is_ours, ops))


@examples(300)
@given(st.data())
def test_splitting_at_eight_bits_keeps_every_output_byte(data):
    cnn = data.draw(random_cnns())
    graph = read_model(cnn.model)
    assume(stage_regions(graph))
    stage = data.draw(random_stages(graph))
    assert_split_equals_stock(cnn, graph, stage)


@examples(100)
@given(st.data())
def test_every_map_of_a_random_plan_equals_the_oracle(data):
    cnn = data.draw(random_cnns())
    graph = read_model(cnn.model)
    stages = ()
    if stage_regions(graph) and data.draw(st.booleans()):
        stages = (data.draw(random_stages(graph, bits=BIT_WIDTHS)),)
    maps = [t for t in graph.tensors if not t.is_constant and _has_kernel(graph, t.index)]
    weights = [t.name for t in graph.tensors if t.is_constant and t.dtype == "int8" and t.scales]
    weights = [name for name in weights if len(graph.by_name[name].shape) > 1]
    plan = PrecisionPlan(
        graph.sha256,
        {},
        stages=stages,
        formats=data.draw(random_formats(maps, bits=(8, *BIT_WIDTHS))),
        weight_bits={name: data.draw(st.sampled_from(BIT_WIDTHS)) for name in weights},
    )
    assert_equals_oracle(cnn, graph, plan)
