"""Widths set by hand: what rules match, that they win over every search, and what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.networks import inverted_residual
from tests.support.search_problems import calibration_of
from tflm_quantmcu.app import api
from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.calibration.outliers import rule_in
from tflm_quantmcu.compensation.compensate import compensate, without_compensation
from tflm_quantmcu.converter.convert import convert_model
from tflm_quantmcu.graph.precision_plan import OutlierRule, PatchClass, PrecisionPlan, StagePlan
from tflm_quantmcu.graph.types import Format
from tflm_quantmcu.oracle.simulate import simulate
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.search import overrides as module
from tflm_quantmcu.search.overrides import fixed_widths, override_plan, read_overrides
from tflm_quantmcu.tflite.reader import read_model

MODEL = inverted_residual()
GRAPH = read_model(MODEL)
CALIBRATION = calibration_of(MODEL, shape=(24, 24, 3))
STEM, WIDE = (GRAPH.tensors[GRAPH.ops[i].outputs[0]].name for i in (0, 1))
WEIGHTS = GRAPH.tensors[GRAPH.ops[0].inputs[1]].name


def _plan(**options) -> PrecisionPlan:
    return api.plan(MODEL, calibration=CALIBRATION, progress=False, **options)


def _formats(plan: PrecisionPlan) -> dict[str, int]:
    inside = {n: f.bits for stage in plan.stages for c in stage.classes for n, f in c.formats.items()}
    return inside | {n: f.bits for n, f in plan.formats.items()}


@pytest.mark.parametrize("search", ("uniform", "vdqs", "memory_driven"))
def test_rules_win_over_every_search_and_convert(search, tmp_path):
    path = tmp_path / "f.yaml"
    path.write_text(f"- match: {STEM}|{WIDE}\n  activation_bits: 2\n- {{match: {WEIGHTS}, weight_bits: 4}}\n")
    options = {"search": search, "precision_overrides": str(path)}
    result = api.convert(MODEL, calibration=CALIBRATION, progress=False, **options)
    assert {_formats(result.plan)[n] for n in (STEM, WIDE)} == {2}
    assert result.plan.weight_bits[WEIGHTS] == 4
    assert [rule["match"] for rule in result.plan.search["overrides"]] == [f"{STEM}|{WIDE}", WEIGHTS]


def test_eight_bits_undo_what_the_search_lowered():
    lowered = {"search": "uniform", "activation_bits": 4, "weight_bits": 4}
    assert STEM in _formats(_plan(**lowered)) and WEIGHTS in _plan(**lowered).weight_bits
    rules = [{"match": ".*", "activation_bits": 8, "weight_bits": 8}]
    plan = _plan(**lowered, precision_overrides=rules)
    assert not _formats(plan) and not plan.weight_bits


def test_of_several_rules_the_last_one_counts():
    rules = [{"match": ".*", "weight_bits": 2}, {"match": WEIGHTS, "weight_bits": 4}]
    plan = _plan(search="uniform", precision_overrides=rules)
    assert plan.weight_bits[WEIGHTS] == 4
    assert {bits for name, bits in plan.weight_bits.items() if name != WEIGHTS} == {2}


def test_layer_names_match_too(monkeypatch):
    monkeypatch.setattr(module, "layer_names", lambda graph: {STEM: "stem", WEIGHTS: "stem"})
    fixed = fixed_widths(GRAPH, [{"match": "ste.", "activation_bits": 4, "weight_bits": 2}])
    assert fixed.activation_bits == {STEM: 4} and fixed.weight_bits == {WEIGHTS: 2}


@pytest.mark.parametrize("cache_mode, outlier_bits", (("recompute", {}), ("full", {WIDE: 2})))
def test_patches_with_outliers_keep_eight_bits_where_tiles_share_nothing(cache_mode, outlier_bits):
    ends = (GRAPH.tensors[t].name for t in (GRAPH.inputs[0], GRAPH.ops[4].outputs[0]))
    classes = (PatchClass("outlier", {}), PatchClass("ordinary", {STEM: Format(4, 0.1, 0)}))
    stage = StagePlan(*ends, 12, 12, ((0, 1), (1, 1)), classes, cache_mode=cache_mode)
    fixed = fixed_widths(GRAPH, [{"match": WIDE, "activation_bits": 2}])
    plan = PrecisionPlan(GRAPH.sha256, {}, stages=(stage,))
    outlier, ordinary = (
        {name: f.bits for name, f in c.formats.items()}
        for c in override_plan(GRAPH, plan, fixed, lambda name, bits: Format(bits, 0.5, 0)).stages[0].classes
    )
    assert outlier == outlier_bits and ordinary == {STEM: 4, WIDE: 2}


def test_the_outlier_rule_follows_the_format_of_the_stage_s_input():
    stem, wide = GRAPH.by_name[STEM], GRAPH.by_name[GRAPH.tensors[GRAPH.ops[4].outputs[0]].name]
    classes = (PatchClass("outlier", {}), PatchClass("ordinary", {WIDE: Format(4, 0.1, 0)}))
    rule = OutlierRule(-120, 40, 1000)
    stage = StagePlan(STEM, wide.name, 12, 12, ((-1, -1),) * 2, classes, vdpc="dynamic", outliers=rule)
    fixed = fixed_widths(GRAPH, [{"match": STEM, "activation_bits": 4}])
    narrow = Format(4, 16 * stem.format.scale, -8)
    plan = override_plan(GRAPH, PrecisionPlan(GRAPH.sha256, {}, stages=(stage,)), fixed, lambda name, bits: narrow)
    assert plan.formats == {STEM: narrow}
    assert plan.stages[0].outliers == rule_in(rule, stem.format, narrow) != rule
    x = np.random.default_rng(0).integers(-128, 128, (4, 24, 24, 3), np.int8)
    expected = simulate(GRAPH, plan, x)[GRAPH.tensors[GRAPH.outputs[0]].name]
    assert np.array_equal(Interpreter(convert_model(MODEL, plan)).run(x), expected)
    restored = override_plan(GRAPH, plan, fixed_widths(GRAPH, [{"match": STEM, "activation_bits": 8}]), pytest.fail)
    assert not restored.formats and restored.stages[0].outliers.high == pytest.approx(rule.high, abs=16)


def test_rules_apply_to_a_plan_from_a_file_once_more_without_calibration(tmp_path):
    rules = [{"match": f"{STEM}|{WIDE}", "activation_bits": 4}]
    plan = _plan(search="uniform", precision_overrides=rules)
    (tmp_path / "plan.json").write_text(plan.to_json())
    again = api.convert(MODEL, plan=str(tmp_path / "plan.json"), precision_overrides=rules, progress=False)
    assert again.plan == plan


def test_a_plan_from_a_file_is_compensated_anew_only_where_rules_change_its_widths():
    plan = _plan(search="uniform", weight_bits=4)
    rules = [{"match": WEIGHTS, "weight_bits": 8}]
    options = {"calibration": CALIBRATION, "progress": False}
    assert api.convert(MODEL, plan=plan, compensation="off", **options).plan == plan
    changed = api.convert(MODEL, plan=plan, precision_overrides=rules, **options).plan
    assert WEIGHTS in plan.rounded_weights and WEIGHTS not in changed.rounded_weights
    assert changed == compensate(GRAPH, changed, CALIBRATION.samples)
    assert changed.bias_corrections != plan.bias_corrections
    unknown = api.convert(MODEL, plan=plan, precision_overrides=rules, progress=False).plan
    assert unknown == without_compensation(changed), "there are no samples"


def test_what_no_kernel_of_ours_holds_stays_at_eight_bits_with_a_note():
    softmax = GRAPH.tensors[GRAPH.outputs[0]].name
    plan = _plan(search="uniform", precision_overrides=[{"match": f"{softmax}|{STEM}", "activation_bits": 4}])
    assert STEM in _formats(plan) and softmax not in _formats(plan)
    assert f"'{softmax}' stays at 8 bits: no QMCU_ kernel writes or reads it" in plan.notes


@pytest.mark.parametrize(
    "text, sentence",
    (
        ("a: 1", "holds a dict; needed is a list"),
        ("- 5", "the rule 5 is not of the form"),
        ("- {match: x}", "is not of the form"),
        ("- {match: x, bits: 4}", "is not of the form"),
        ("- {match: x, activation_bits: 3}", "'x' has activation_bits 3; supported are 8, 4 and 2"),
        ("- {match: x, weight_bits: [4]}", r"weight_bits is \[4\]; needed is an integer"),
        ("- {match: '(', weight_bits: 4}", r"'\(' is not a regular expression"),
        ("- {match: '", "is not YAML"),
        ("", "holds a NoneType"),
    ),
)
def test_bad_files_are_refused_in_a_sentence(text, sentence, tmp_path):
    (tmp_path / "f.yaml").write_text(text)
    with pytest.raises(UsageError, match=sentence):
        read_overrides(str(tmp_path / "f.yaml"))


@pytest.mark.parametrize("rule, what", (({"activation_bits": 4}, "feature map"), ({"weight_bits": 4}, "weights")))
def test_rules_that_match_nothing_are_refused(rule, what):
    with pytest.raises(UsageError, match=f"'no such' is the whole name of no tensor or layer with {what}"):
        _plan(search="uniform", precision_overrides=[{"match": "no such", **rule}])
