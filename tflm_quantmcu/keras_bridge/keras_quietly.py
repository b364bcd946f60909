"""Keras and TensorFlow without their progress lines: imported so, and called so."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator

from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.runtime.native_stderr import capture_native_stderr

try:
    with capture_native_stderr():  # TensorFlow tells of the GPUs that it does not find
        import keras
        import tensorflow as tf
except ModuleNotFoundError as error:
    raise UsageError(
        f"Keras models need TensorFlow, and {error.name} is not installed: pip install 'tflm_quantmcu[keras]'"
    ) from None

__all__ = ["keras", "quiet", "tf"]


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """Keeps Keras' and TensorFlow's progress lines to themselves; what they raise still says what failed."""
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with (
            warnings.catch_warnings(),
            contextlib.redirect_stdout(io.StringIO()),
            capture_native_stderr(),
        ):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(disabled)
