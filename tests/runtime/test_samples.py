"""Samples are quantised as TFLM does it; files and arrays that do not fit are refused in one sentence."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.tiny_models import TinyModel
from tflm_quantmcu.base.errors import UnsupportedModelError, UsageError
from tflm_quantmcu.graph.types import Tensor
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.runtime.samples import (
    choose_samples,
    load_samples,
    random_samples,
    to_model_input,
    to_real,
)

INT8 = Tensor(0, "input", (1, 2, 2, 1), "int8", (0.5,), (3,))
UINT8 = Tensor(0, "input", (1, 2, 2, 1), "uint8", (0.5,), (128,))
FLOAT = Tensor(0, "input", (1, 2, 2, 1), "float32")
SHAPE = (3, 2, 2, 1)


def _batch(values: list[float], dtype: str = "float32") -> np.ndarray:
    return np.array(values, dtype).reshape(1, 2, 2, 1)


def test_reals_round_half_away_and_clamp():
    x = _batch([0.25, -0.25, 1000.0, -1000.0])
    assert to_model_input(x, INT8).ravel().tolist() == [4, 2, 127, -128]
    assert to_model_input(x, UINT8).ravel().tolist() == [129, 127, 255, 0]
    assert to_model_input(x, INT8).dtype == np.int8


def test_the_neighbours_of_halves_are_not_misjudged():
    x = _batch([np.nextafter(np.float32(0.25), np.float32(0)), 0.25, 3e38, -3e38])
    assert to_model_input(x, INT8).ravel().tolist() == [3, 4, 127, -128]


@pytest.mark.parametrize("scale, zero_point", [(0.5847029, 83), (1.0, -128), (1 / 255, -128), (0.0078125, 0)])
def test_quantising_equals_tflm(scale, zero_point):
    model = TinyModel()
    x = model.input((1, 1000), dtype="float32")
    quantize = Interpreter(model.build(model.quantize(x, scale=scale, zero_point=zero_point)))
    rng = np.random.default_rng(1)
    ties = (np.arange(-500, 500) + 0.5) * np.float32(scale)
    reals = np.stack([rng.normal(0, 100 * scale, 1000), ties]).astype(np.float32)
    tensor = Tensor(0, "input", (1, 1000), "int8", (float(np.float32(scale)),), (zero_point,))
    assert np.array_equal(to_model_input(reals, tensor), quantize.run(reals))


def test_real_values_equal_tflm():
    model = TinyModel()
    x = model.input((1, 256), scale=0.1234567, zero_point=-17)
    dequantize = Interpreter(model.build(model.dequantize(x)))
    q = np.arange(-128, 128, dtype=np.int8)[None]
    assert np.array_equal(to_real(q, dequantize.inputs[0]), dequantize.run(q))


def test_the_models_own_type_passes_through():
    for tensor in (INT8, UINT8, FLOAT):
        x = np.zeros(SHAPE, tensor.dtype)
        assert to_model_input(x, tensor) is x


def test_float64_and_float16_are_taken_as_float32():
    x = np.linspace(-9, 9, 12).reshape(SHAPE)
    expected = to_model_input(x.astype(np.float32), INT8)
    assert np.array_equal(to_model_input(x, INT8), expected)
    assert to_model_input(x.astype(np.float16), FLOAT).dtype == np.float32


def test_uint8_images_are_real_values_where_they_fit():
    image_input = Tensor(0, "input", (1, 2, 2, 1), "int8", (1.0,), (-128,))
    x = _batch([0, 1, 254, 255], "uint8")
    assert to_model_input(x, image_input).ravel().tolist() == [-128, -127, 126, 127]
    assert to_model_input(x, FLOAT).ravel().tolist() == [0, 1, 254, 255]


def test_unscaled_images_for_a_scaled_input_are_refused():
    scaled_input = Tensor(0, "input", (1, 2, 2, 1), "int8", (1 / 255,), (-128,))
    with pytest.raises(UsageError, match="x is uint8 from 0 to 255, but the model takes 0 to 1; give float32 scaled"):
        to_model_input(_batch([0, 1, 2, 255], "uint8"), scaled_input)


@pytest.mark.parametrize(
    "x, sentence",
    [
        (np.zeros((3, 2, 2), "float32"), r"x has shape \(3, 2, 2\); the model needs \[N, 2, 2, 1\]"),
        (np.zeros((3, 2, 3, 1), "float32"), "x has shape"),
        (np.zeros((0, 2, 2, 1), "float32"), "x is empty"),
        (np.zeros(SHAPE, "int64"), "x is int64; supported is float32 or int8"),
        (np.zeros(SHAPE, "bool"), "x is bool"),
        (np.full(SHAPE, np.nan, "float32"), "x has 12 values that are not finite"),
        (np.full(SHAPE, 1e39), "x has 12 values that are not finite"),
    ],
)
def test_samples_that_do_not_fit_are_refused(x, sentence):
    with pytest.raises(UsageError, match=sentence):
        to_model_input(x, INT8)


def test_int8_for_a_uint8_model_is_refused():
    with pytest.raises(UsageError, match="x is int8; supported is float32 or uint8"):
        to_model_input(np.zeros(SHAPE, np.int8), UINT8)


def test_reals_are_refused_where_no_scale_is_known():
    with pytest.raises(UsageError, match="x is float32; supported is int8, for the model does not say its scale"):
        to_model_input(np.zeros(SHAPE, np.float32), Tensor(0, "x", INT8.shape, "int8"))


def test_another_batch_is_refused():
    with pytest.raises(UnsupportedModelError, match="supported is batch 1"):
        to_model_input(np.zeros(SHAPE, np.int8), Tensor(0, "input", (4, 2, 2, 1), "int8", (1.0,), (0,)))


def test_files_give_x_and_y_as_stored(tmp_path):
    path = tmp_path / "xy.npz"
    x, y = np.ones(SHAPE, np.float32), np.array([2, 0, 1], np.uint8)
    np.savez(path, x=x, y=y)
    loaded_x, loaded_y = load_samples(path, INT8)
    assert loaded_x.dtype == np.float32 and np.array_equal(loaded_x, x)
    assert loaded_y is not None and loaded_y.dtype == np.int64 and np.array_equal(loaded_y, y)
    np.savez(path, x=x)
    assert load_samples(path, INT8)[1] is None


X = np.zeros(SHAPE, np.float32)


@pytest.mark.parametrize(
    "arrays, sentence",
    [
        ({"images": X}, r"has no key x \(inputs\); its keys are: images"),
        ({"x": X[0]}, "key x of .*s.npz has shape"),
        ({"x": X.astype("int32")}, "key x of .*s.npz is int32"),
        ({"x": X * np.nan}, "key x of .*s.npz has 12 values that are not finite"),
        ({"x": X[:0]}, "key x of .*s.npz is empty"),
        ({"x": np.array([None])}, "s.npz is not a readable .npz file"),
        ({"x": X, "y": np.zeros(2, int)}, r"key y of .*s.npz has shape \(2,\); the 3 samples need \[3\]"),
        ({"x": X, "y": np.zeros((3, 1), int)}, r"key y of .*s.npz has shape \(3, 1\)"),
        ({"x": X, "y": np.zeros(3)}, "key y of .*s.npz is float64; supported are integer labels"),
    ],
)
def test_files_that_do_not_fit_are_refused(tmp_path, arrays, sentence):
    np.savez(tmp_path / "s.npz", **arrays)
    with pytest.raises(UsageError, match=sentence):
        load_samples(tmp_path / "s.npz", INT8)


@pytest.mark.parametrize("content", [b"", b"text", b"PK\3\4 cut off", b"\x93NUMPY cut off"])
def test_other_files_are_refused(tmp_path, content):
    (tmp_path / "s.npz").write_bytes(content)
    with pytest.raises(UsageError, match="s.npz is not a readable .npz file"):
        load_samples(tmp_path / "s.npz", INT8)


def test_single_arrays_and_missing_files_are_refused(tmp_path):
    np.save(tmp_path / "x.npy", X)
    with pytest.raises(UsageError, match="holds one array"):
        load_samples(tmp_path / "x.npy", INT8)
    with pytest.raises(UsageError, match="none.npz cannot be read: No such file or directory"):
        load_samples(tmp_path / "none.npz", INT8)


def test_chosen_samples_keep_their_order_and_depend_on_the_seed_alone():
    x = np.arange(100)[:, None]
    chosen = choose_samples(x, max_samples=10, seed=3)
    assert len(chosen) == len(np.unique(chosen)) == 10
    assert np.array_equal(chosen, np.sort(chosen, axis=0))
    assert np.array_equal(chosen, choose_samples(x, max_samples=10, seed=3))
    assert not np.array_equal(chosen, choose_samples(x, max_samples=10, seed=4))
    assert choose_samples(x, max_samples=100, seed=3) is x
    with pytest.raises(UsageError, match="max_samples is 0"):
        choose_samples(x, max_samples=0, seed=3)


def test_random_samples_fit_and_repeat():
    for tensor in (INT8, UINT8, FLOAT):
        x = random_samples(tensor, 500)
        assert x.shape == (500, 2, 2, 1) and x.dtype == tensor.dtype
        assert np.array_equal(x, random_samples(tensor, 500))
    q = random_samples(INT8, 500)
    assert (q.min(), q.max()) == (-128, 127)
