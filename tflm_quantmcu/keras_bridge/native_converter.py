"""Has a SavedModel converted by TensorFlow in a child process, so that an abort of TensorFlow is only the child's.

The child imports TensorFlow once, while Keras exports, and serves all conversions of this process. No limit of time is
set: it ends with this process, or when a conversion is interrupted.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from tflm_quantmcu.base.errors import UsageError

# Files of a request's folder.
SAVED_MODEL, SAMPLES, REQUEST = "saved_model", "samples.npz", "request.json"
CONVERTED, REFUSAL = "model.tflite", "refusal.txt"
ONE_INPUT = "x"  # the key of the samples of a model with one
# Of what a process says before it aborts.
_LAST_WORDS = re.compile(r"(?:LLVM ERROR|Check failed): .*")
_MODULE = "tflm_quantmcu.keras_bridge.converter_child"


class ConversionRefused(Exception):
    """TensorFlow's converter said why it does not convert the model: its text."""


class ConverterAborted(Exception):
    """TensorFlow's converter ended its process; the text says by what."""


def convert_in_child(
    folder: Path, samples: np.ndarray | Mapping[str, np.ndarray], *, input_type: str = "int8"
) -> bytes:
    """The full-integer `.tflite` of the SavedModel in `folder / SAVED_MODEL`.

    Args:
      folder: takes the request's files too.
      samples: float32 [N, ...], the representative dataset, a sample at a time; of several inputs, by the names that
        the SavedModel's signature gives them.
      input_type: of the file's inputs and outputs: int8, uint8 or float32.

    Raises:
      ConversionRefused, ConverterAborted: it is not converted.
      UsageError: no process can be started.
    """
    by_name = samples if isinstance(samples, Mapping) else {ONE_INPUT: samples}
    np.savez(folder / SAMPLES, **by_name)
    (folder / REQUEST).write_text(json.dumps({"input_type": input_type}), "utf-8")
    with _lock:
        child = _running_child()
        try:
            child.serve(folder)
        except BaseException:  # an interrupted child is in the midst of something
            child.end()
            raise
    refusal = folder / REFUSAL
    if refusal.exists():
        raise ConversionRefused(refusal.read_text("utf-8"))
    return (folder / CONVERTED).read_bytes()


def start_child() -> None:
    """Starts the child, if none runs, so that it is ready when it is needed."""
    with _lock:
        _running_child()


class _Child:
    """A process that runs `converter_child.serve`."""

    def __init__(self) -> None:
        self._owner = os.getpid()
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 - as long as the process
        # Modules are looked for where this process finds them; a sitecustomize or PYTHONPATH of the user's stays.
        code = f"import sys; sys.path[:] = sys.argv[1:]; from {_MODULE} import serve; serve()"
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-c", code, *sys.path],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._stderr,
                env={**os.environ, "TF_CPP_MIN_LOG_LEVEL": "2"},
            )
        except (OSError, ValueError) as error:
            raise UsageError(f"TensorFlow's converter cannot be started in a process of its own: {error}") from None

    @property
    def is_ours(self) -> bool:
        """Whether it runs and is no copy that a fork made."""
        return self._owner == os.getpid() and self._process.poll() is None

    def serve(self, folder: Path) -> None:
        """Has one folder converted; raises ConverterAborted where the process ends."""
        assert self._process.stdin and self._process.stdout
        begin = os.fstat(self._stderr.fileno()).st_size
        with contextlib.suppress(OSError):  # it has ended: the answer is missing too
            self._process.stdin.write(json.dumps(str(folder)).encode() + b"\n")
            self._process.stdin.flush()
        if not self._process.stdout.readline():
            raise ConverterAborted(self._last_words(begin))

    def _last_words(self, begin: int) -> str:
        code = self._process.wait()
        how = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        self._stderr.seek(begin)
        text = self._stderr.read().decode(errors="replace").strip()
        said = _LAST_WORDS.findall(text)[-1:] or (text.splitlines()[-1:] if code > 0 else [])
        return " ".join([how, *(f"({line.strip()})" for line in said)])

    def end(self) -> None:
        """Ends the process."""
        if self._owner == os.getpid():
            self._process.kill()
            self._process.communicate()
            self._stderr.close()


_lock = threading.RLock()
_child: _Child | None = None


def _running_child() -> _Child:
    global _child
    if _child is None or not _child.is_ours:
        if _child is not None:
            _child.end()
        _child = _Child()
    return _child


@atexit.register
def _end_child() -> None:
    if _child is not None:
        _child.end()
