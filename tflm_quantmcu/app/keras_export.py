"""Teaches `keras.Model.export` the format "tflm_quantmcu", on request and reversibly.

    qm.enable_keras_export()
    model.export("m_qmcu.tflite", format="tflm_quantmcu", calibration=calibrator.result)

Every call with another format reaches Keras' own function with the very arguments it was given.
"""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable
from typing import Any

from tflm_quantmcu.app import api
from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.keras_bridge.to_tflite import keras

FORMAT = "tflm_quantmcu"
_MARK = "_tflm_quantmcu_original"


def enable_keras_export() -> contextlib.ExitStack:
    """Makes every Keras model export the format "tflm_quantmcu"; a second call changes nothing.

    Returns:
      A context manager: `with enable_keras_export():` ends the support with the block if it began with it.

    In the new format `model.export(filepath, format="tflm_quantmcu", **options)` takes the options of
    `tflm_quantmcu.convert`, writes the file and returns the ConversionResult. Keras' own `verbose=True` prints
    the report.
    """
    return _switch(on=True)


def disable_keras_export() -> contextlib.ExitStack:
    """Gives `keras.Model.export` its own function back; a second call changes nothing.

    Returns:
      A context manager: `with disable_keras_export():` ends the pause with the block.
    """
    return _switch(on=False)


def _switch(*, on: bool) -> contextlib.ExitStack:
    undo = contextlib.ExitStack()
    original = getattr(keras.Model.export, _MARK, None)
    if on and original is None:
        keras.Model.export = _with_our_format(keras.Model.export)
        undo.callback(_switch, on=False)
    elif not on and original is not None:
        keras.Model.export = original
        undo.callback(_switch, on=True)
    return undo


def _with_our_format(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def export(self: keras.Model, *args: Any, **kwargs: Any) -> Any:
        format = args[1] if len(args) > 1 else kwargs.get("format")
        if format != FORMAT:
            return original(self, *args, **kwargs)
        return _export(self, *args, **kwargs)

    setattr(export, _MARK, original)
    return export


def _export(model: keras.Model, filepath: Any, format: str, *extra: Any, **options: Any) -> Any:
    if extra:
        raise UsageError(f"options of format {FORMAT} are given by name, as in sram_bytes=65536")

    verbose = options.pop("verbose", False)
    result = api.convert(model, **options)
    result.save(filepath)
    if verbose:
        print(result.report)
    return result
