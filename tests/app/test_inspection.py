"""What inspect says of a converted model: every op and map inside a stage by its layer's name."""

from __future__ import annotations

import pytest

from tests.support import networks
from tests.support.tiny_keras import functional_cnn, samples
from tests.support.tiny_models import TinyModel
from tflm_quantmcu import convert
from tflm_quantmcu.app.inspection import describe_model, describe_why
from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.converter.convert import convert_model
from tflm_quantmcu.graph.precision_plan import PatchClass, PrecisionPlan, StagePlan
from tflm_quantmcu.graph.target import Target
from tflm_quantmcu.keras_bridge.to_tflite import keras, keras_to_int8
from tflm_quantmcu.patches.planner import plan_stages
from tflm_quantmcu.search.overrides import fixed_widths
from tflm_quantmcu.stage.custom_ops import PATCH_STAGE, decode_options
from tflm_quantmcu.tflite.model_file import ModelFile


@pytest.fixture(scope="module")
def source() -> ModelFile:
    return ModelFile(keras_to_int8(keras.models.clone_model(functional_cnn()), samples()[0]))


def _converted(source: ModelFile, *, strip_metadata: bool = False) -> ModelFile:
    graph = source.graph
    ends = [graph.tensors[t].name for t in (graph.inputs[0], graph.ops[2].outputs[0])]
    stage = StagePlan(*ends, 4, 6, ((0,), (0,)), (PatchClass("ordinary", {}),))
    plan = PrecisionPlan(graph.sha256, {}, stages=(stage,))
    return ModelFile(convert_model(source, plan, strip_metadata=strip_metadata))


def test_ops_inside_a_stage_have_the_names_of_keras_layers(source):
    converted = _converted(source)
    text = describe_model(converted)
    assert "  0 CONV_2D 'stem' 3x3/1x1 w8: map 0 -> map 1 [8, 6, 4]" in text
    assert "  1 DEPTHWISE_CONV_2D 'depthwise' 3x3/1x1 w8: map 1 -> map 2" in text
    assert "layer 'logits'" in text  # outside
    options = next(decode_options(op.custom_options) for op in converted.graph.ops if op.kind == PATCH_STAGE)
    assert options["ops"][:2] == ["stem: CONV_2D 3x3 a8 w8", "depthwise: DEPTHWISE_CONV_2D 3x3 a8 w8"]
    assert options["tile_grid"] == "2x1"


def test_names_are_left_out_with_the_metadata(source):
    text = describe_model(_converted(source, strip_metadata=True))
    assert "  0 CONV_2D 3x3/1x1 w8: map 0 -> map 1 [8, 6, 4]" in text


def test_overrides_match_the_names_of_keras_layers(source):
    rules = [{"match": "stem|depthwise", "activation_bits": 4}]
    assert len(fixed_widths(source.graph, rules).activation_bits) == 2


def test_a_plan_names_the_layers_inside_its_stages():
    graph = ModelFile(networks.inverted_residual()).graph
    best = plan_stages(graph).best
    assert best is not None
    for planned, stage in zip(best.stages, best.plans(graph), strict=True):
        names = [graph.tensors[graph.ops[i].outputs[0]].label for i in sorted(planned.ops)]
        assert list(stage.layers) == names
        assert stage.layers[-1] == stage.output


@pytest.mark.parametrize("num_ops", [1, 2])
def test_why_is_said_where_the_input_cannot_be_streamed(num_ops: int) -> None:
    net = TinyModel()
    y = net.input((1, 6))
    for _ in range(num_ops):
        y = net.tanh(y)
    lines = describe_why(net.build(y), Target.of()).splitlines()
    assert lines[0].startswith("the network is not split and keeps its arena of 16 bytes")
    assert any(line.startswith("the input cannot be streamed: no patch stage begins with it") for line in lines)
    assert lines[-1] == "--input resident: 16 bytes of maps and scratch"
    with pytest.raises(UnsupportedModelError, match="the input cannot be streamed: no patch stage begins with it"):
        convert(net.build(y), input="streamed")
