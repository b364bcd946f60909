"""The interpreter is stock TFLM in every byte, never lacks arena, and turns every failure into a sentence."""

from __future__ import annotations

import gc

import flatbuffers
import numpy as np
import pytest

from tests.support.edit_model import StockModel
from tests.support.shared_data import path_of
from tests.support.stock_tflm import run_stock
from tests.support.tiny_models import Handle, TinyModel
from tflm_quantmcu.base.errors import UnsupportedModelError, UsageError
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.tflite import schema

RNG = np.random.default_rng(11)
FILTER = RNG.integers(-127, 128, (6, 3, 3, 2))
X = RNG.integers(-128, 128, (5, 7, 6, 2), dtype=np.int8)


def _chain(model: TinyModel) -> list[Handle]:
    x = model.input((1, 7, 6, 2), scale=0.1, zero_point=5)
    y = model.conv2d(x, FILTER, filter_scales=(0.01,) * 6, scale=0.3, zero_point=-4, activation="RELU")
    z = model.max_pool2d(y, (2, 2), stride=(2, 2))
    return [x, y, z]


def _model(stop: int = 2) -> bytes:
    """The chain up to one of its feature maps."""
    model = TinyModel()
    return model.build(_chain(model)[stop])


def test_a_batch_equals_stock_tflm():
    (expected,) = run_stock(_model(), X)
    result = Interpreter(_model()).run(X)
    assert result.dtype == np.int8 and result.shape == (5, 3, 3, 6)
    assert np.array_equal(result, expected)


def test_all_outputs_of_a_batch_equal_stock_tflm():
    model = TinyModel()
    _, y, z = _chain(model)
    data = model.build(z, y)
    found, expected = Interpreter(data).run_all(X), run_stock(data, X)
    assert [v.shape for v in found] == [(5, 3, 3, 6), (5, 7, 6, 6)]
    assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))


def test_predict_gives_real_values_and_takes_them():
    interpreter = Interpreter(_model())
    y = interpreter.outputs[0]
    reals = (X.astype(np.float32) - 5) * np.float32(0.1)
    expected = (interpreter.run(X).astype(np.float32) - y.zero_points[0]) * np.float32(y.scales[0])
    for x in (X, reals):
        result = interpreter.predict(x)
        assert result.dtype == np.float32
        assert np.array_equal(result, expected)


def test_invoke_takes_a_sample_with_or_without_its_batch():
    interpreter = Interpreter(_model())
    (bare,) = interpreter.invoke(X[0])
    (batched,) = interpreter.invoke([X[:1]])
    assert bare.shape == (1, 3, 3, 6)
    assert np.array_equal(bare, batched)


def test_several_inputs_and_outputs_go_through_invoke():
    model = TinyModel()
    x0, x1 = model.input((1, 4)), model.input((1, 4))
    interpreter = Interpreter(model.build(model.add(x0, x1, scale=0.1), model.relu(x0)))
    a, b = np.array([[2, 4, -6, 8]], np.int8), np.array([[0, 2, 2, -4]], np.int8)
    total, rectified = interpreter.invoke([a, b])
    assert total.tolist() == [[1, 3, -2, 2]]
    assert rectified.tolist() == [[2, 4, 0, 8]]
    with pytest.raises(UsageError, match="the model has 2 inputs; use invoke"):
        interpreter.predict(a)
    with pytest.raises(UsageError, match="1 inputs are given; the model has 2"):
        interpreter.invoke(a)


@pytest.mark.parametrize("sample", [X[0].astype(np.float32), X[0, :3], X[:2]])
def test_invoke_refuses_what_it_cannot_pass_on(sample):
    with pytest.raises(UsageError, match=r"input map0 is .*; the model takes int8 \(1, 7, 6, 2\)"):
        Interpreter(_model()).invoke(sample)


def test_inputs_and_outputs_are_described():
    interpreter = Interpreter(_model())
    (x,), (y,) = interpreter.inputs, interpreter.outputs
    assert (x.index, x.name, x.shape, x.dtype) == (0, "map0", (1, 7, 6, 2), "int8")
    assert x.scales == (float(np.float32(0.1)),) and x.zero_points == (5,)
    assert (y.shape, y.zero_points) == ((1, 3, 3, 6), (-4,))


def test_a_path_serves_as_well_as_bytes(tmp_path):
    path = tmp_path / "m.tflite"
    path.write_bytes(_model())
    for form in (path, str(path), bytearray(_model())):
        assert np.array_equal(Interpreter(form).run(X), Interpreter(_model()).run(X))
    with pytest.raises(UsageError, match="none.tflite cannot be read"):
        Interpreter(tmp_path / "none.tflite")


def test_preserved_tensors_are_those_of_the_shorter_models():
    interpreter = Interpreter(_model(), preserve_all_tensors=True)
    interpreter.invoke(X[0])
    model = TinyModel()
    for stop, handle in enumerate(_chain(model)):
        values = interpreter.tensor(handle.index)
        expected = X[:1] if stop == 0 else run_stock(_model(stop), X[:1])[0]
        assert np.array_equal(values, expected)


def test_tensors_without_values_are_refused():
    model = TinyModel()
    x = model.input((1, 4))
    dangling = model.relu(x)
    tree = schema.ModelT.InitFromPackedBuf(model.build(model.relu(x)))
    del tree.subgraphs[0].operators[0]
    builder = flatbuffers.Builder(1024)
    builder.Finish(tree.Pack(builder), file_identifier=b"TFL3")
    interpreter = Interpreter(bytes(builder.Output()), preserve_all_tensors=True)
    for index in (dangling.index, -1, 99):
        with pytest.raises(UsageError, match=f"tensor {index} is no input, constant or op output"):
            interpreter.tensor(index)
    with pytest.raises(UsageError, match="preserve_all_tensors=True"):
        Interpreter(_model()).tensor(0)


def test_constants_can_be_read():
    interpreter = Interpreter(_model(), preserve_all_tensors=True)
    assert np.array_equal(interpreter.tensor(1), FILTER)


def test_allocations_are_tflms_own_count(capfd):
    allocations = Interpreter(_model()).allocations()
    maps_bytes = sum(-(-n // 16) * 16 for n in (7 * 6 * 2, 7 * 6 * 6))
    assert allocations.non_persistent_bytes >= maps_bytes
    assert allocations.total_bytes == allocations.non_persistent_bytes + allocations.persistent_bytes
    assert allocations.details["TfLiteEvalTensor data"] > 0
    assert sum(allocations.details.values()) <= allocations.persistent_bytes
    assert capfd.readouterr() == ("", "")
    with pytest.raises(UsageError, match="not counted"):
        Interpreter(_model(), preserve_all_tensors=True).allocations()


def test_the_arena_can_be_bounded_as_on_a_device():
    used = Interpreter(_model()).allocations().total_bytes
    roomy = Interpreter(_model(), arena_bytes=used + 1024)
    assert roomy.allocations().total_bytes == used
    assert np.array_equal(roomy.run(X), Interpreter(_model()).run(X))
    for arena_bytes in (-1, 0, 100, used - 1):
        with pytest.raises(UsageError, match=f"arena_bytes is {arena_bytes}; this model uses {used} on this host"):
            Interpreter(_model(), arena_bytes=arena_bytes)
    with pytest.raises(UsageError, match="no effect"):
        Interpreter(_model(), arena_bytes=used, preserve_all_tensors=True)


def test_room_that_only_preparing_takes_is_asked_for_too():
    used = Interpreter(_model()).allocations().total_bytes
    least = Interpreter(_model()).least_arena_bytes()
    assert least > used and least % 16 == 0
    for arena_bytes in range(used, least, 16):
        with pytest.raises(UsageError, match=f"uses {used} on this host, and {least} to be prepared"):
            Interpreter(_model(), arena_bytes=arena_bytes)
    assert np.array_equal(Interpreter(_model(), arena_bytes=least).run(X), Interpreter(_model()).run(X))


def test_large_maps_find_room_by_themselves():
    model = TinyModel()
    y = model.input((1, 600, 600, 8))
    for _ in range(6):
        y = model.max_pool2d(y, (1, 1))
    x = np.arange(600 * 600 * 8, dtype=np.int32).astype(np.int8).reshape(1, 600, 600, 8)
    interpreter = Interpreter(model.build(y), preserve_all_tensors=True)
    assert np.array_equal(interpreter.run(x), x)


def test_tflms_own_words_reach_the_sentence_and_nothing_else(capfd):
    model = TinyModel()
    data = model.build(model.conv2d(model.input((1, 7, 6, 2)), FILTER, filter_scales=(0.1, 0.2)))
    with pytest.raises(UnsupportedModelError, match="TFLM cannot prepare the model: .*CONV_2D .* failed") as info:
        Interpreter(data)
    assert "\n" not in str(info.value)
    assert capfd.readouterr() == ("", "")


def test_the_interpreter_keeps_the_model_alive():
    data = bytearray(_model())
    interpreter = Interpreter(data)
    expected = interpreter.run(X)
    data[:] = bytes(len(data))
    del data
    gc.collect()
    assert np.array_equal(interpreter.run(X), expected)


def test_a_real_model_is_as_accurate_as_published():
    samples = np.load(path_of("samples/kws_test_375.npz"))
    scores = Interpreter(path_of("models/kws_dscnn_int8.tflite")).predict(samples["x"])
    assert (scores.argmax(axis=1) == samples["y"]).mean() >= 0.905


def test_float_samples_reach_the_same_class():
    samples = np.load(path_of("samples/kws_test_375.npz"))
    interpreter = Interpreter(path_of("models/kws_dscnn_int8.tflite"))
    x = samples["x"][:20]
    reals = (x.astype(np.float32) - 83) * np.float32(interpreter.inputs[0].scales[0])
    assert np.array_equal(interpreter.run(reals), interpreter.run(x))


@pytest.mark.parametrize("index", [7, -1, 1 << 30])
def test_an_index_of_no_row_is_refused(index: int) -> None:
    """TFLM would read there, and may end the process."""
    net = StockModel()
    rows = net.constant(RNG.integers(-127, 128, (7, 4), dtype=np.int8), scale=0.1)
    source = net.input((1, 2), dtype="int32")
    flat = net.stock("RESHAPE", [source], schema.ReshapeOptionsT(newShape=[2]), (2,), dtype="int32")
    interpreter = Interpreter(net.build(net.stock("GATHER", [rows, flat], schema.GatherOptionsT(), (2, 4))))
    assert interpreter.invoke(np.array([[0, 6]], np.int32))[0].shape == (2, 4)
    with pytest.raises(UsageError, match=rf"holds {index}; GATHER \(op 1\) looks up rows 0 to 6"):
        interpreter.invoke(np.array([[0, index]], np.int32))
