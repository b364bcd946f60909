"""A Python function may give a streamed input; what it gives and is asked for are the stage's regions."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support import networks, shared_data
from tests.support.streamed import streamed_plan
from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.converter.convert import convert_model
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.runtime.samples import random_samples
from tflm_quantmcu.stage.build import build_program
from tflm_quantmcu.tflite.reader import read_model
from tflm_quantmcu.tflite.streaming import input_requests

MODEL = networks.inverted_residual()
GRAPH = read_model(MODEL)
INPUT = GRAPH.tensors[GRAPH.inputs[0]]
PLAN = streamed_plan(GRAPH, tile_height=3, tile_width=5, cache_mode="rows")
STREAMED = convert_model(MODEL, PLAN)
X = random_samples(INPUT, 3)


class Camera:
    """Gives regions of one image and notes what it was asked for."""

    def __init__(self, image: np.ndarray) -> None:
        self.image = image
        self.asked: list[tuple[int, int, int, int]] = []

    def __call__(self, y: int, x: int, height: int, width: int) -> np.ndarray:
        self.asked.append((y, y + height, x, x + width))
        return self.image[y : y + height, x : x + width]


@pytest.mark.parametrize("cache_mode", ["recompute", "rows", "full", "ahead"])
@pytest.mark.parametrize("tile", [(3, 5), (1, None), (None, None)])
def test_the_stage_asks_for_its_requests_and_computes_stock_tflms_bytes(cache_mode, tile):
    plan = streamed_plan(GRAPH, tile_height=tile[0], tile_width=tile[1], cache_mode=cache_mode)
    camera = Camera(X[0])
    interpreter = Interpreter(convert_model(MODEL, plan), input_reader=camera)
    (found,) = interpreter.invoke()
    assert np.array_equal(found, Interpreter(MODEL).invoke(X[0])[0])
    program = build_program(GRAPH, plan.stages[0], weight_bits={}, formats={})
    assert camera.asked == input_requests(program)


def test_samples_go_in_as_ever_and_are_described():
    interpreter = Interpreter(STREAMED)
    (described,) = interpreter.inputs
    assert (described.name, described.shape, described.scales) == (INPUT.name, INPUT.shape, INPUT.scales)
    assert np.array_equal(interpreter.run(X), Interpreter(MODEL).run(X))
    reals = X.astype(np.float32) * np.float32(INPUT.scales[0])
    assert np.array_equal(interpreter.predict(reals), Interpreter(MODEL).predict(reals))


def test_interpreters_side_by_side_read_their_own_samples():
    camera = Camera(X[1])
    first, second = Interpreter(STREAMED), Interpreter(STREAMED, input_reader=camera)
    expected = [Interpreter(MODEL).invoke(x)[0] for x in X[:2]]
    for _ in range(2):
        assert np.array_equal(first.invoke(X[0])[0], expected[0])
        assert np.array_equal(second.invoke()[0], expected[1])


@pytest.mark.parametrize(
    ("reader", "sentence"),
    [
        (lambda y, x, h, w: np.zeros((h, w, 1), np.int8), r"gave int8 \[\d+, \d+, 1\]; the model needs int8 \[\d+"),
        (lambda y, x, h, w: np.zeros((h, w, 3)), r"input_reader\(0, 0, \d+, \d+\) gave float64"),
        (lambda y, x, h, w: None, "gave object"),
    ],
)
def test_what_is_no_region_is_refused(reader, sentence):
    interpreter = Interpreter(STREAMED, input_reader=reader)
    for _ in range(2):
        with pytest.raises(UsageError, match=sentence):
            interpreter.invoke()


def test_what_a_reader_raises_comes_out_of_invoke():
    calls = []

    def fail(*region: int) -> np.ndarray:
        calls.append(region)
        raise KeyError("no camera")

    with pytest.raises(KeyError, match="no camera"):
        Interpreter(STREAMED, input_reader=fail).invoke()
    assert len(calls) == 1, "the inference went on"


def test_samples_and_a_reader_exclude_each_other():
    read = Interpreter(STREAMED, input_reader=Camera(X[0]))
    with pytest.raises(UsageError, match="1 inputs are given; the model has 0 besides what input_reader gives"):
        read.run(X)
    with pytest.raises(UsageError, match="0 inputs are given; the model has 1"):
        Interpreter(STREAMED).invoke()
    with pytest.raises(UsageError, match="input_reader is given, and the model's input is not streamed"):
        Interpreter(MODEL, input_reader=Camera(X[0]))


def test_stripped_models_take_int8_samples_alone():
    interpreter = Interpreter(convert_model(MODEL, PLAN, strip_metadata=True))
    assert np.array_equal(interpreter.run(X), Interpreter(MODEL).run(X))
    with pytest.raises(UsageError, match="x is float32; supported is int8, for the model does not say its scale"):
        interpreter.run(X.astype(np.float32))


def test_reals_are_quantised_as_the_models_own_quantize_did():
    model = shared_data.model("mcunet_vww80")
    graph = read_model(model)
    interpreter = Interpreter(convert_model(model, streamed_plan(graph, tile_height=2)))
    assert interpreter.inputs[0].dtype == "int8" and graph.tensors[graph.inputs[0]].dtype == "float32"
    scale = interpreter.inputs[0].scales[0]
    rng = np.random.default_rng(3)
    x = rng.normal(0, 60 * scale, (2, *interpreter.inputs[0].shape[1:])).astype(np.float32)
    x[0, :4] = scale * (rng.integers(-130, 130, x[0, :4].shape) + 0.5)  # half steps, and beyond the range
    assert np.array_equal(interpreter.run(x), Interpreter(model).run(x))
