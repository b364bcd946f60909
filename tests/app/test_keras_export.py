"""`Model.export` learns one format and forgets it again; all other calls reach Keras untouched."""

from __future__ import annotations

from typing import Any

import pytest

from tests.support.tiny_keras import SubclassedCnn, functional_cnn, samples
from tflm_quantmcu.app import api
from tflm_quantmcu.app.keras_export import disable_keras_export, enable_keras_export, keras
from tflm_quantmcu.base.errors import UsageError

ORIGINAL = keras.Model.export


@pytest.fixture(autouse=True)
def _restored():
    yield
    keras.Model.export = ORIGINAL


class _Result:
    report = "the report"

    def __init__(self, model: Any, options: dict[str, Any]) -> None:
        self.call = (model, options)
        self.saved: list[Any] = []

    def save(self, path: Any) -> None:
        self.saved.append(path)


@pytest.fixture
def conversions(monkeypatch) -> list[_Result]:
    """Stands in for `api.convert`, and notes its calls."""
    results: list[_Result] = []

    def convert(model: Any, **options: Any) -> _Result:
        results.append(_Result(model, options))
        return results[-1]

    monkeypatch.setattr(api, "convert", convert)
    return results


@pytest.fixture
def keras_calls(monkeypatch) -> list[tuple]:
    """Stands in for Keras' own export, and notes its arguments."""
    calls: list[tuple] = []

    def export(self, filepath, format="tf_saved_model", verbose=None, input_signature=None, **kwargs):
        calls.append((self, filepath, format, verbose, input_signature, kwargs))
        return "keras"

    monkeypatch.setattr(keras.Model, "export", export)
    return calls


def _models() -> list[keras.Model]:
    subclassed = SubclassedCnn()
    subclassed(samples()[0][:1])
    return [functional_cnn(), keras.Sequential([keras.Input((4,)), keras.layers.Dense(2)]), subclassed]


def test_every_kind_of_model_exports_our_format(conversions):
    enable_keras_export()
    for model in _models():
        result = model.export("m.tflite", format="tflm_quantmcu", sram_bytes=65536)
        assert result is conversions[-1]
        assert result.call == (model, {"sram_bytes": 65536})
        assert result.saved == ["m.tflite"]


def test_positions_and_names_serve_alike(conversions, capsys):
    enable_keras_export()
    model = functional_cnn()
    model.export("a", "tflm_quantmcu", seed=1)
    model.export(filepath="b", format="tflm_quantmcu", seed=1)
    assert [r.saved for r in conversions] == [["a"], ["b"]]
    assert all(r.call == (model, {"seed": 1}) for r in conversions)
    assert capsys.readouterr().out == ""
    model.export("c", "tflm_quantmcu", verbose=True)
    assert conversions[-1].call == (model, {})
    assert capsys.readouterr().out == "the report\n"
    with pytest.raises(UsageError, match="options of format tflm_quantmcu are given by name"):
        model.export("d", "tflm_quantmcu", True)


def test_other_formats_pass_through_with_their_very_arguments(conversions, keras_calls):
    enable_keras_export()
    model = functional_cnn()
    signature = object()
    assert model.export("a") == "keras"
    model.export("b", "onnx")
    model.export("c", "tf_saved_model", False, signature)
    model.export(filepath="d", format="litert", optimizations=["x"])
    model.export("e", verbose=True, jax2tf_kwargs={})
    assert [call[1:] for call in keras_calls] == [
        ("a", "tf_saved_model", None, None, {}),
        ("b", "onnx", None, None, {}),
        ("c", "tf_saved_model", False, signature, {}),
        ("d", "litert", None, None, {"optimizations": ["x"]}),
        ("e", "tf_saved_model", True, None, {"jax2tf_kwargs": {}}),
    ]
    assert all(call[0] is model for call in keras_calls)
    assert not conversions


def test_the_oldest_signature_is_served(monkeypatch, conversions):
    def export(self, filepath, format="tf_saved_model"):
        return filepath, format

    monkeypatch.setattr(keras.Model, "export", export)
    with enable_keras_export():
        assert functional_cnn().export("a") == ("a", "tf_saved_model")
        functional_cnn().export("b", format="tflm_quantmcu")
    assert keras.Model.export is export
    assert conversions[-1].saved == ["b"]


def test_keras_still_writes_saved_models(tmp_path):
    enable_keras_export()
    functional_cnn().export(tmp_path / "saved", verbose=False)
    assert (tmp_path / "saved" / "saved_model.pb").is_file()


def test_enabling_twice_is_enabling_once():
    enable_keras_export()
    wrapped = keras.Model.export
    enable_keras_export()
    assert keras.Model.export is wrapped is not ORIGINAL
    assert wrapped.__name__ == "export" and wrapped.__doc__ == ORIGINAL.__doc__
    disable_keras_export()
    assert keras.Model.export is ORIGINAL
    disable_keras_export()
    assert keras.Model.export is ORIGINAL


def test_a_block_ends_what_it_began_and_nothing_else():
    with enable_keras_export():
        wrapped = keras.Model.export
        with enable_keras_export():
            pass
        assert keras.Model.export is wrapped
        with disable_keras_export():
            assert keras.Model.export is ORIGINAL
        assert keras.Model.export is not ORIGINAL
    assert keras.Model.export is ORIGINAL
    with disable_keras_export():
        pass
    assert keras.Model.export is ORIGINAL


def test_a_block_that_fails_ends_it_too():
    with pytest.raises(KeyError), enable_keras_export():
        raise KeyError
    assert keras.Model.export is ORIGINAL


def test_refusals_of_convert_reach_the_caller_and_write_nothing(tmp_path):
    enable_keras_export()
    with pytest.raises(UsageError, match="no_such_option"):
        functional_cnn().export(tmp_path / "m.tflite", format="tflm_quantmcu", no_such_option=1)
    assert not list(tmp_path.iterdir())
