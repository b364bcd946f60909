"""What the converter makes of a streamed input, and when it refuses to."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.support import networks
from tests.support.edit_model import edited
from tests.support.plans import narrowed, split
from tests.support.standard_metadata import described
from tests.support.streamed import streamed, streamed_plan
from tests.support.tiny_models import Handle, TinyModel
from tflm_quantmcu.arena.predict import predict_arena
from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.converter.branches import write_branches
from tflm_quantmcu.converter.convert import convert_model
from tflm_quantmcu.converter.verify import verify_conversion
from tflm_quantmcu.graph.precision_plan import PatchClass, PrecisionPlan, StagePlan
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.runtime.samples import random_samples
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.reader import load_model_t, read_model, read_plan
from tflm_quantmcu.tflite.view import view_graph
from tflm_quantmcu.tflite.writer import write_model

MODEL = networks.inverted_residual()
GRAPH = read_model(MODEL)
INPUT = GRAPH.tensors[GRAPH.inputs[0]]
PLAN = streamed_plan(GRAPH, tile_height=4, tile_width=4)
STREAMED = convert_model(MODEL, PLAN)
FILTER = np.random.default_rng(0).integers(-127, 128, (4, 3, 3, 2), dtype=np.int8)


def plan_of(model: bytes, source: str, target: str) -> PrecisionPlan:
    """One tile, streamed."""
    graph = read_model(model)
    _, height, width, _ = graph.by_name[target].shape
    stage = StagePlan(source, target, height, width, ((0,),), (PatchClass("outlier", {}),), input_mode="streamed")
    return PrecisionPlan(graph.sha256, {}, stages=(stage,))


def conv2d(net: TinyModel, x: Handle) -> Handle:
    return net.conv2d(x, FILTER, filter_scales=(0.01,) * 4, scale=0.3)


def test_the_model_has_no_input_and_no_tensor_of_it():
    graph = read_model(STREAMED)
    assert graph.inputs == ()
    assert graph.ops[0].kind == "QMCU_PATCH_STAGE" and graph.ops[0].inputs[0] == -1
    assert INPUT.name not in graph.by_name
    assert graph.input_tensors == (graph.streamed_input,)
    assert view_graph(graph).startswith(f"input  '{INPUT.label}' int8[1,24,24,3], streamed\n0   QMCU_PATCH_STAGE(-, ")
    root = schema.Model.GetRootAs(STREAMED)
    assert not root.Subgraphs(0).InputsIsNone(), "TFLM reads the vector, so it must be there"


def test_a_model_without_inputs_can_be_written_again():
    assert write_model(load_model_t(STREAMED)) == STREAMED


def test_signatures_lose_their_input():
    def sign(tree: schema.ModelT) -> None:
        ends = [schema.TensorMapT(name=n, tensorIndex=t) for n, t in (("x", GRAPH.inputs[0]), ("y", GRAPH.outputs[0]))]
        tree.signatureDefs = [schema.SignatureDefT(inputs=ends[:1], outputs=ends[1:], signatureKey="serve")]

    model = edited(MODEL, sign)
    plan = dataclasses.replace(PLAN, model_sha256=read_model(model).sha256)
    converted = convert_model(model, plan)
    assert INPUT.name not in read_model(converted).by_name
    (signature,) = load_model_t(converted).signatureDefs
    assert not signature.inputs and signature.outputs[0].tensorIndex == read_model(converted).outputs[0]


def test_the_file_says_the_streamed_format_and_converts_to_itself():
    plan = read_plan(STREAMED)
    assert plan.formats == {INPUT.name: INPUT.format}
    assert convert_model(MODEL, plan) == STREAMED
    assert verify_conversion(MODEL, STREAMED, plan, random_samples(INPUT, 1)).is_same_function


def test_tflite_metadata_describes_no_input():
    (subgraph,) = described(STREAMED).subgraphMetadata
    assert subgraph.inputTensorMetadata is None or len(subgraph.inputTensorMetadata) == 0
    assert len(subgraph.outputTensorMetadata) == 1


@pytest.mark.parametrize(("dtype", "scale"), [("float32", 0.05), ("uint8", 0.05), ("uint8", 0.037)])
def test_a_leading_quantize_goes_with_the_input(dtype: str, scale: float):
    net = TinyModel()
    x = net.input((1, 9, 7, 2), dtype=dtype, scale=0.05, zero_point=120 if dtype == "uint8" else 0)
    q = net.quantize(x, scale=scale, zero_point=-8)
    y = conv2d(net, q)
    model = net.build(net.softmax(net.reshape(y, (1, 9 * 7 * 4))))
    graph = read_model(model)
    names = [graph.tensors[h.index].name for h in (q, y)]
    plan = plan_of(model, *names)
    converted = convert_model(model, plan)
    assert [op.kind for op in read_model(converted).ops] == ["QMCU_PATCH_STAGE", "RESHAPE", "SOFTMAX"]
    assert read_model(converted).streamed_input.name == names[0]
    x = random_samples(graph.tensors[graph.inputs[0]], 3)
    result = verify_conversion(model, converted, plan, x)
    assert result.is_same_function
    assert result.arena_bytes == predict_arena(read_model(converted))
    x = np.concatenate([x, np.full_like(x[:1], 255), np.zeros_like(x[:1])])
    assert np.array_equal(Interpreter(converted).run(x), Interpreter(model).run(x))


def refusal(model: bytes, plan: PrecisionPlan) -> str:
    with pytest.raises(UsageError) as caught:
        convert_model(model, plan)
    return str(caught.value)


def two_convolutions(*, outputs: Callable[[TinyModel, list[Handle]], list[Handle]]) -> tuple[bytes, list[str]]:
    """(a model of two convolutions one behind the other, names of input, first and second map)."""
    net = TinyModel()
    x = net.input((1, 6, 6, 2))
    y = conv2d(net, x)
    z = net.relu(y, scale=y.scale, zero_point=y.zero_point)
    model = net.build(*outputs(net, [x, y, z]))
    graph = read_model(model)
    return model, [graph.tensors[h.index].name for h in (x, y, z)]


def test_only_the_models_input_can_be_streamed():
    model, (_, y, z) = two_convolutions(outputs=lambda net, maps: maps[2:])
    message = refusal(model, plan_of(model, y, z))
    assert f"the plan streams '{y}', which is neither the model's one input nor what a QUANTIZE makes of it" in message


def test_what_another_op_reads_cannot_be_streamed():
    model, (x, y, _) = two_convolutions(outputs=lambda net, maps: [maps[2], net.relu(maps[0])])
    assert f"the plan streams '{x}', and RELU (op 2) outside the stage reads it too" in refusal(
        model, plan_of(model, x, y)
    )


def test_an_input_that_is_an_output_cannot_be_streamed():
    model, (x, y, _) = two_convolutions(outputs=lambda net, maps: [maps[2], maps[0]])
    assert f"the plan streams '{x}', which is also an output of the model" in refusal(model, plan_of(model, x, y))


def test_two_stages_cannot_stream_one_input():
    net = TinyModel()
    x = net.input((1, 6, 6, 2))
    y, z = conv2d(net, x), conv2d(net, x)
    model = net.build(net.add(y, z, scale=0.3))
    graph = read_model(model)
    names = [graph.tensors[h.index].name for h in (x, y, z)]
    plans = [plan_of(model, names[0], name) for name in names[1:]]
    both = dataclasses.replace(plans[0], stages=(plans[0].stages[0], plans[1].stages[0]))
    assert f"the plan streams '{names[0]}', and CONV_2D (op 1) outside the stage reads it too" in refusal(model, both)


def test_a_streamed_input_keeps_the_models_format():
    plan = dataclasses.replace(PLAN, formats={INPUT.name: narrowed(INPUT.format, 4)})
    assert f"the plan streams '{INPUT.label}' at 4 bits; a reader gives the model's own 8-bit format" in refusal(
        MODEL, plan
    )


def test_branches_begin_with_the_region_that_is_read(tmp_path: Path):
    paths = [write_branches(convert_model(MODEL, p), tmp_path / n) for n, p in (("r", resident()), ("s", PLAN))]
    for mine, theirs in zip(*paths, strict=True):
        assert mine.read_bytes() == theirs.read_bytes()


def resident() -> PrecisionPlan:
    stage = dataclasses.replace(PLAN.stages[0], input_mode="resident")
    return dataclasses.replace(PLAN, stages=(stage,))


def test_the_arena_is_smaller_by_the_input_but_for_what_a_tile_reads():
    before, after = (Interpreter(convert_model(MODEL, p)) for p in (split(GRAPH), streamed(split(GRAPH))))
    difference = before.allocations().non_persistent_bytes - after.allocations().non_persistent_bytes
    assert 0 < difference <= INPUT.num_bytes
