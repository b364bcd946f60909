"""Ops outside stages become ours where the target's arena gets smaller by it, and equal stock ones in every byte."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

import tflm_quantmcu as qm
from tests.support.networks import inverted_residual
from tests.support.property_settings import examples
from tests.support.random_cnn import RandomCnn, random_cnns
from tests.support.tiny_models import TinyModel
from tflm_quantmcu.arena.gains import op_bytes, own_op_bytes
from tflm_quantmcu.arena.machine import CORTEX_M
from tflm_quantmcu.arena.persistent import persistent_bytes, replay_allocation
from tflm_quantmcu.converter.convert import convert_model
from tflm_quantmcu.converter.passes.take_ops import has_faster_kernels
from tflm_quantmcu.converter.verify import verify_conversion
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.graph.target import CMSIS_NN, CORES, Target, variant_of
from tflm_quantmcu.graph.types import ModelGraph
from tflm_quantmcu.lowering.network import LoweredNetwork
from tflm_quantmcu.tflite.model_file import ModelFile
from tflm_quantmcu.tflite.reader import read_model

MODEL = inverted_residual()
M4 = Target.of("cortex-m4")


def converted(model: bytes, core: str = "cortex-m4", **options: bool) -> ModelGraph:
    plan = PrecisionPlan(read_model(model).sha256, {})
    return read_model(convert_model(model, plan, target=Target.of(core), **options))


def kept(graph: ModelGraph) -> int:
    found = persistent_bytes(graph, CORTEX_M, "dsp")
    assert found is not None
    return found.total


def activations_and_pads() -> bytes:
    net = TinyModel()
    x = net.pad(net.input((1, 6, 6, 2)), ((0, 0), (1, 1), (1, 1), (0, 0)))
    x = net.conv2d(x, np.ones((4, 3, 3, 2), np.int8), padding="VALID", filter_scales=[0.01, 0.02, 0.03, 0.04])
    return net.build(net.max_pool2d(net.elu(net.hard_swish(x, scale=0.05, zero_point=-3)), (2, 2)))


@pytest.mark.parametrize("model", (MODEL, activations_and_pads()), ids=("residual", "activations"))
@pytest.mark.parametrize("core", ("cortex-m4", "cortex-m55"))
def test_outputs_and_arenas_are_those_promised(model: bytes, core: str) -> None:
    """The second by what TFLM records on this host with the core's scratch, persistent bytes included."""
    plan, target = PrecisionPlan(read_model(model).sha256, {}), Target.of(core)
    after = convert_model(model, plan, target=target)
    assert kept(read_model(after)) < kept(read_model(model))
    assert verify_conversion(
        ModelFile(model), after, plan, np.zeros((1, *read_model(model).tensors[0].shape[1:]), np.int8)
    )


def test_all_but_what_gains_nothing_become_ours() -> None:
    kinds = [op.kind for op in converted(MODEL).ops]
    assert {kind for kind in kinds if not kind.startswith("QMCU_")} == {"RESHAPE", "SOFTMAX"}


def test_the_bytes_of_an_op_add_up() -> None:
    """What changes is the sum of what each op gains, but for padding between allocations."""
    graph, after = read_model(MODEL), converted(MODEL)
    ours = filter(LoweredNetwork.of(graph).is_ours, graph.ops)
    gains = [op_bytes(graph, op, CORTEX_M, M4) - own_op_bytes(graph, op, CORTEX_M) for op in ours]
    handles = CORTEX_M.pointer * sum(op.traits.has_filter for op in graph.ops)  # of ops that ask for scratch
    assert sum(gains) - 16 <= kept(graph) - kept(after) <= sum(gains) + 16 + handles


@pytest.mark.parametrize("core", ("any", "host"))
def test_cores_whose_kernels_are_no_faster_keep_stock_ops(core: str) -> None:
    assert [op.kind for op in converted(MODEL, core).ops] == [op.kind for op in read_model(MODEL).ops]


def test_stock_ops_may_be_kept() -> None:
    assert [op.kind for op in converted(MODEL, keep_stock_ops=True).ops] == [op.kind for op in read_model(MODEL).ops]


def test_whose_kernels_are_faster() -> None:
    faster = {core for core in CORES if has_faster_kernels(Target.of(core))}
    assert faster == {core for core in CORES if variant_of(core) != "reference"}
    assert not has_faster_kernels(Target.of("m4", runtime="aot"))


def test_scratch_that_outweighs_the_gain_keeps_an_op_stock() -> None:
    """A filter of 9 x 512 values for one output channel: the M55 unpacks more than TFLM keeps for it."""
    net = TinyModel()
    model = net.build(net.conv2d(net.input((1, 8, 8, 512)), np.ones((2, 3, 3, 512), np.int8)))
    arenas = {}
    for keeps in (True, False):
        graph = converted(model, "cortex-m55", keep_stock_ops=keeps)
        arenas[keeps] = replay_allocation(graph, CORTEX_M, "mve").needed_bytes
    assert arenas[False] <= arenas[True]


@examples(8)
@given(random_cnns())
def test_no_arena_is_larger_for_it(cnn: RandomCnn) -> None:
    found = {}
    for keeps in (True, False):
        result = qm.convert(cnn.model, search="memory_driven", core="m4", keep_stock_ops=keeps, progress=False)
        found[keeps] = result.report.as_dict()["after"]
    assert found[False]["arena_bytes"] <= found[True]["arena_bytes"]


def test_maps_alone_count_no_bytes_of_ops() -> None:
    """The papers' convention: stock ops stay."""
    result = qm.convert(
        MODEL, search="memory_driven", core="m4", sram_scope="nonpersistent", split="off", progress=False
    )
    assert [op.kind for op in read_model(result.model).ops] == [op.kind for op in read_model(MODEL).ops]


def test_a_bound_on_flash_that_only_stock_ops_meet_keeps_them() -> None:
    """Tables of many channels with one scale take 8 bytes a channel more than the bias of the stock op."""
    net = TinyModel()
    x = net.input((1, 4))
    for _ in range(2):
        x = net.fully_connected(x, np.ones((300, x.shape[1]), np.int8), np.ones(300))
    model = net.build(x)
    sizes = {keeps: len(_unsplit(model, keep_stock_ops=keeps).model) for keeps in (True, False)}
    assert sizes[True] < sizes[False]
    assert len(_unsplit(model, flash_bytes=sizes[True], flash_scope="model").model) == sizes[True]


def _unsplit(model: bytes, **options: object) -> qm.ConversionResult:
    return qm.convert(model, search="memory_driven", core="m4", progress=False, **options)


def test_cmsis_nn_is_beaten_where_ours_are_for_dsp() -> None:
    assert has_faster_kernels(Target("cortex-m4", stock_kernels=CMSIS_NN))
    assert not has_faster_kernels(Target("cortex-m55", stock_kernels=CMSIS_NN))
