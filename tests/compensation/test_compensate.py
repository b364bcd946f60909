"""What makes up for narrow widths: means that agree, errors that shrink, and TFLM's bytes."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from tests.support.edit_model import edited
from tests.support.networks import inverted_residual
from tests.support.plans import front_stage, mixed, narrowed, split
from tests.support.tiny_models import TinyModel
from tflm_quantmcu.app.plan_costs import PlanCosts
from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.compensation.compensate import compensate, has_low_widths, with_room, without_compensation
from tflm_quantmcu.compensation.lowered_paths import ops_of
from tflm_quantmcu.converter.convert import convert_model
from tflm_quantmcu.graph.precision_plan import PatchClass, PrecisionPlan, RoundedWeights
from tflm_quantmcu.graph.types import ModelGraph, Op, Tensor
from tflm_quantmcu.oracle.simulate import simulate
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.tflite.canonical.canonical import canonical
from tflm_quantmcu.tflite.model_file import ModelFile
from tflm_quantmcu.tflite.reader import read_model

MODEL = inverted_residual(3)
GRAPH = canonical(ModelFile(MODEL)).graph  # what plans are made of
OUTPUT = GRAPH.tensors[GRAPH.ops[-1].inputs[0]].name  # of the classifier, before softmax
STEM, FIRST_WEIGHTS = (GRAPH.tensors[t].name for t in (GRAPH.ops[0].outputs[0], GRAPH.ops[0].inputs[1]))


def _samples(count: int, seed: int = 0) -> np.ndarray:
    """int8 [count, 24, 24, 3]: smooth, so that neighbours go together."""
    rng = np.random.default_rng(seed)
    coarse = rng.normal(20, 50, (count, 6, 6, 3)).repeat(4, axis=1).repeat(4, axis=2)
    return np.clip(np.round(coarse + rng.normal(0, 8, coarse.shape)), -128, 127).astype(np.int8)


X = _samples(32)


def _error(plan: PrecisionPlan, x: np.ndarray) -> float:
    found, wanted = (simulate(GRAPH, p, x)[OUTPUT].astype(float) for p in (plan, None))
    return float(np.sum((found - wanted) ** 2))


def _four_bit_weights() -> PrecisionPlan:
    names = [GRAPH.tensors[op.inputs[1]].name for op in GRAPH.ops if op.kind in ("CONV_2D", "DEPTHWISE_CONV_2D")]
    return dataclasses.replace(split(GRAPH), weight_bits=dict.fromkeys(names, 4))


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("mode", ("bias", "weights"))
def test_tflm_computes_the_oracle_s_bytes(mode, seed):
    """All widths, two classes of patches, ops in and outside of the stage, stock ones with another bias."""
    plan = compensate(GRAPH, mixed(GRAPH, seed), X, mode=mode)
    assert plan.bias_corrections and all(c.bias_corrections for c in plan.stages[0].classes)
    assert bool(plan.rounded_weights) == (mode == "weights")
    name = GRAPH.tensors[GRAPH.outputs[0]].name
    converted = Interpreter(convert_model(MODEL, plan)).run(_samples(8, seed=1))
    np.testing.assert_array_equal(converted, simulate(GRAPH, plan, _samples(8, seed=1))[name])


def test_a_stock_op_behind_lowered_ones_stays_stock_with_another_bias():
    plan = compensate(GRAPH, dataclasses.replace(split(GRAPH), weight_bits={FIRST_WEIGHTS: 4}), X)
    classifier = next(op for op in GRAPH.ops if op.kind == "FULLY_CONNECTED")
    assert len(classifier.inputs) < 3 or classifier.inputs[2] < 0, "the model's own has none"
    converted = read_model(convert_model(MODEL, plan))
    op = next(op for op in converted.ops if op.kind == "FULLY_CONNECTED")
    bias = converted.tensors[op.inputs[2]].data
    assert bias is not None and bias.any()
    source, weights = (converted.tensors[t] for t in op.inputs[:2])
    real = np.array(plan.bias_corrections[OUTPUT])
    np.testing.assert_array_equal(bias, np.round(real / (source.scales[0] * np.array(weights.scales))))


def _narrow_maps() -> PrecisionPlan:
    """4-bit maps inside the stage, all weights at 8 bits."""
    plan = split(GRAPH)
    inner = [GRAPH.by_name[n] for n in (GRAPH.tensors[op.outputs[0]].name for op in ops_of(GRAPH, plan.stages[0])[:-1])]
    low = {t.name: narrowed(t.format, 4) for t in inner}
    stage = dataclasses.replace(plan.stages[0], classes=(PatchClass("ordinary", low),))
    return dataclasses.replace(plan, stages=(stage,))


def test_weights_of_8_bits_make_up_for_narrow_maps():
    """Fitted, in the stage and behind it, they lose less than weights of 4 bits, which are fitted too."""
    plan = _narrow_maps()
    bias, weights = (_error(compensate(GRAPH, plan, X, mode=m), _samples(64, 1)) for m in ("bias", "weights"))
    assert weights < 0.9 * bias
    of_4_bits = dataclasses.replace(plan, weight_bits=_four_bit_weights().weight_bits)
    assert weights < _error(compensate(GRAPH, of_4_bits, X), _samples(64, 1))


def test_stock_ops_behind_narrow_maps_stay_stock_with_other_weights():
    plan = compensate(GRAPH, _narrow_maps(), X)
    layers = [op for op in GRAPH.ops if op.traits.has_filter]
    behind = [op for op in layers if op not in ops_of(GRAPH, plan.stages[0])]
    names = [GRAPH.tensors[op.inputs[1]].name for op in behind]
    assert behind and {*names} < plan.rounded_weights.keys() and FIRST_WEIGHTS not in plan.rounded_weights
    model = convert_model(MODEL, plan)
    converted = read_model(model)
    kept = [op for op in converted.ops if op.traits.has_filter]
    assert [op.kind for op in kept] == [op.kind for op in behind]
    for op, before in zip(kept, behind, strict=True):
        weights, own = converted.tensors[op.inputs[1]], GRAPH.tensors[before.inputs[1]]
        assert weights.name == own.name and len(weights.scales) == len(own.scales)
        assert weights.data is not None and own.data is not None and weights.data.min() >= -127
        real, wanted = (t.data * np.array(t.scales).reshape(_along(t, op)) for t in (weights, own))
        assert np.abs(real - wanted).max() < 0.25 * np.abs(wanted).max(), "fitted ones are near"
        assert (weights.data != own.data).any()
        assert len(converted.tensors) < len(GRAPH.tensors), "what they were is gone"
    name = GRAPH.tensors[GRAPH.outputs[0]].name
    np.testing.assert_array_equal(Interpreter(model).run(X), simulate(GRAPH, plan, X)[name])


def _along(weights: Tensor, op: Op) -> list[int]:
    shape = [1] * len(weights.shape)
    shape[op.traits.weight_axis] = -1
    return shape


def _share_weights(tree: Any) -> None:
    """The third op reads the weights of the second."""
    second, third = tree.subgraphs[0].operators[1:]
    third.inputs = np.array([third.inputs[0], *second.inputs[1:2]])


def _three_layers(*, is_shared: bool = False, num_scales: int = 4) -> tuple[bytes, ModelGraph, PrecisionPlan]:
    """Three 3x3 convolutions of 4 channels, the first map at 4 bits. Of the second one a channel is all 0 and biases
    are nearly what int32 holds."""
    rng, net = np.random.default_rng(5), TinyModel()
    x = net.input((1, 6, 6, 4))
    filter = rng.integers(-127, 128, (4, 3, 3, 4), dtype=np.int8)
    x = net.conv2d(x, rng.integers(-127, 128, filter.shape, dtype=np.int8), filter_scales=[0.003] * 4, scale=0.05)
    filter[1] = 0
    scales = [0.003, 5e-10, 0.002, 0.003][:num_scales]
    bias = np.array([2**31 - 2**22, 2**30, 2**22 - 2**31, 3], np.int32) if num_scales == 4 else None
    x = net.conv2d(x, filter, bias, filter_scales=scales, scale=0.05)
    x = net.conv2d(x, filter if is_shared else filter[::-1], filter_scales=[0.003] * num_scales, scale=0.05)
    model = net.build(x)
    if is_shared:
        model = edited(model, _share_weights)
    graph = canonical(ModelFile(model)).graph
    first = graph.tensors[graph.ops[0].outputs[0]]
    return model, graph, PrecisionPlan(graph.sha256, {}, formats={first.name: narrowed(first.format, 4)})


@pytest.mark.parametrize("num_scales", (1, 4))
def test_weights_of_8_bits_keep_what_stock_kernels_want(num_scales):
    """They keep as many scales, biases within int32, and a channel of zeros as it was, where it is not dropped as a
    dead one."""
    model, graph, plan = _three_layers(num_scales=num_scales)
    x = np.random.default_rng(0).integers(-128, 128, (8, 6, 6, 4), dtype=np.int8)
    plan = compensate(graph, plan, x)
    rounded = plan.rounded_weights[graph.tensors[graph.ops[1].inputs[1]].name]
    assert len(rounded.scales) == num_scales
    assert num_scales == 1 or not rounded.values(144).reshape(4, -1)[1].any()
    name = graph.tensors[graph.outputs[0]].name
    np.testing.assert_array_equal(Interpreter(convert_model(model, plan)).run(x), simulate(graph, plan, x)[name])


def test_weights_that_two_ops_read_stay_at_8_bits():
    model, graph, plan = _three_layers(is_shared=True)
    assert graph.ops[1].inputs[1] == graph.ops[2].inputs[1]
    x = np.random.default_rng(0).integers(-128, 128, (8, 6, 6, 4), dtype=np.int8)
    plan = compensate(graph, plan, x)
    assert not plan.rounded_weights and len(plan.bias_corrections) == 2
    name = graph.tensors[graph.outputs[0]].name
    np.testing.assert_array_equal(Interpreter(convert_model(model, plan)).run(x), simulate(graph, plan, x)[name])


def test_errors_shrink_by_biases_and_by_the_rounding_of_weights():
    plan = _four_bit_weights()
    off, bias, weights = (
        _error(compensate(GRAPH, plan, X, mode=m), _samples(64, 1)) for m in ("off", "bias", "weights")
    )
    assert weights < 0.8 * bias
    assert bias < 0.6 * off


@pytest.mark.parametrize("mode", ("bias", "weights"))
def test_mean_sums_are_those_of_eight_bits(mode):
    rng = np.random.default_rng(0)
    net = TinyModel()
    x = net.input((1, 8, 8, 3))
    weights = rng.integers(-127, 128, (6, 3, 3, 3), dtype=np.int8)
    y = net.conv2d(x, weights, filter_scales=rng.uniform(0.001, 0.002, 6).tolist(), scale=0.08)
    model = net.build(y)
    graph = read_model(model)
    name, filter = (graph.tensors[t].name for t in (graph.outputs[0], graph.ops[0].inputs[1]))
    samples = rng.integers(40, 100, (32, 8, 8, 3), dtype=np.int8)  # a large mean makes rounding shift the sums
    plan = PrecisionPlan(graph.sha256, {}, weight_bits={filter: 4})
    means = [simulate(graph, p, samples)[name].mean(axis=(0, 1, 2)) for p in (None, plan)]
    assert np.abs(means[1] - means[0]).max() > 1
    found = simulate(graph, compensate(graph, plan, samples, mode=mode), samples)[name].mean(axis=(0, 1, 2))
    np.testing.assert_allclose(found, means[0], atol=0.1)  # rounding to steps of the output is all that is left


def test_outlier_patches_at_eight_bits_keep_their_biases():
    stage = front_stage(GRAPH)
    low = {STEM: narrowed(GRAPH.by_name[STEM].format, 4)}
    grid = np.zeros(np.shape(stage.patch_classes), int)
    grid[:, 1:] = 1
    stage = dataclasses.replace(
        stage,
        classes=(PatchClass("outlier", {}), PatchClass("ordinary", low)),
        patch_classes=tuple(map(tuple, grid.tolist())),
    )
    outlier, ordinary = compensate(GRAPH, PrecisionPlan(GRAPH.sha256, {}, stages=(stage,)), X).stages[0].classes
    assert not outlier.bias_corrections
    assert ordinary.bias_corrections and STEM not in ordinary.bias_corrections


@pytest.mark.parametrize("mode", ("bias", "weights"))
def test_plans_at_eight_bits_stay_as_they_are(mode):
    plan = split(GRAPH)
    assert not has_low_widths(plan)
    assert compensate(GRAPH, plan, X, mode=mode).to_json() == plan.to_json()


def test_what_a_plan_had_is_found_again_or_dropped():
    plan = _four_bit_weights()
    once = compensate(GRAPH, plan, X)
    assert compensate(GRAPH, once, X) == once
    assert compensate(GRAPH, once, X, mode="off") == without_compensation(once) == plan


def test_the_file_keeps_all_and_the_model_s_copy_what_is_not_in_the_model():
    plan = compensate(GRAPH, mixed(GRAPH, 0), X)
    again = PrecisionPlan.from_json(plan.to_json())
    assert again == plan
    assert convert_model(MODEL, again) == convert_model(MODEL, plan)
    assert PrecisionPlan.from_json(plan.to_json(compact=True)) == without_compensation(plan)


def test_rounded_weights_count_at_their_width_only():
    plan = compensate(GRAPH, _four_bit_weights(), X)
    changed = dataclasses.replace(plan, weight_bits=dict.fromkeys(plan.weight_bits, 2))
    of_8_bits = {name: rounded for name, rounded in plan.rounded_weights.items() if rounded.bits == 8}
    assert 0 < len(of_8_bits) < len(plan.rounded_weights)
    without = dataclasses.replace(changed, rounded_weights=of_8_bits)
    assert convert_model(MODEL, changed) == convert_model(MODEL, without)


def _rounding(values: np.ndarray | None = None, num_scales: int | None = None, bits: int = 4) -> RoundedWeights:
    own = GRAPH.by_name[FIRST_WEIGHTS]
    own_values = np.zeros(own.num_elements, np.int8)
    scales = np.full(own.shape[0] if num_scales is None else num_scales, 0.5)
    return RoundedWeights.of(bits, scales, (own_values if values is None else values).astype(np.int8))


@pytest.mark.parametrize(
    "changes, message",
    (
        ({"rounded_weights": {FIRST_WEIGHTS: _rounding(np.zeros(5))}}, "rounds 5 weights '.*' with 4 scales"),
        (
            {"rounded_weights": {FIRST_WEIGHTS: _rounding(np.zeros(1 << 20))}},
            "rounds more than 108 weights '.*' with 4",
        ),
        ({"rounded_weights": {FIRST_WEIGHTS: _rounding(num_scales=2)}}, "rounds 108 weights '.*' with 2 scales"),
        (
            {"rounded_weights": {FIRST_WEIGHTS: _rounding(num_scales=1, bits=8)}, "weight_bits": {}},
            "with 1 scales; the model has 108, with 4 scales at 8 bits",
        ),
        ({"rounded_weights": {FIRST_WEIGHTS: _rounding(np.full(108, 8))}}, "leave 4 bits, or have a scale <= 0"),
        ({"rounded_weights": {"nothing": _rounding()}}, "'nothing', which is no weights of the model"),
        ({"bias_corrections": {OUTPUT: (0.5,)}}, "corrects 1 biases of FULLY_CONNECTED '.*', which has 5"),
        ({"bias_corrections": {"nothing": (0.5,)}}, "'nothing', which no convolution or fully connected op writes"),
    ),
)
def test_what_does_not_fit_the_model_is_refused(changes, message):
    plan = PrecisionPlan(GRAPH.sha256, {}, **{"weight_bits": {FIRST_WEIGHTS: 4}, **changes})
    with pytest.raises(UsageError, match=message):
        convert_model(MODEL, plan)


@pytest.mark.parametrize("mode", ("off", "bias", "weights"))
def test_the_bytes_of_a_compensated_model_are_known_without_samples(mode):
    measure, grows = PlanCosts(ModelFile(MODEL)).bytes_of, []
    plans = [_narrow_maps(), *(mixed(GRAPH, seed) for seed in range(6))]
    for plan in plans:
        found = measure(compensate(GRAPH, plan, X, mode=mode))
        assert measure(with_room(GRAPH, plan, mode=mode)) == found
        grows.append(found.flash_bytes > measure(plan).flash_bytes)
    assert any(grows) == (mode != "off")


def _degenerate(kind: str, shape: tuple[int, ...], seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    x = rng.integers(-128, 128, (5, *shape), dtype=np.int8)
    return {
        "one sample": x[:1],
        "one sample again and again": x[:1].repeat(8, axis=0),
        "constant": np.full_like(x, rng.integers(-128, 128)),
        "constant but for one value": np.where(np.arange(x.size).reshape(x.shape) == 0, 127, -100).astype(np.int8),
        "equal channels": x[..., :1].repeat(shape[-1], axis=-1),
        "channels of zeros": np.where(np.arange(shape[-1]) == 1, x, 0).astype(np.int8),
    }[kind]


@pytest.mark.parametrize("scale", (1e-12, 0.05, 1e12))
@pytest.mark.parametrize(
    "kind",
    (
        "one sample",
        "one sample again and again",
        "constant",
        "constant but for one value",
        "equal channels",
        "channels of zeros",
    ),
)
@pytest.mark.parametrize("bits", ((8, 4), (4, 2), (4, 8)))
def test_samples_that_say_little_give_a_model_that_runs(bits, kind, scale):
    """Convolutions, one of them depthwise with a multiplier, at the size where one value a tap is all there is."""
    rng, map_bits, weight_bits = np.random.default_rng(0), *bits
    net = TinyModel()
    x = net.input((1, 3, 3, 4), scale=scale)
    for shape in ((6, 3, 3, 4), (3, 3, 12), (5, 1, 1, 12)):
        filter = rng.integers(-127, 128, shape, dtype=np.int8)
        if len(shape) == 3:
            x = net.depthwise_conv2d(x, filter, filter_scales=[0.01] * 12, scale=scale)
        else:
            x = net.conv2d(x, filter, filter_scales=[0.004] * shape[0], padding="VALID", scale=scale)
    model = net.build(x)
    graph = read_model(model)
    inner = [graph.tensors[op.outputs[0]] for op in graph.ops[:-1]]
    plan = PrecisionPlan(
        graph.sha256,
        {},
        formats={t.name: narrowed(t.format, map_bits) for t in inner if map_bits < 8},
        weight_bits={graph.tensors[op.inputs[1]].name: weight_bits for op in graph.ops if weight_bits < 8},
    )
    samples = _degenerate(kind, (3, 3, 4), 1)
    plan = compensate(graph, plan, samples)
    expected = simulate(graph, plan, samples)[graph.tensors[graph.outputs[0]].name]
    np.testing.assert_array_equal(Interpreter(convert_model(model, plan)).run(samples), expected)
