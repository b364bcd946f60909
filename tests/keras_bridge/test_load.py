"""Models in files and folders load as they were saved, and what does not load says why and the way out."""

from __future__ import annotations

import json
import sys

import h5py
import numpy as np
import pytest

from tests.support.tiny_keras import functional_cnn, samples
from tflm_quantmcu.base.errors import UnsupportedModelError, UsageError
from tflm_quantmcu.keras_bridge.load import load_keras, user_code
from tflm_quantmcu.keras_bridge.to_tflite import keras, keras_to_int8
from tflm_quantmcu.tflite.reader import read_model

X, _ = samples()


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_saved_models_load_again(tmp_path, suffix):
    model = functional_cnn()
    model.save(tmp_path / f"m{suffix}")
    loaded = load_keras(tmp_path / f"m{suffix}")
    assert np.array_equal(loaded.predict(X, verbose=0), model.predict(X, verbose=0))


def test_h5_files_of_keras_2_load(tmp_path):
    path = tmp_path / "m.h5"
    model = functional_cnn()
    model.save(path)
    with h5py.File(path, "r+") as file:
        config = json.loads(file.attrs["model_config"])
        (depthwise,) = (c for c in config["config"]["layers"] if c["class_name"] == "DepthwiseConv2D")
        depthwise["config"]["groups"] = 1
        file.attrs["model_config"] = json.dumps(config)
    with pytest.raises(Exception, match="groups"):
        keras.models.load_model(path, compile=False)
    assert np.array_equal(load_keras(path).predict(X, verbose=0), model.predict(X, verbose=0))


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_files_that_keras_cannot_load_are_refused(tmp_path, suffix):
    path = tmp_path / f"m{suffix}"
    with pytest.raises(UsageError, match="there is no such file"):
        load_keras(path)
    path.write_bytes(b"text")
    with pytest.raises(UnsupportedModelError, match=f"m{suffix} cannot be loaded by Keras: ") as info:
        load_keras(path)
    assert "\n" not in str(info.value)


def _own_module(tmp_path, monkeypatch) -> str:
    """A module of the user's in the working folder, with a layer that no decorator registers."""
    (tmp_path / "layers_of_user.py").write_text(
        "import keras\nclass Doubles(keras.layers.Layer):\n    def call(self, x):\n        return x * 2.0\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("sys.path", [*sys.path])
    monkeypatch.delitem(sys.modules, "layers_of_user", raising=False)
    return "layers_of_user"


@pytest.mark.parametrize("suffix", [".keras", ".h5"])
def test_own_layers_load_with_their_module(tmp_path, monkeypatch, suffix):
    path, module = tmp_path / f"m{suffix}", _own_module(tmp_path, monkeypatch)
    with user_code([module]):
        model = keras.Sequential([keras.Input((4,)), sys.modules[module].Doubles()])
        model.save(path)
        assert np.array_equal(load_keras(path).predict(np.ones((2, 4)), verbose=0), np.full((2, 4), 2))
    del sys.modules[module]
    with pytest.raises(UnsupportedModelError, match="'Doubles'.*--import MODULE that defines them") as info:
        load_keras(path)
    assert "\n" not in str(info.value)


def test_modules_that_cannot_be_imported_are_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with (
        pytest.raises(UsageError, match="--import no_such_module failed: ModuleNotFoundError"),
        user_code(["no_such_module"]),
    ):
        pass


def test_lambdas_load_where_they_are_allowed(tmp_path):
    path = tmp_path / "m.keras"
    keras.Sequential([keras.Input((4,)), keras.layers.Lambda(lambda x: x * 2)]).save(path)
    with pytest.raises(UnsupportedModelError, match="Lambda.*give --unsafe_lambda if you trust the file"):
        load_keras(path)
    with user_code(unsafe_lambda=True):
        load_keras(path)
    with pytest.raises(UnsupportedModelError, match="Lambda"):
        load_keras(path)


def test_a_lambda_that_needs_more_than_its_file_has_says_what_to_do(tmp_path):
    path = tmp_path / "m.keras"
    source = keras.Input((4,))
    keras.Model(source, keras.layers.Lambda(lambda x: X[0, 0, 0, 0] * x)(source)).save(path)
    expected = "uses names that the file does not hold.*give the Lambda output_shape"
    with user_code(unsafe_lambda=True), pytest.raises(UnsupportedModelError, match=expected):
        load_keras(path)


@pytest.mark.parametrize("is_trusted", [False, True])
def test_a_lambda_of_an_initializer_is_no_lambda_layer(tmp_path, is_trusted):
    path, source = tmp_path / "m.keras", keras.Input((4,))
    initial = lambda shape, dtype=None: np.ones(shape, "float32")  # noqa: E731
    keras.Model(source, keras.layers.Dense(2, kernel_initializer=initial)(source)).save(path)
    expected = "a function in it cannot be loaded.*convert the model in Python"
    with user_code(unsafe_lambda=is_trusted), pytest.raises(UnsupportedModelError, match=expected) as refusal:
        load_keras(path)
    assert "--unsafe_lambda" not in str(refusal.value)


def test_files_of_weights_alone_say_so(tmp_path):
    functional_cnn().save_weights(tmp_path / "m.weights.h5")
    with pytest.raises(UnsupportedModelError, match="it holds weights alone: build the model"):
        load_keras(tmp_path / "m.weights.h5")


def test_a_saved_model_folder_converts_from_its_signature(tmp_path):
    model = functional_cnn()
    model.export(tmp_path / "folder", verbose=False)
    loaded = load_keras(tmp_path / "folder")
    assert np.array_equal(loaded.predict(X, verbose=0), model.predict(X, verbose=0))
    assert len(loaded.get_weights()) == len(model.get_weights())
    graphs = [read_model(keras_to_int8(m, X)) for m in (loaded, model)]
    assert [op.kind for op in graphs[0].ops] == [op.kind for op in graphs[1].ops]
    (tmp_path / "empty").mkdir()
    with pytest.raises(UnsupportedModelError, match="empty cannot be loaded by Keras: SavedModel file does not exist"):
        load_keras(tmp_path / "empty")
