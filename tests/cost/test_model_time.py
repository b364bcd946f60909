"""model_time: what an inference takes by the ops of the file, and what no table knows."""

import dataclasses

import pytest

import tflm_quantmcu as qm
from tests.support.detection import detection_network
from tests.support.networks import inverted_residual
from tflm_quantmcu.cost.instructions import graph_instructions, load_table
from tflm_quantmcu.cost.model_time import time_of_model
from tflm_quantmcu.cost.plan_work import work_of
from tflm_quantmcu.graph.target import AOT, Target
from tflm_quantmcu.runtime.samples import random_samples
from tflm_quantmcu.tflite.model_file import ModelFile
from tflm_quantmcu.tflite.reader import read_model

TABLE = load_table("cortex-m4")


def test_a_stock_model_takes_what_its_ops_take():
    graph = read_model(inverted_residual())
    time = time_of_model(graph, Target(), TABLE)
    assert time.instructions == round(graph_instructions(graph, TABLE)) and not time.unknown
    assert time.longest is not None and 0 < time.longest.cycles < time.cycles
    counts = {op.index: graph_instructions(graph, TABLE, only=[op.index]) for op in graph.ops}
    assert time.longest.instructions == round(max(counts.values()))
    assert f"(op {max(counts, key=counts.__getitem__)})" in time.longest.label


@pytest.mark.parametrize("bits", [(8, 8), (4, 4), (8, 2)])
@pytest.mark.parametrize("network", [inverted_residual, detection_network])
def test_a_converted_model_takes_what_its_plan_does(network, bits):
    data = network()
    calibration = qm.calibrate_model(data, random_samples(read_model(data).input_tensors[0], 4))
    widths = {"activation_bits": bits[0], "weight_bits": bits[1]}
    result = qm.convert(data, calibration=calibration, search="uniform", compensation="off", **widths)
    time = time_of_model(ModelFile(result.model).graph, Target(), TABLE)
    work = work_of(read_model(data), result.plan, TABLE)
    assert time.instructions == pytest.approx(work.instructions, rel=0.02)  # requantisations that the passes insert
    assert result.report.as_dict()["after"]["instructions"] == time.instructions


def test_a_tile_is_a_span():
    data = inverted_residual()
    result = qm.convert(data, search="uniform", max_macs_ratio=1.0)
    time = time_of_model(ModelFile(result.model).graph, Target(), TABLE)
    tiles = [len(stage.patch_classes) * len(stage.patch_classes[0]) for stage in result.plan.stages]
    assert max(tiles) > 4 and time.longest is not None and 0 < time.longest.cycles < time.cycles / 2


def test_what_no_table_knows_is_said():
    graph = read_model(inverted_residual())
    (last,) = [op for op in graph.ops if op.kind == "SOFTMAX"]
    unheard = dataclasses.replace(
        graph, ops=tuple(dataclasses.replace(op, kind="CUMSUM") if op == last else op for op in graph.ops)
    )
    time = time_of_model(unheard, Target(), TABLE)
    assert len(time.unknown) == 1 and time.unknown[0].startswith("CUMSUM ") and time.longest.unknown == time.unknown
    assert time.instructions < time_of_model(graph, Target(), TABLE).instructions


def test_kernels_of_others_are_not_known():
    graph = read_model(inverted_residual())
    others = time_of_model(graph, Target(stock_kernels="reference"), TABLE)
    assert len(others.unknown) == len(graph.ops) and "reference kernels" in others.unknown[0]
    assert not time_of_model(graph, Target(stock_kernels="reference", runtime=AOT), TABLE).unknown
