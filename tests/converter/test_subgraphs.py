"""Networks of several subgraphs and with resource variables: taken, left alone, and counted as TFLM counts."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.support.edit_model import edited
from tests.support.subgraph_models import CHANNELS, SUBGRAPH_MODELS, branching, looping, streaming
from tflm_quantmcu import convert, plan
from tflm_quantmcu.app.inspection import describe_model, describe_why
from tflm_quantmcu.app.model_diff import diff_models
from tflm_quantmcu.app.source import calibrate_model
from tflm_quantmcu.arena.machine import HOST
from tflm_quantmcu.arena.persistent import replay_allocation
from tflm_quantmcu.arena.predict import predict_arena
from tflm_quantmcu.base.errors import BudgetError, UnsupportedModelError, UsageError
from tflm_quantmcu.converter.convert import convert_model
from tflm_quantmcu.converter.emit.project import emit
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.graph.subgraphs import all_ops, why_whole
from tflm_quantmcu.graph.target import KERNEL_VARIANTS, STOCK_REFERENCE, Target
from tflm_quantmcu.graph.types import Format
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.model_file import ModelFile

WHOLE = "stock TFLM runs it as a whole and its bytes stay as they are"
SEARCHES = ("uniform", "memory_driven", "vdqs", "hybrid", "rl")
Make = Callable[[], bytes]
every_model = pytest.mark.parametrize("make", SUBGRAPH_MODELS.values(), ids=list(SUBGRAPH_MODELS))


def samples_of(model: bytes, count: int = 6) -> np.ndarray:
    (shape,) = (tensor.shape for tensor in ModelFile(model).graph.input_tensors)
    return np.random.default_rng(1).integers(-128, 128, (count, *shape[1:])).astype(np.int8)


@every_model
def test_a_network_is_left_alone_and_runs_as_before(make: Make) -> None:
    model = make()
    result = convert(model)
    assert result.model == model
    assert WHOLE in str(result.report)
    assert result.report.verification.is_same_function
    figures = result.report.as_dict()
    assert figures["before"] == figures["after"] and figures["after"]["arena_bytes"] > 0
    assert figures["after"]["code_bytes"] is figures["after"]["milliseconds"] is None
    x = samples_of(model)
    assert Interpreter(result.model).run(x).tobytes() == Interpreter(model).run(x).tobytes()


def test_a_normalisation_that_trains_says_so() -> None:
    model = streaming()
    assert "as in training" not in why_whole(ModelFile(model).graph)
    handle = next(op for part, op in all_ops(ModelFile(model).graph) if op.kind == "VAR_HANDLE").outputs[0]

    def rename(tree: schema.ModelT) -> None:
        tree.subgraphs[0].tensors[handle].name = b"batch_normalization/moving_mean"

    assert "export the model for inference (training=False)" in why_whole(ModelFile(edited(model, rename)).graph)


def test_states_run_on_and_begin_as_the_file_says() -> None:
    model = streaming()
    same = np.repeat(samples_of(model, 1), 4, axis=0)
    first, second, third, fourth = Interpreter(model).run(same)
    assert first.tobytes() != second.tobytes() != third.tobytes() == fourth.tobytes()
    assert Interpreter(model).run(same[:1]).tobytes() == first.tobytes()
    assert Interpreter(streaming(has_init=False)).run(same[:1]).tobytes() != first.tobytes()


@pytest.mark.parametrize("search", SEARCHES)
def test_every_search_leaves_it_alone(search: str) -> None:
    model = streaming()
    x = samples_of(model, 8)
    result = convert(model, search=search, calibration_data=x, evaluation_data=(x, np.arange(8) % 4))
    assert result.model == model
    assert any(WHOLE in note for note in plan(model, search=search).notes)


@every_model
@pytest.mark.parametrize("variant", KERNEL_VARIANTS)
def test_the_arena_is_predicted_as_tflm_records_it(make: Make, variant: str) -> None:
    file = ModelFile(make())
    for kernels in ("quantmcu", STOCK_REFERENCE):
        found = Interpreter(file, kernel_variant=variant, stock_kernels=kernels).allocations()
        assert predict_arena(file.graph, variant, kernels) == found.non_persistent_bytes
        replayed = replay_allocation(file.graph, HOST, variant, kernels)
        assert not replayed.is_exact and 0 < replayed.persistent.total <= found.persistent_bytes


@pytest.mark.parametrize("seed", range(3))
def test_a_subgraph_that_two_ops_run_is_planned_as_tflm_plans_it(seed: int) -> None:
    def run_one_twice(tree: schema.ModelT) -> None:
        for op in tree.subgraphs[0].operators:
            if isinstance(op.builtinOptions, schema.IfOptionsT):
                op.builtinOptions.thenSubgraphIndex = op.builtinOptions.elseSubgraphIndex = 1 + seed % 2

    file = ModelFile(edited(branching(), run_one_twice))
    assert predict_arena(file.graph) == Interpreter(file).allocations().non_persistent_bytes


def test_a_bound_counts_and_names_the_bytes() -> None:
    model = streaming()
    needed = convert(model).report.as_dict()["after"]["arena_bytes"]
    assert convert(model, sram_bytes=needed).model == model
    with pytest.raises(BudgetError, match=f"the smallest arena reached is {needed:,} bytes.* runs stock as a whole"):
        convert(model, sram_bytes=needed - 1)


def test_what_would_change_the_network_is_refused() -> None:
    model = streaming()
    graph = ModelFile(model).graph
    output = graph.tensors[graph.outputs[0]].name
    changing = PrecisionPlan(graph.sha256, {}, formats={output: Format(4, 0.5, 0)})
    with pytest.raises(UsageError, match=f"the plan changes the network, and it has 2 subgraphs .* {WHOLE}"):
        convert_model(model, changing)
    with pytest.raises(UnsupportedModelError, match=f"the input cannot be streamed: .*{WHOLE}"):
        convert(model, input="streamed")
    with pytest.raises(UnsupportedModelError, match=f"calibration_method mse changes formats .*{WHOLE}"):
        calibrate_model(model, samples_of(model), calibration_method="mse")


def test_code_without_tflm_refuses_it(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedModelError, match=f"code without TFLM does not run the network: .*{WHOLE}"):
        emit(streaming(), output_dir=tmp_path, target="aot")
    with pytest.raises(UnsupportedModelError, match="code without TFLM does not run the network"):
        convert(streaming(), runtime="aot")


def test_a_tflm_project_adds_every_op_and_room_for_variables(tmp_path: Path) -> None:
    emit(streaming(), output_dir=tmp_path, target="tflm", name="small", bundle=False)
    ops = (tmp_path / "small_ops.h").read_text()
    added = set(re.findall(r"resolver\.(Add\w+)\(", ops))
    assert {"AddCallOnce", "AddVarHandle", "AddReadVariable", "AddAssignVariable", "AddStridedSlice"} <= added
    for file in ("small_test.cc", "main.cc"):
        assert "MicroResourceVariables::Create(allocator, 1)" in (tmp_path / file).read_text()
    emit(looping(), output_dir=tmp_path, target="tflm", name="small", bundle=False)
    assert "AddWhile()" in (tmp_path / "small_ops.h").read_text()
    assert "MicroResourceVariables" not in (tmp_path / "small_test.cc").read_text()


def test_it_is_described_subgraph_by_subgraph() -> None:
    text = describe_model(streaming())
    assert (
        f"subgraph 1\n0   VAR_HANDLE() -> T0 'map0' resource[]\n1   ASSIGN_VARIABLE(T0, T1 int8[1,3,1,{CHANNELS}])"
        in text
    )
    assert f"it has 2 subgraphs with resource variables, so {WHOLE}" in text
    assert describe_why(streaming(), Target.of()) == f"it has 2 subgraphs with resource variables, so {WHOLE}"
    assert f"it has 3 subgraphs, so {WHOLE}" in describe_model(branching())


def test_ops_inside_are_checked_as_others_are() -> None:
    def flatten(tree: schema.ModelT) -> None:
        tree.subgraphs[0].tensors[tree.subgraphs[0].outputs[0]].shape = np.zeros(0, np.int32)

    with pytest.raises(UnsupportedModelError, match="FULLY_CONNECTED .* for an output of shape \\[\\]"):
        convert(edited(streaming(), flatten))


def test_converted_whole_and_compared_layer_by_layer() -> None:
    x = samples_of(streaming())
    assert "no difference" in str(diff_models(ModelFile(streaming()), ModelFile(convert(streaming()).model), x))


def set_inner(*indices: int) -> Callable[[schema.ModelT], None]:
    """Has the IF of `branching` run the first two of these, and one that is added to subgraph 1 the others."""

    def edit(tree: schema.ModelT) -> None:
        (op,) = (op for op in tree.subgraphs[0].operators if isinstance(op.builtinOptions, schema.IfOptionsT))
        op.builtinOptions.thenSubgraphIndex, op.builtinOptions.elseSubgraphIndex = indices[:2]
        if indices[2:]:
            own = schema.OperatorT(opcodeIndex=op.opcodeIndex, inputs=[0, 0], outputs=[1])
            own.builtinOptionsType = op.builtinOptionsType
            own.builtinOptions = schema.IfOptionsT(thenSubgraphIndex=indices[2], elseSubgraphIndex=indices[3])
            tree.subgraphs[1].operators = [own]
            tree.subgraphs[1].outputs = [1]

    return edit


@pytest.mark.parametrize(
    ("indices", "reason"),
    [
        ((1, 3), "an op of subgraph 0 runs subgraph 3, and there are 3"),
        ((-1, 2), "an op of subgraph 0 runs subgraph -1, and there are 3"),
        ((1, 0), "an op runs the model that it stands in"),
        ((1, 2, 2, 1), "a subgraph runs itself"),
        ((2, 2, 1, 2), "a subgraph runs itself"),
    ],
)
def test_subgraphs_that_cannot_be_run_are_refused(indices: tuple[int, ...], reason: str) -> None:
    with pytest.raises(UnsupportedModelError, match=re.escape(reason)):
        convert(edited(branching(), set_inner(*indices)))


def test_subgraphs_without_end_are_refused() -> None:
    def double(tree: schema.ModelT) -> None:
        (op,) = (op for op in tree.subgraphs[0].operators if isinstance(op.builtinOptions, schema.IfOptionsT))
        for number in range(3, 40):
            own = schema.OperatorT(opcodeIndex=op.opcodeIndex, inputs=[0, 0], outputs=[1])
            own.builtinOptionsType = op.builtinOptionsType
            own.builtinOptions = schema.IfOptionsT(thenSubgraphIndex=number - 1, elseSubgraphIndex=number - 1)
            tensors = list(tree.subgraphs[2].tensors)
            tree.subgraphs.append(schema.SubGraphT(tensors=tensors, operators=[own], inputs=[0], outputs=[1]))
        op.builtinOptions.thenSubgraphIndex = 39

    with pytest.raises(UnsupportedModelError, match=r"the model's ops run [\d,]+ subgraphs; supported are 10,000"):
        convert(edited(branching(), double))
