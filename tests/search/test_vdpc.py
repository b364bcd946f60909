"""Dynamic VDPC: its rule, what ordinary patches alone decide, its extremes, and its plans on TFLM."""

from __future__ import annotations

import dataclasses
import re

import numpy as np
import pytest

from tests.support.networks import inverted_residual
from tests.support.plans import front_stage
from tests.support.search_problems import problem_of
from tflm_quantmcu.app.inspection import describe_model
from tflm_quantmcu.base.errors import BudgetError
from tflm_quantmcu.calibration import outliers
from tflm_quantmcu.converter.convert import convert_model
from tflm_quantmcu.graph.precision_plan import CHOSEN_AT_RUN_TIME, PrecisionPlan, StagePlan
from tflm_quantmcu.law.ranges import mse_format
from tflm_quantmcu.oracle import simulate
from tflm_quantmcu.oracle.run_stage import run_patches
from tflm_quantmcu.oracle.run_time_classes import bit_ops_on, classes_on
from tflm_quantmcu.patches.planner import plan_stages
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.search.problem import SearchProblem
from tflm_quantmcu.search.quantized_stage import QuantizedStage
from tflm_quantmcu.search.vdqs import quantize_stage, search_vdqs
from tflm_quantmcu.stage.build import build_program
from tflm_quantmcu.stage.program import StageProgram
from tflm_quantmcu.tflite.reader import read_model

MODEL = inverted_residual()
GRAPH = read_model(MODEL)
NUM_SAMPLES = 12


def samples() -> np.ndarray:
    """int8 [12, 24, 24, 3]: mild noise, with large values at a place that differs from sample to sample."""
    rng = np.random.default_rng(2)
    x = rng.normal(0, 12, (NUM_SAMPLES, 24, 24, 3))
    for sample in x:
        top, left = rng.integers(0, 18, 2)
        sample[top : top + 6, left : left + 6] *= 8
    return np.clip(np.round(x), -128, 127).astype(np.int8)


X = samples()


def problem(model: bytes = MODEL, x: np.ndarray = X, **options) -> SearchProblem:
    return problem_of(model, x, **{"vdpc": "dynamic", "vdpc_phi": 0.98, "vdqs_lambda": 0.3, **options})


def whole_stage() -> StagePlan:
    """The front as a stage of 6 x 6 patches that keep nothing for each other."""
    stage = front_stage(GRAPH)
    _, height, width, _ = GRAPH.by_name[stage.output].shape
    rows, cols = -(-height // 6), -(-width // 6)
    return dataclasses.replace(stage, tile_height=6, tile_width=6, patch_classes=((0,) * cols,) * rows)


def quantized(**options) -> QuantizedStage:
    return quantize_stage(problem(**options), whole_stage())


def program_of(stage: StagePlan) -> StageProgram:
    return build_program(GRAPH, stage, weight_bits={}, formats={})


def plan_of(stage: StagePlan) -> PrecisionPlan:
    return PrecisionPlan(GRAPH.sha256, {}, stages=(stage,))


def test_every_class_is_chosen_at_run_time_by_the_calibration_s_outliers():
    stage = quantized().stage
    assert stage.vdpc == "dynamic"
    assert {k for row in stage.patch_classes for k in row} == {CHOSEN_AT_RUN_TIME}
    histogram = np.bincount(X.ravel().astype(int) + 128, minlength=256)
    flagged = outliers.outlier_values(histogram, 0.98)
    assert stage.outliers is not None
    q = np.arange(-128, 128)
    assert np.array_equal(flagged, (q < stage.outliers.low) | (q > stage.outliers.high))
    assert stage.outliers.share == round(2 * flagged[X.astype(int) + 128].mean() * 2**16)


def test_outliers_keep_eight_bits_and_ordinary_patches_do_not():
    formats = program_of(quantized().stage).formats
    assert {f.bits for f in formats[0]} == {8}
    assert 4 in {f.bits for f in formats[1]}


def test_ordinary_patches_alone_choose_the_formats():
    stage = quantized().stage
    program = program_of(stage)
    ordinary = classes_on(program, X) == 1
    assert 0 < ordinary.mean() < 1
    assert (ordinary.any(axis=0) & ~ordinary.all(axis=0)).any(), "positions have both classes"
    name, chosen = next(iter(stage.classes[1].formats.items()))
    tensor = GRAPH.by_name[name]
    position = [op.outputs[0] for op in GRAPH.ops].index(tensor.index) + 1  # the stage begins with the first op
    counts = np.zeros(256, np.int64)
    for row, col, maps in run_patches(program_of(whole_stage()), X):
        values = maps[position][ordinary[:, row, col]]
        counts += np.bincount(values.ravel().astype(int) + 128, minlength=256)
    assert chosen == mse_format(counts, tensor.format, chosen.bits)


def test_the_note_tells_the_share_of_ordinary_patches_and_bit_ops_on_average_and_at_worst():
    found = quantized()
    program = program_of(found.stage)
    share = (classes_on(program, X) == 1).mean()
    assert f"{share:.1%} of the patches of the calibration samples are ordinary" in found.note
    assert f"{round(bit_ops_on(program, X)):,} BitOPs on average" in found.note
    assert f"{program.cost.bit_ops:,} at worst" in found.note
    assert program.cost.bit_ops == program_of(whole_stage()).cost.bit_ops > bit_ops_on(program, X)


@pytest.mark.parametrize("bits", (4, 2))
def test_tflm_computes_the_oracle_s_bytes(bits):
    stage = quantized(vdqs_lambda=0.0, vdqs_min_bits=bits).stage
    output = simulate.simulate(GRAPH, plan_of(stage), X)[GRAPH.tensors[GRAPH.outputs[0]].name]
    assert np.array_equal(Interpreter(convert_model(MODEL, plan_of(stage))).run(X), output)
    for sole in (0, 1):  # each of the classes matters
        fixed = dataclasses.replace(
            stage, patch_classes=tuple((sole,) * len(row) for row in stage.patch_classes), outliers=None
        )
        values = simulate.simulate(GRAPH, plan_of(fixed), X)
        assert not np.array_equal(values[stage.output], simulate.simulate(GRAPH, plan_of(stage), X)[stage.output])


@pytest.mark.parametrize("fraction, name", ((1.0, "ordinary"), (0.0, "outlier")))
def test_where_calibration_saw_one_class_there_is_one(fraction, name):
    x = np.random.default_rng(0).integers(-128, 128, (4, 24, 24, 3), np.int8)  # in every patch some are outliers
    found = quantize_stage(problem(x=x, vdpc_phi=0.9, vdpc_outlier_fraction=fraction), whole_stage())
    assert [c.name for c in found.stage.classes] == [name]
    assert (found.stage.vdpc, found.stage.outliers) == ("off", None)
    assert {k for row in found.stage.patch_classes for k in row} == {0}
    assert "all patches have one class" in found.note
    assert bool(found.stage.classes[0].formats) == (name == "ordinary")


@pytest.mark.parametrize("loudness", (0, 127))
def test_inputs_beyond_the_calibration_are_all_of_one_class(loudness):
    stage = quantized().stage
    x = np.full_like(X[:2], loudness)
    classes = classes_on(program_of(stage), x)
    assert (classes == (1 if loudness == 0 else 0)).all()
    expected = simulate.simulate(GRAPH, plan_of(stage), x)[GRAPH.tensors[GRAPH.outputs[0]].name]
    assert np.array_equal(Interpreter(convert_model(MODEL, plan_of(stage))).run(x), expected)


def test_positions_are_classified_where_every_map_keeps_a_halo():
    stages = [quantize_stage(problem(vdpc=vdpc), _cached_stage()).stage for vdpc in ("dynamic", "static")]
    assert stages[0] == stages[1] and stages[0].outliers is None
    assert any(f.bits == 4 for f in stages[0].classes[-1].formats.values())
    note = quantize_stage(problem(), _cached_stage()).note
    assert "so that positions are classified instead. VDPC" in note


def _cached_stage() -> StagePlan:
    """A convolution and a depthwise one: the one map between them keeps what the next tile reads again."""
    source, target = (GRAPH.tensors[GRAPH.ops[i].outputs[0]].name for i in (0, 2))
    return StagePlan(source, target, 6, 6, ((0,) * 4,) * 4, whole_stage().classes, cache_mode="full")


def test_off_makes_all_patches_ordinary():
    stage = quantized(vdpc="off", vdpc_phi=0.999).stage
    assert (stage.vdpc, [c.name for c in stage.classes]) == ("off", ["ordinary"])
    assert 4 in {f.bits for f in stage.classes[0].formats.values()}


def test_a_search_keeps_halos_in_one_format_and_its_plan_survives_its_file():
    plan = search_vdqs(problem(vdqs_lambda=0.0))
    for stage in plan.stages:
        program = program_of(stage)
        for m, cache in enumerate(program.caches):
            assert not cache.keeps_halo or len({(f[m].bits, f[m].zero_point) for f in program.formats}) == 1
    plan = dataclasses.replace(plan, stages=(*plan.stages, quantized().stage))
    again = PrecisionPlan.from_json(plan.to_json())
    assert again == plan and again.stages[-1].outliers == quantized().stage.outliers


def test_a_budget_below_eight_bits_is_refused_because_any_patch_may_need_them():
    smallest = plan_stages(GRAPH, sram_bytes=1).smallest_arena_bytes
    with pytest.raises(BudgetError, match="with --vdpc dynamic there is room for 8 bits in every patch"):
        search_vdqs(problem(sram_bytes=smallest - 64))


def test_inspect_says_how_classes_are_chosen():
    stage = quantized().stage
    text = describe_model(convert_model(MODEL, plan_of(stage)))
    count = sum(map(len, stage.patch_classes))
    rule = stage.outliers
    assert f"class 0: 0 to {count} patches" in text and f"class 1: 0 to {count} patches" in text
    assert re.search(
        rf"{count} patches have their class chosen at run time: 0 if more than {rule.share / 2**16:.2%} of the input's "
        rf"values are outside \[{rule.low}, {rule.high}\], else 1",
        text,
    )
    assert "patch classes, ? is chosen at run time:" in text and " -1" not in text.split("patch classes")[1]
    assert "at least 1.00x fewer BitOPs" in text
    assert re.search(r"MACs, at most [\d,]+ BitOPs", text)
