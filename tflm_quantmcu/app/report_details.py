"""What a report says beside its figures: layers, pictures of the arena, of the front and of patches, provenance.

In: the models, the plan and the options of a conversion. Out: ReportDetails, each part made when it is first asked for.
"""

from __future__ import annotations

import dataclasses
import functools
import platform
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

import numpy as np

from tflm_quantmcu.app.front import front_of
from tflm_quantmcu.app.layer_table import LayerRow, layer_rows
from tflm_quantmcu.app.map_errors import MapError
from tflm_quantmcu.app.model_diff import diff_models
from tflm_quantmcu.app.page.arena_picture import ArenaPicture, arena_picture
from tflm_quantmcu.app.page.patch_picture import PatchPicture, patch_picture, picture_of
from tflm_quantmcu.base.errors import QuantMcuError
from tflm_quantmcu.converter.verify import VerificationResult
from tflm_quantmcu.cost.plan_work import stage_programs
from tflm_quantmcu.graph.calibration_result import CalibrationResult
from tflm_quantmcu.graph.layer_names import layer_of
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.patches.pareto import Point
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.search.options import Options
from tflm_quantmcu.tflite.missing_ops import runnable
from tflm_quantmcu.tflite.model_file import ModelFile

_MOST_VALUES = 1 << 24  # of maps that are compared at a time
_PACKAGES = ("tflm_quantmcu", "tflite-micro", "tensorflow", "keras", "numpy")


@dataclasses.dataclass(frozen=True, eq=False)
class ReportDetails:
    """The details of one conversion.

    Attributes:
      original: the int8 model in its canonical form.
      converted: what it became.
      plan: by which.
      options: of the conversion.
      verification: that was passed.
      calibration: if there is one.
      why: sentences on what keeps the arena from being smaller.
      command: to repeat it; "" where it was called from Python.
    """

    original: ModelFile
    converted: ModelFile
    plan: PrecisionPlan
    options: Options
    verification: VerificationResult
    calibration: CalibrationResult | None
    why: Sequence[str]
    command: str = ""

    @property
    def samples(self) -> np.ndarray | None:
        """Inputs [N, ...] of the model's type that maps are compared and patches drawn on; None of several inputs."""
        given = self.verification.samples
        return given[0] if len(given) == 1 else None

    @property
    def is_equal(self) -> bool:
        """Whether the converted model computes at 8 bits alone, so that verification held its outputs to equality."""
        return self.verification.is_same_function

    @functools.cached_property
    def errors(self) -> Sequence[MapError] | None:
        """The errors of all maps beside those of the int8 model; None where they are equal."""
        if self.is_equal:
            return None
        if self.samples is None or not len(self.samples):
            return []
        num_values = sum(self.original.graph.tensors[op.outputs[0]].num_elements for op in self.original.graph.ops)
        x = self.samples[: max(1, _MOST_VALUES // max(num_values, 1))]
        try:
            return diff_models(self.original, self.converted, x).errors
        except QuantMcuError:
            return []

    @functools.cached_property
    def layers(self) -> list[LayerRow]:
        """The table of layers."""
        return layer_rows(self.original.graph, self.converted.graph, self.plan, self.options.target, self.errors)

    @functools.cached_property
    def arenas(self) -> tuple[ArenaPicture, ArenaPicture]:
        """The arena before and after, with the same colours."""
        colours = {t.name: number for number, t in enumerate(self.original.graph.tensors)}
        origin = self.original.origin
        unsplit = runnable(origin) if self.verification.missing else origin
        graphs = unsplit.graph, self.converted.graph
        before, after = (arena_picture(g, t, colours) for g, t in zip(graphs, ("before", "after"), strict=True))
        return before, after

    @functools.cached_property
    def front(self) -> list[Point]:
        """Bytes against time over all ways to split; none where the planner finds none."""
        try:
            return front_of(self.original.graph, self.options)
        except QuantMcuError:
            return []

    @functools.cached_property
    def patches(self) -> list[PatchPicture]:
        """The tiles of each stage over the first sample."""
        if self.samples is None or not len(self.samples) or not self.plan.stages:
            return []
        graph, x = self.original.graph, self.samples[0]
        interpreter = Interpreter(self.original, preserve_all_tensors=True)
        interpreter.invoke(x)
        pictures = []
        phi = self.plan.search.get("vdpc_phi")
        programs = [program for _, program in stage_programs(graph, self.plan)]
        for number, (stage, program) in enumerate(zip(self.plan.stages, programs, strict=True)):
            tensor = graph.by_name[stage.input]
            values = x if tensor.index in graph.inputs else interpreter.tensor(tensor.index)
            if values.dtype != np.int8 or program.formats[0][0].bits != 8:
                continue
            source = layer_of(graph, tensor)
            pictures.append(
                patch_picture(
                    number,
                    stage,
                    program,
                    values.reshape(program.shapes[0]),
                    source=f"the input '{source}'" if tensor.index in graph.inputs else f"'{source}'",
                    calibration=self.calibration,
                    phi=phi if isinstance(phi, float) else None,
                )
            )
        return pictures

    @property
    def has_outliers(self) -> bool:
        """Whether a picture of patches shows outlier patches or values."""
        return any(p.outliers or any(tile.is_outlier for tile in p.tiles) for p in self.patches)

    @functools.cached_property
    def sample(self) -> np.ndarray | None:
        """uint8 [H, W, 3], what the first sample looks like; None where it is no map of a picture."""
        x = None if self.samples is None or not len(self.samples) else self.samples[0]
        return None if x is None or x.ndim != 3 else picture_of(x)

    @property
    def provenance(self) -> Mapping[str, object]:
        """What the plan was made with, and by what."""
        made_with = {key: value for key, value in self.plan.search.items() if key != "scores" and value is not None}
        digests = {"model_sha256": self.original.origin.sha256, "converted_sha256": self.converted.sha256}
        return {**made_with, **digests, "python": platform.python_version(), **_versions()}

    @property
    def repeat(self) -> str:
        """The command, or the call, that makes this model again."""
        if self.command:
            return self.command
        own, usual = vars(self.options), vars(Options())
        changed = [f"{name}={value!r}" for name, value in own.items() if name in usual and value != usual[name]]
        return f"tflm_quantmcu.convert({', '.join(['model', *changed])})"

    def as_dict(self) -> dict[str, Any]:
        """The details in JSON's types: `layers`, `arena_plot`, `front`, `patches`, `why_not_smaller`, `provenance`,
        `command`."""
        before, after = self.arenas
        return {
            "layers": [row.as_dict() for row in self.layers],
            "arena_plot": {"before": before.as_dict(), "after": after.as_dict()},
            "front": [dataclasses.asdict(point) for point in self.front],
            "patches": [picture.as_dict() for picture in self.patches],
            "why_not_smaller": list(self.why),
            "provenance": dict(self.provenance),
            "command": self.repeat,
        }


def _versions() -> dict[str, str]:
    found = {}
    for package in _PACKAGES:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
