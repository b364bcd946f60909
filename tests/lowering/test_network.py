"""A lowered network: every question about an op is asked once, by it alone, and what lowering gives is kept."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest

import tflm_quantmcu
from tests.support import networks
from tests.support.edit_model import with_tensor
from tests.support.plans import mixed
from tests.support.tiny_models import TinyModel
from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.compensation.compensate import compensate
from tflm_quantmcu.cost.instructions import load_table
from tflm_quantmcu.cost.plan_work import work_of
from tflm_quantmcu.lowering.network import LoweredNetwork
from tflm_quantmcu.oracle.simulate import simulate
from tflm_quantmcu.patches.planner import plan_stages
from tflm_quantmcu.search.widths import free_maps, free_weights
from tflm_quantmcu.tflite.reader import read_model
from tools.check_layers import python_uses
from tools.room_walk import trace

ROOT = Path(__file__).resolve().parents[2]
FILTER = np.ones((4, 1, 1, 4), np.int8)


def test_all_rooms_together_ask_once_an_op() -> None:
    graph = read_model(networks.inverted_residual())
    plan, table = mixed(graph, 0), load_table("m4")
    x = np.zeros((1, *graph.tensors[graph.inputs[0]].shape[1:]), np.int8)
    graph = dataclasses.replace(graph)  # of which nobody has asked anything

    def all_rooms() -> None:
        free_maps(graph)
        free_weights(graph, "none")
        plan_stages(graph, sram_bytes=1)
        work_of(graph, plan, table)
        simulate(graph, plan, x)

    package = Path(tflm_quantmcu.__file__).parent
    calls = trace(package, all_rooms).calls
    assert calls["inner_ops_of"] == len(graph.ops)
    assert 0 < calls["why_unsupported"] <= len(graph.ops)
    # Weights at the model's width and at the plan's.
    assert 0 < calls["lower_op"] <= len(graph.ops) + len(plan.weight_bits)
    again = trace(package, lambda: compensate(graph, plan, x, mode="bias")).calls
    assert (again["inner_ops_of"], again["why_unsupported"]) == (0, 0)


def test_the_raw_questions_are_asked_by_the_network_alone() -> None:
    assert {use.module for use in python_uses(ROOT) if use.used == "lowering.support"} == {"lowering.network"}


def test_a_graph_has_one_network_which_keeps_what_it_lowered() -> None:
    graph = read_model(networks.inverted_residual())
    network = LoweredNetwork.of(graph)
    assert LoweredNetwork.of(graph) is network
    assert LoweredNetwork.of(read_model(networks.inverted_residual())) is not network
    op = next(op for op in graph.ops if op.traits.has_filter)
    assert network.lower(op) is network.lower(op)
    assert network.lower(op, weight_bits=4) is not network.lower(op)


def test_an_op_without_a_kernel_is_refused_with_the_reason() -> None:
    net = TinyModel()
    x = net.conv2d(net.input((1, 4, 4, 4)), FILTER)
    graph = read_model(net.build(net.concatenation([x, x], 3)))
    network, (conv, joined) = LoweredNetwork.of(graph), graph.ops
    assert network.is_ours(conv) and network.refusal(joined) == "CONCATENATION has no QMCU_ kernel"
    with pytest.raises(UnsupportedModelError, match=r"CONCATENATION '.*' \(op 1\) cannot become a QMCU_ op: .* kernel"):
        network.lower(joined)


def test_macs_are_those_of_convolutions_and_fully_connected_ops() -> None:
    net = TinyModel()
    x = net.conv2d(net.input((1, 4, 4, 4)), FILTER)
    graph = read_model(net.build(net.fully_connected(net.reshape(net.relu(x), (1, 64)), np.ones((3, 64), np.int8))))
    network = LoweredNetwork.of(graph)
    assert [network.macs(op) for op in graph.ops] == [4 * 4 * 4 * 4, 0, 0, 3 * 64]
    assert network.total_macs == 256 + 192


def test_what_reads_or_writes_a_variable_is_in_no_stage() -> None:
    model = networks.inverted_residual()
    graph = read_model(model)
    inner = graph.ops[1].outputs[0]
    graph = read_model(with_tensor(model, inner, isVariable=True))
    network = LoweredNetwork.of(graph)
    touching = [op for op in graph.ops if inner in (*op.inputs, *op.outputs)]
    assert len(touching) > 1 and all("variable" in (network.stage_refusal(op) or "") for op in touching)
    found = plan_stages(graph, max_slowdown=4.0)
    assert found.best is None or not {op.index for op in touching} & {i for s in found.best.stages for i in s.ops}
