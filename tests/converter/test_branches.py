"""Every branch runs on TFLM by itself and gives the very bytes that the stage gives for its patch."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from tests.support import networks, shared_data
from tests.support.plans import front_stage
from tests.support.random_cnn import random_cnns, random_stages, stage_regions
from tests.support.tiny_models import TinyModel
from tflm_quantmcu.base.errors import UnsupportedModelError, UsageError
from tflm_quantmcu.converter.branches import build_branch, standalone_program, write_branches
from tflm_quantmcu.converter.convert import convert_model
from tflm_quantmcu.graph.precision_plan import CHOSEN_AT_RUN_TIME, OutlierRule, PatchClass, PrecisionPlan, StagePlan
from tflm_quantmcu.graph.types import BIT_WIDTHS, Format, ModelGraph, Op
from tflm_quantmcu.oracle.run_time_classes import classes_on
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.runtime.samples import random_samples
from tflm_quantmcu.stage.custom_ops import PATCH_STAGE, program_of
from tflm_quantmcu.stage.program import StageProgram
from tflm_quantmcu.tflite.reader import read_model
from tflm_quantmcu.tflite.view import view_graph

MODEL = networks.inverted_residual()


def stages_of(graph: ModelGraph) -> list[tuple[Op, StageProgram]]:
    return [(op, program_of(graph, op)) for op in graph.ops if op.kind == PATCH_STAGE]


def assert_branches_equal(converted: bytes, x: np.ndarray, *, every: int = 1) -> None:
    """Runs the branches on what the stages read, and compares with what they write."""
    graph = read_model(converted)
    whole = Interpreter(converted, preserve_all_tensors=True)
    whole.invoke(x)
    for op, program in stages_of(graph):
        ends = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
        source, output = (whole.tensor(t.index) for t in ends)
        alone = standalone_program(program)
        chosen = classes_on(program, source)[0]
        for row, col, _ in list(program.patches())[::every]:
            branch = Interpreter(build_branch(program, row, col, int(chosen[row, col]), ends=ends))
            y0, y1, x0, x1 = alone.region(row, col, 0)
            region = source[:, y0:y1, x0:x1]
            if region.size == 0:
                region = np.zeros((1, 1, 1, source.shape[3]), np.int8)
            y0, y1, x0, x1 = program.region(row, col, len(program.shapes) - 1)
            np.testing.assert_array_equal(branch.invoke(region)[0], output[:, y0:y1, x0:x1], f"patch {row}, {col}")


def planned(graph: ModelGraph, bits: int) -> PrecisionPlan:
    """Patches in a checkerboard of the model's own formats and of narrow ones."""
    stage = front_stage(graph)
    narrow = {
        t.name: Format(bits, float(np.float32(t.scales[0] * 2 ** (8 - bits))), t.zero_points[0] >> (8 - bits))
        for t in graph.tensors
        if t.dtype == "int8" and not t.is_constant
    }
    grid = np.indices((len(stage.patch_classes), len(stage.patch_classes[0]))).sum(axis=0) % 2
    classes = (PatchClass("outlier", {}), PatchClass("ordinary", narrow))
    stage = dataclasses.replace(stage, classes=classes, patch_classes=tuple(map(tuple, grid.tolist())))
    return PrecisionPlan(graph.sha256, {}, stages=(stage,), formats={stage.output: narrow[stage.output]})


@pytest.mark.parametrize("bits", [4, 2])
def test_branches_equal_their_patches(bits):
    graph = read_model(MODEL)
    converted = convert_model(MODEL, planned(graph, bits))
    assert_branches_equal(converted, random_samples(graph.tensors[0], 1)[0])


@pytest.mark.parametrize("name", shared_data.CONVOLUTIONAL)
def test_branches_of_real_models(name):
    model = shared_data.model(name)
    graph = read_model(model)
    converted = convert_model(model, planned(graph, 4))
    assert_branches_equal(converted, random_samples(graph.tensors[graph.inputs[0]], 1)[0], every=7)


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_branches_of_random_networks(data):
    cnn = data.draw(random_cnns(has_tail=False))
    graph = read_model(cnn.model)
    assume(stage_regions(graph))
    stage = data.draw(random_stages(graph, bits=BIT_WIDTHS))
    converted = convert_model(cnn.model, PrecisionPlan(graph.sha256, {}, stages=(stage,)))
    ((_, program),) = stages_of(read_model(converted))
    if len(program.formats) > 1 and any(cache.keeps_halo for cache in program.caches):
        with pytest.raises(UnsupportedModelError, match="tiles of other classes"):
            assert_branches_equal(converted, cnn.inputs(graph.tensors[0].shape)[0])
        return
    if any(not op.traits.kernel for op in program.ops):
        with pytest.raises(UnsupportedModelError, match="which runs in stages alone"):
            assert_branches_equal(converted, cnn.inputs(graph.tensors[0].shape)[0])
        return
    assert_branches_equal(converted, cnn.inputs(graph.tensors[0].shape)[0])


def test_patches_that_see_only_padding():
    net = TinyModel()
    x = net.input((1, 2, 2, 3), zero_point=5)
    x = net.pad(x, [(0, 0), (6, 5), (0, 7), (0, 0)])
    x = net.conv2d(x, np.ones((4, 1, 1, 3), np.int8), np.arange(4) * 50, zero_point=-7)
    x = net.relu(net.depthwise_conv2d(x, np.ones((3, 3, 4), np.int8), stride=(2, 2)))
    model = net.build(x)
    graph = read_model(model)
    height, width = graph.tensors[graph.outputs[0]].shape[1:3]
    stage = StagePlan(
        "map0", graph.tensors[graph.outputs[0]].name, 1, 1, ((0,) * width,) * height, (PatchClass("outlier", {}),)
    )
    converted = convert_model(model, PrecisionPlan(graph.sha256, {}, stages=(stage,)))
    ((_, program),) = stages_of(read_model(converted))
    regions = [program.region(row, col, 0) for row, col, _ in program.patches()]
    assert any(y1 <= y0 or x1 <= x0 for y0, y1, x0, x1 in regions)
    assert_branches_equal(converted, random_samples(graph.tensors[0], 1)[0])


def test_a_branch_as_text():
    graph = read_model(MODEL)
    converted = read_model(convert_model(MODEL, planned(graph, 4)))
    ((op, program),) = stages_of(converted)
    ends = converted.tensors[op.inputs[0]], converted.tensors[op.outputs[0]]
    branch = read_model(build_branch(program, 0, 1, 1, ends=ends))
    kinds = re.findall(r"(\w+)\(", view_graph(branch))
    assert kinds == [f"QMCU_{stage_op.kind}" for stage_op in program.ops]
    assert (branch.tensors[branch.inputs[0]].name, branch.tensors[branch.outputs[0]].name) == tuple(
        t.name for t in ends
    )
    assert branch.tensors[branch.inputs[0]].scales == ends[0].scales


def test_files_are_named_after_stage_patch_and_class(tmp_path):
    graph = read_model(MODEL)
    plan = planned(graph, 4)
    paths = write_branches(convert_model(MODEL, plan), tmp_path / "new" / "folder")
    rows, cols = len(plan.stages[0].patch_classes), len(plan.stages[0].patch_classes[0])
    assert len(paths) == rows * cols
    assert [p.name for p in paths[:2]] == ["stage0_r0_c0_outlier.tflite", "stage0_r0_c1_ordinary.tflite"]
    assert sorted(paths) == sorted(Path(tmp_path, "new", "folder").iterdir())
    read_model(paths[0].read_bytes())


def test_patches_classified_at_run_time_have_a_file_a_class(tmp_path):
    graph = read_model(MODEL)
    plan = planned(graph, 4)
    (stage,) = plan.stages
    grid = tuple((CHOSEN_AT_RUN_TIME,) * len(row) for row in stage.patch_classes)
    stage = dataclasses.replace(stage, patch_classes=grid, outliers=OutlierRule(-64, 64, 1 << 15))
    converted = convert_model(MODEL, dataclasses.replace(plan, stages=(stage,)))
    paths = write_branches(converted, tmp_path)
    assert len(paths) == 2 * len(grid) * len(grid[0])
    assert [p.name for p in paths[:2]] == ["stage0_r0_c0_outlier.tflite", "stage0_r0_c0_ordinary.tflite"]
    assert paths[0].read_bytes() != paths[1].read_bytes()
    x = np.where(np.arange(graph.tensors[0].shape[2])[:, None] < 8, 127, 0) + np.zeros(graph.tensors[0].shape, int)
    assert_branches_equal(converted, x.astype(np.int8))


def test_without_a_plan_classes_have_numbers(tmp_path):
    stripped = convert_model(MODEL, planned(read_model(MODEL), 4), strip_metadata=True)
    assert [p.name for p in write_branches(stripped, tmp_path)[:2]] == [
        "stage0_r0_c0_class0.tflite",
        "stage0_r0_c1_class1.tflite",
    ]


def test_a_model_without_stages_has_no_branches(tmp_path):
    assert write_branches(MODEL, tmp_path) == []


def test_refuses_a_folder_that_cannot_be_made(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be made"):
        write_branches(MODEL, tmp_path / "file" / "folder")
