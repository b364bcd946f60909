"""A `.tflite` and all that is read from it, so that each file is parsed once however many modules ask.

In: a file's bytes. Out: its object tree, graph, plan and SHA-256, each made when it is first asked for and kept. What
changes a model works on `copied_tree`; what was written then is another file.
"""

from __future__ import annotations

import copy
import dataclasses
import functools
import hashlib
import os
from typing import Any, Union

from tflm_quantmcu.base.files import read_bytes
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.graph.types import ModelGraph
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.flatbuffer_check import check_flatbuffer
from tflm_quantmcu.tflite.metadata import plan_of
from tflm_quantmcu.tflite.reader import graph_of


@dataclasses.dataclass(frozen=True, eq=False)
class ModelFile:
    """One `.tflite`. Other processes are handed the bytes alone, and parse them when they need to.

    Attributes:
      data: the file's bytes.
      source: the user's file, if this is the same network written otherwise (canonical/); plans and calibrations are
        for that one, so it gives the SHA-256.
    """

    data: bytes
    source: ModelFile | None = None

    @classmethod
    def of(cls, model: AnyModel) -> ModelFile:
        """The file behind bytes or a path; one that is a ModelFile already stays the same.

        Raises:
          UsageError: no such file.
        """
        if isinstance(model, ModelFile):
            return model
        return cls(read_bytes(model, "model") if isinstance(model, (str, os.PathLike)) else bytes(model))

    @functools.cached_property
    def tree(self) -> schema.ModelT:
        """The schema's object tree, checked; nobody changes it.

        Raises:
          UnsupportedModelError: not a whole, consistent `.tflite` file.
        """
        return check_flatbuffer(self.data)

    @property
    def origin(self) -> ModelFile:
        """The user's file: `source`, or this one."""
        return self.source or self

    @functools.cached_property
    def sha256(self) -> str:
        """The sha256 of the user's bytes, in hexadecimal."""
        return hashlib.sha256(self.origin.data).hexdigest()

    @functools.cached_property
    def graph(self) -> ModelGraph:
        """The model as our own types have it.

        Raises:
          UnsupportedModelError: the file is damaged, or the model is not one static graph.
        """
        return graph_of(self.tree, self.sha256)

    @functools.cached_property
    def plan(self) -> PrecisionPlan | None:
        """The plan that a converted model carries, or None if it was stripped.

        Raises:
          UnsupportedModelError: the file is damaged.
          UsageError: the plan cannot be read.
        """
        return plan_of(self.tree)

    def copied_tree(self) -> schema.ModelT:
        """A tree to be changed. Vectors of numbers are shared: they are read-only views of `data`, to be replaced."""
        return _copied(self.tree)

    def __reduce__(self) -> tuple[type[ModelFile], tuple[bytes, ModelFile | None]]:
        return ModelFile, (self.data, self.source)


AnyModel = Union[ModelFile, bytes, str, "os.PathLike[str]"]


def _copied(part: Any) -> Any:
    """A part of an object tree and all below it."""
    if isinstance(part, list):
        return [_copied(p) for p in part]
    if not hasattr(part, "__dict__"):
        return part
    twin = copy.copy(part)
    vars(twin).update({name: _copied(value) for name, value in vars(part).items()})
    return twin
