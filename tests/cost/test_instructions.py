"""instructions: exact where it was measured, a formula of what kernels' loops do between, stages with their driver."""

import dataclasses
import functools
import itertools
import math
import statistics
from importlib import resources

import pytest

from tests.support.detection import detection_network
from tests.support.networks import inverted_residual
from tests.support.plans import split
from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.cost import bench, calls, instructions
from tflm_quantmcu.cost.bench import BenchRow
from tflm_quantmcu.cost.cycles import Work
from tflm_quantmcu.cost.instructions import InstructionTable
from tflm_quantmcu.cost.network_cost import cost_of
from tflm_quantmcu.cost.shapes import KernelShape
from tflm_quantmcu.graph.target import CORES, short_core
from tflm_quantmcu.stage.build import build_program
from tflm_quantmcu.stage.geometry import stage_ops
from tflm_quantmcu.tflite.reader import read_model


@functools.cache
def table_rows(core: str) -> list[BenchRow]:
    file = resources.files("tflm_quantmcu.cost") / "data" / f"instructions_{short_core(core)}.csv"
    return bench.from_csv(file.read_text())


def conv2d(height: int, inputs: int, outputs: int, kernel: int = 1) -> KernelShape:
    return KernelShape("conv2d", (height, height, inputs), (height, height, outputs), (kernel, kernel))


def row(shape: KernelShape, count: int, *, variant: str = "dsp", tag: str = "a8w8") -> BenchRow:
    return BenchRow("m4", variant, tag, shape, Work(count, cycles=2 * count), 0, 0)


def lawful_count(shape: KernelShape) -> int:
    height, width, _ = shape.output
    return 2 * shape.work + 30 * shape.num_outputs + 5 * height * width * shape.input[2]


def lawful_table() -> InstructionTable:
    shapes = [conv2d(h, i, o) for h, i, o in itertools.product((1, 3, 4, 8, 16), (3, 8, 32, 60), (16, 64, 101))]
    return InstructionTable.of_rows([row(shape, lawful_count(shape)) for shape in shapes])


def test_a_measured_shape_gets_its_own_count():
    shape = conv2d(4, 8, 16)
    table = InstructionTable.of_rows([row(shape, 1234), row(conv2d(8, 8, 16), 99999)])
    assert table.estimate(shape, "a8w8") == 1234


def test_the_fast_variant_is_what_is_estimated():
    shape = conv2d(4, 8, 16)
    rows = [row(shape, 100), row(shape, 900, variant="reference"), row(conv2d(2, 8, 16), 900, variant="reference")]
    table = InstructionTable.of_rows(rows)
    assert table.estimate(shape, "a8w8") == 100
    assert table.estimate(conv2d(2, 8, 16), "a8w8") <= 100


def test_a_lawful_count_is_found_between_measured_shapes():
    table = lawful_table()
    for shape in (conv2d(5, 24, 48), conv2d(12, 3, 100)):
        assert table.estimate(shape, "a8w8") == pytest.approx(lawful_count(shape), rel=0.01)


def test_cycles_are_estimated_like_instructions():
    table = lawful_table()
    assert table.cycles is not None
    for shape in (conv2d(4, 8, 16), conv2d(5, 24, 48)):
        assert table.cycles.estimate(shape, "a8w8") == pytest.approx(2 * table.estimate(shape, "a8w8"))


def test_an_op_and_tag_that_were_not_measured_are_refused():
    with pytest.raises(UsageError, match="no row of conv2d a2w2; measure it with tflm_quantmcu bench"):
        lawful_table().estimate(conv2d(4, 8, 16), "a2w2")


def test_a_core_without_a_table_is_refused():
    with pytest.raises(UsageError, match="there is no instruction table for m85"):
        instructions.load_table("m85")


# Of instructions that a table gives for a call, if it had not measured that call: median relative error, by op.
_FOLDS = 8
TOLERANCES = {"conv2d": 0.05, "depthwise_conv2d": 0.05, "add": 0.05}


@pytest.mark.parametrize("core", CORES)
def test_tables_predict_calls_that_are_left_out(core):
    rows = table_rows(core)
    for op, tolerance in TOLERANCES.items():
        errors = []
        calls = [r for r in rows if r.shape.op == op and r.tag in ("a8", "a8w8") and r.variant != "reference"]
        for fold in range(_FOLDS):
            table = InstructionTable.of_rows([r for i, r in enumerate(calls) if i % _FOLDS != fold])
            left_out = calls[fold::_FOLDS]
            errors += [abs(table.estimate(r.shape, r.tag) / r.instructions - 1) for r in left_out]
        assert not errors or statistics.median(errors) < tolerance, op


def test_tables_of_all_cores_and_variants_have_the_same_outputs():
    bench.check_equal_outputs(row for core in CORES for row in table_rows(core))


def test_a_model_counts_the_calls_of_its_ops():
    graph = read_model(inverted_residual())
    table = instructions.load_table("m4")
    total = instructions.graph_instructions(graph, table)
    parts = [instructions.graph_instructions(graph, table, only=[op.index]) for op in graph.ops]
    assert total == pytest.approx(sum(parts)) and total > cost_of(graph).macs
    assert parts[[op.kind for op in graph.ops].index("SOFTMAX")] > 1000
    narrow = {tensor.name: 2 for tensor in graph.tensors}
    assert instructions.graph_instructions(graph, table, map_bits=narrow, weight_bits=narrow) != total


def test_a_stage_of_one_tile_counts_what_its_ops_count_layer_by_layer():
    graph = read_model(inverted_residual())
    table = instructions.load_table("m4")
    plan = split(graph).stages[0]
    source, target = (graph.by_name[name].index for name in (plan.input, plan.output))
    height, width = graph.tensors[target].shape[1:3]
    whole = dataclasses.replace(plan, tile_height=height, tile_width=width, patch_classes=((0,),))
    layers = [op.index for op in stage_ops(graph, (source,), target)]
    program = build_program(graph, whole, weight_bits={}, formats={})
    expected = instructions.graph_instructions(graph, table, only=layers)
    assert table.total(calls.stage_calls(program)) == pytest.approx(expected)
    beside = table.beside_kernels(program)
    assert 0 < beside < expected and instructions.stage_instructions(program, table) == pytest.approx(expected + beside)
    tiled = build_program(graph, plan, weight_bits={}, formats={})
    assert instructions.stage_instructions(tiled, table) > expected


def test_an_activation_counts_as_its_table_and_a_silu_once():
    graph = read_model(detection_network())
    table = instructions.load_table("m4")
    counts = {op.index: instructions.graph_instructions(graph, table, only=[op.index]) for op in graph.ops}
    gate, product = next((a, b) for a, b in itertools.pairwise(graph.ops) if (a.kind, b.kind) == ("LOGISTIC", "MUL"))
    shape = graph.tensors[product.outputs[0]].shape[1:]
    assert counts[gate.index] == 0
    assert counts[product.index] == table.estimate(KernelShape("lut", shape, shape), "a8") > math.prod(shape)
    assert counts[graph.ops[-1].index] > 0 and graph.ops[-1].kind == "LOGISTIC"
