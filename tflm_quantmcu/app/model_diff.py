"""Compares two models layer by layer, maps inside patch stages too: the first layer that is beyond a limit is named.

In: a reference and a model, each a `.tflite`, converted or not, or a Keras model; samples. Out: ModelDiff. Refuses what
has more than one input, and two models that no layer joins.
"""

from __future__ import annotations

import dataclasses
import io
import json
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import Any, Union

import numpy as np
import rich.box
import rich.console
import rich.table

from tflm_quantmcu.app.map_errors import ErrorSums, MapError, first_beyond
from tflm_quantmcu.app.page.render import render
from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.base.files import read_bytes, write_atomically
from tflm_quantmcu.calibration.calibration_file import load_calibration
from tflm_quantmcu.converter.map_taps import MapTaps
from tflm_quantmcu.converter.verify import is_eight_bit
from tflm_quantmcu.graph.layer_names import layer_of
from tflm_quantmcu.graph.types import ModelGraph
from tflm_quantmcu.runtime.samples import load_samples, to_model_input
from tflm_quantmcu.stage.custom_ops import PATCH_STAGE, is_converted
from tflm_quantmcu.tflite.canonical.canonical import canonical
from tflm_quantmcu.tflite.model_file import ModelFile

Path = Union[str, "os.PathLike[str]"]
KERAS_SUFFIXES = (".keras", ".h5")
LIMIT_DB = 20.0
_CHUNK_BYTES = 1 << 26


@dataclasses.dataclass(frozen=True, eq=False)
class ModelDiff:
    """What `diff` found; printable.

    Attributes:
      reference, model: what was compared, as the user calls them.
      num_samples: that both ran.
      limit_db: SQNR below which a map is beyond the limit; None: where it differs at all.
      errors: a map each, in execution order.
      notes: sentences on what was not compared.
    """

    reference: str
    model: str
    num_samples: int
    limit_db: float | None
    errors: Sequence[MapError]
    notes: Sequence[str] = ()

    @property
    def first(self) -> MapError | None:
        """The first map beyond the limit."""
        return first_beyond(self.errors)

    @property
    def verdict(self) -> str:
        """A sentence."""
        limit = "no difference" if self.limit_db is None else f"{self.limit_db:g} dB"
        if self.first is None:
            return f"all {len(self.errors)} maps are within the limit ({limit})"
        place = "" if self.first.stage is None else f" in stage {self.first.stage}"
        return f"first beyond the limit ({limit}): layer '{self.first.layer}' ({self.first.op}{place})"

    def as_dict(self) -> dict[str, Any]:
        """The figures, of JSON's types."""
        return {
            "reference": self.reference,
            "model": self.model,
            "num_samples": self.num_samples,
            "limit_db": self.limit_db,
            "verdict": self.verdict,
            "first_beyond": self.first and self.first.layer,
            "layers": [error.as_dict() for error in self.errors],
            "notes": list(self.notes),
        }

    def save_json(self, path: str | os.PathLike[str]) -> None:
        """Writes `as_dict`."""
        write_atomically(path, (json.dumps(self.as_dict(), indent=2) + "\n").encode())

    def save_html(self, path: str | os.PathLike[str]) -> None:
        """Writes one self-contained page."""
        write_atomically(path, render("diff.html", diff=self).encode())

    def __str__(self) -> str:
        table = rich.table.Table(box=rich.box.SIMPLE_HEAD)
        for heading in ("layer", "op", "stage", "shape"):
            table.add_column(heading)
        for heading in ("max", "mean", "SQNR", "cosine", ""):
            table.add_column(heading, justify="right")
        for error in self.errors:
            mark = "<- first beyond" if error is self.first else "beyond" if error.is_beyond else ""
            cosine = "-" if error.cosine is None else f"{error.cosine:.6f}"
            figures = (f"{error.max_error:.4g}", f"{error.mean_error:.3g}", error.sqnr_text, cosine, mark)
            stage = "" if error.stage is None else str(error.stage)
            table.add_row(error.layer, error.op, stage, "x".join(map(str, error.shape)), *figures)
        console = rich.console.Console(file=io.StringIO(), width=120)
        console.print(table)
        samples = f"{self.num_samples} sample{'s' if self.num_samples > 1 else ''}"
        for line in (f"{self.model} beside {self.reference} on {samples}: {self.verdict}", *self.notes):
            console.print(line, highlight=False, markup=False, soft_wrap=True)
        return console.file.getvalue().rstrip()  # type: ignore[attr-defined]


def diff_models(
    reference: Any,
    model: ModelFile,
    x: np.ndarray,
    *,
    names: tuple[str, str] = ("the reference", "the model"),
    original: ModelFile | None = None,
    limit_db: float | None = None,
) -> ModelDiff:
    """Compares the maps of two models.

    Args:
      reference: a ModelFile or a keras.Model.
      model: that is judged.
      x: inputs [N, ...] as the model was trained or as the `.tflite` takes them, float or of the input's dtype.
      names: of both, for people.
      original: what converted ones were converted from; None: the one of the two that is a `.tflite` and is not.
      limit_db: SQNR below which a map is beyond the limit; None: any difference where both compute at 8 bits alone,
        else LIMIT_DB.

    Raises:
      UsageError: samples that do not fit, or no layer in common.
      UnsupportedModelError: a model that TFLM cannot run, or with several inputs.
    """
    files = [file for file in (original, reference, model) if isinstance(file, ModelFile)]
    plain = next((file for file in files if not is_converted(file.graph)), None)
    source = canonical(plain or model).graph
    notes = [] if plain or not _has_stages(model) else [f"maps inside stages of {names[1]} need --original"]
    if is_converted(model.graph) and model.plan is None:
        notes.append(f"{names[1]} holds no plan (--strip_metadata): maps below 8 bits are not compared")
    taps = MapTaps(_run_form(model), source)
    judged = _Side(model.graph, taps)
    if isinstance(reference, ModelFile):
        other: Any = _Side(reference.graph, MapTaps(_run_form(reference), source))
        if limit_db is None and not (_is_exact(source, reference) and _is_exact(source, model)):
            limit_db = LIMIT_DB
    else:
        from tflm_quantmcu.keras_bridge.keras_taps import KerasTaps  # TensorFlow takes seconds to import

        other, limit_db = KerasTaps(reference, source), LIMIT_DB if limit_db is None else limit_db
    sums: dict[str, ErrorSums] = {}
    for part in _chunks(x, source):
        left = other.run(part, dict(judged.run(part)))
        for name, (wanted, found) in left.items():
            sums.setdefault(name, ErrorSums()).add(wanted, found)
    errors = list(_errors(source, taps.stage_of, sums, limit_db))
    if not errors:
        raise UsageError(f"{names[0]} and {names[1]} have no feature map in common; is one converted from the other?")
    return ModelDiff(*names, len(x), limit_db, errors, notes)


class _Side:
    """A `.tflite` whose maps are read."""

    def __init__(self, graph: ModelGraph, taps: MapTaps) -> None:
        self._tensor = graph.input_tensors[0]
        self._taps = taps

    def run(self, x: np.ndarray, others: dict[str, np.ndarray] | None = None) -> Any:
        """Values by name, or with those of the other side (own, other) by name."""
        q = to_model_input(x, self._tensor, name="--data")
        if others is None:
            return self._taps.run(q)
        return {name: (own, others[name]) for name, own in self._taps.run(q) if name in others}


def _run_form(file: ModelFile) -> ModelFile:
    """What is run: of a model that is not converted its canonical form, whose names the converted one has."""
    return file if is_converted(file.graph) else canonical(file)


def _has_stages(file: ModelFile) -> bool:
    return any(op.kind == PATCH_STAGE for op in file.graph.ops)


def _is_exact(graph: ModelGraph, file: ModelFile) -> bool:
    """Whether it computes at 8 bits alone, so that its source gives the same bytes."""
    if not is_converted(file.graph):
        return True
    plan = file.plan
    if plan is None:
        return False
    classes = [c for stage in plan.stages for c in stage.classes]
    names = {*plan.formats, *(name for c in classes for name in c.formats)}
    return names <= graph.by_name.keys() and is_eight_bit(graph, plan)


def _chunks(x: np.ndarray, graph: ModelGraph) -> Iterator[np.ndarray]:
    """Samples, so few at a time that all maps of them fit."""
    num_bytes = 8 * sum(graph.tensors[t].num_elements for op in graph.ops for t in op.outputs)
    size = max(1, _CHUNK_BYTES // max(num_bytes, 1))
    for begin in range(0, len(x), size):
        yield x[begin : begin + size]


def _errors(
    graph: ModelGraph, stage_of: dict[str, int], sums: dict[str, ErrorSums], limit_db: float | None
) -> Iterator[MapError]:
    for op in graph.ops:
        for tensor in (graph.tensors[t] for t in op.outputs):
            if tensor.name not in sums or sums[tensor.name].is_empty:
                continue
            figures: dict[str, Any] = sums[tensor.name].figures()
            sqnr_db = figures["sqnr_db"]
            yield MapError(
                layer=layer_of(graph, tensor),
                tensor=tensor.name,
                op=op.kind,
                stage=stage_of.get(tensor.name),
                shape=tensor.shape[1:] if len(tensor.shape) > 1 else tensor.shape,
                is_beyond=sqnr_db is not None and (limit_db is None or sqnr_db < limit_db),
                **figures,
            )


def diff_files(
    reference: Path,
    model: Path,
    data: Path,
    *,
    original: Path | None = None,
    limit_db: float | None = None,
    num_samples: int = 16,
) -> ModelDiff:
    """Compares the models of two files on the first samples of a third.

    Args:
      reference: as of `diff_models`, a file, or the folder of a SavedModel.
      original: a `.tflite`, or a saved calibration of the Keras model, which holds it.
      model: a `.tflite`.
      data: `.npz` with x [N, ...].
      limit_db: as of `diff_models`.
      num_samples: that are run at most.

    Raises:
      UsageError, UnsupportedModelError: as of `diff_models`, or a file that is none of these.
    """
    if num_samples < 1:
        raise UsageError(f"--num_samples is {num_samples}; it must be at least 1")
    if _is_keras(model):
        raise UsageError(f"--model {model} is a Keras model, and what is judged is a .tflite; give them the other way")
    judged = ModelFile(read_bytes(model, "--model"))
    path, first = pathlib.Path(reference), None
    if _is_keras(reference):
        from tflm_quantmcu.keras_bridge.load import load_keras  # TensorFlow takes seconds to import

        first = load_keras(path)
    else:
        first = ModelFile(read_bytes(reference, "--reference"))
    source = None if original is None else _original(original)
    x, _ = load_samples(data, judged.graph.input_tensors[0])
    names = (str(reference), str(model))
    return diff_models(first, judged, x[:num_samples], names=names, original=source, limit_db=limit_db)


def _original(path: Path) -> ModelFile:
    """The int8 model of a `.tflite`, or of the calibration that it was made in."""
    if pathlib.Path(path).suffix != ".npz":
        return ModelFile(read_bytes(path, "--original"))
    model = load_calibration(path).model
    if model is None:
        raise UsageError(f"--original {path} is the calibration of a .tflite; give that file")
    return ModelFile(model)


def _is_keras(path: Path) -> bool:
    return pathlib.Path(path).suffix in KERAS_SUFFIXES or pathlib.Path(path).is_dir()
