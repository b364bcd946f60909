"""The state of a long run in a file, so that a run that was killed goes on where it was.

In: what decides the run's result, its key, and from time to time its state. Out: one file that is always whole.
Refuses a file that a run with another key wrote.
"""

from __future__ import annotations

import contextlib
import dataclasses
import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.base.fields import parse_json, read_as, read_keys
from tflm_quantmcu.base.files import write_atomically
from tflm_quantmcu.base.npz import open_npz
from tflm_quantmcu.base.text import shown

FILE_VERSION = 1
_ARRAY = "array_"
_HEAD = ("version", "key", "values")


@dataclasses.dataclass(frozen=True, eq=False)
class State:
    """What a run saved.

    Attributes:
      values: of JSON's types; the state of a numpy Generator is of them.
      arrays: the rest.
    """

    values: Mapping[str, Any]
    arrays: Mapping[str, np.ndarray]


class Checkpoint:
    """A file for the state of one run."""

    def __init__(self, path: str | os.PathLike[str], key: Mapping[str, Any]) -> None:
        """Names the file; nothing is read or written yet.

        Args:
          path: of the file, whose folder exists.
          key: all that decides the run's result, of JSON's types: a run goes on only from a state with the same key.
        """
        self._path = Path(path)
        self._key = json.loads(json.dumps(key))

    def load(self) -> State | None:
        """The state that was saved last; None if none was.

        Raises:
          UsageError: the file is no checkpoint, or of a run with another key.
        """
        if not self._path.exists():
            return None
        try:
            with open_npz(self._path, "a checkpoint") as file:
                arrays = {name: file[name] for name in file.headers}
            head = read_keys(parse_json(str(arrays.pop("head", "{}"))), _HEAD, _HEAD, "its head")
            key, values = (read_as(Mapping[str, Any], head[name], name) for name in ("key", "values"))
        except UsageError as error:
            raise UsageError(f"{self._path} is no checkpoint ({error}); delete it to start anew") from None
        if head["version"] != FILE_VERSION:
            raise UsageError(f"{self._path} has version {shown(head['version'])}; supported is {FILE_VERSION}")
        if key != self._key:
            names = sorted(n for n in {*key, *self._key} if key.get(n) != self._key.get(n))
            raise UsageError(
                f"{self._path} was written by a run that differs in {', '.join(names)}; delete it to start anew"
            )
        return State(values, {name.removeprefix(_ARRAY): array for name, array in arrays.items()})

    def save(self, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray] | None = None) -> None:
        """Writes the state over the former one; who is killed meanwhile leaves the former one.

        Args:
          values: what JSON can hold.
          arrays: by name, of any shape and any type but objects; none of them is changed.

        Raises:
          UsageError: the file cannot be written.
        """
        head = json.dumps({"version": FILE_VERSION, "key": self._key, "values": values})
        buffer = io.BytesIO()
        named: dict[str, Any] = {_ARRAY + name: array for name, array in (arrays or {}).items()}
        np.savez(buffer, head=np.array(head), **named)
        write_atomically(self._path, buffer.getvalue())

    def remove(self) -> None:
        """Deletes the file, if there is one."""
        with contextlib.suppress(FileNotFoundError):
            self._path.unlink()
