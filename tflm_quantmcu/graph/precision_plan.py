"""A plan as decided: stages, patch classes, widths; and its file, `plan.json`."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping
from typing import Any

from tflm_quantmcu.base.json_text import readable_json
from tflm_quantmcu.graph.plan_file import read_plan
from tflm_quantmcu.graph.stage_plan import CHOSEN_AT_RUN_TIME, OutlierRule, PatchClass, RoundedWeights, StagePlan
from tflm_quantmcu.graph.types import Format

PLAN_VERSION = 1
__all__ = [
    "CHOSEN_AT_RUN_TIME",
    "PLAN_VERSION",
    "OutlierRule",
    "PatchClass",
    "PrecisionPlan",
    "RoundedWeights",
    "StagePlan",
]


@dataclasses.dataclass(frozen=True)
class PrecisionPlan:
    """All that the converter needs beside the model.

    Attributes:
      model_sha256: the model that the plan was made for.
      search: provenance: `method`, its parameters, seed, the calibration's SHA-256, scores.
      stages: patch stages; none when splitting was refused.
      formats: tensor name -> format, for feature maps outside stages that are not 8-bit.
      weight_bits: weight tensor name -> bits, for those that are not 8-bit.
      rounded_weights: weight tensor name -> what they are, where that is not the model's own or those to the nearest.
      bias_corrections: tensor name -> real value a channel that the convolution or fully connected op that writes it
        adds to its bias, outside stages.
      notes: sentences for the user: refusals, maps kept at 8 bits and why.
      layers: tensor name -> Keras layer name, for who reads the file; nothing is decided by them.
    """

    model_sha256: str
    search: Mapping[str, Any]
    stages: tuple[StagePlan, ...] = ()
    formats: Mapping[str, Format] = dataclasses.field(default_factory=dict)
    weight_bits: Mapping[str, int] = dataclasses.field(default_factory=dict)
    rounded_weights: Mapping[str, RoundedWeights] = dataclasses.field(default_factory=dict)
    bias_corrections: Mapping[str, tuple[float, ...]] = dataclasses.field(default_factory=dict)
    notes: tuple[str, ...] = ()
    layers: Mapping[str, str] = dataclasses.field(default_factory=dict, compare=False)

    @property
    def streamed_input(self) -> str | None:
        """Name of the tensor that a reader gives to the first stage, if it is streamed."""
        return next((stage.input for stage in self.stages if stage.input_mode == "streamed"), None)

    def without_scores(self) -> PrecisionPlan:
        """What the converter reads of it: the same but for what a search found its plans to be worth."""
        kept = {name: value for name, value in self.search.items() if name != "scores"}
        return dataclasses.replace(self, search=kept)

    def to_json(self, *, compact: bool = False) -> str:
        """The plan's file, for people; `compact` is the copy in a converted model: one line without layers' names, the
        search's scores, and what the model holds itself, rounded weights and bias corrections."""
        fields = {"version": PLAN_VERSION, **dataclasses.asdict(self)}
        layers = fields.pop("layers")
        if compact:
            fields["search"].pop("scores", None)
        for stage in fields["stages"]:
            _keep_numbers(stage, "layers", () if compact else stage["layers"])
            _keep_numbers(stage, "other_inputs", stage["other_inputs"])
        rounded = {name: weights.to_fields() for name, weights in self.rounded_weights.items()}
        _keep_numbers(fields, "rounded_weights", {} if compact else rounded)
        for corrected in (fields, *(c for stage in fields["stages"] for c in stage["classes"])):
            _keep_numbers(corrected, "bias_corrections", {} if compact else corrected["bias_corrections"])
        if compact:
            return json.dumps(fields, separators=(",", ":"))
        fields["formats"] = _with_layers(fields["formats"], layers)
        fields["weight_bits"] = _with_layers({n: {"bits": b} for n, b in self.weight_bits.items()}, layers)
        for stage in fields["stages"]:
            for patch_class in stage["classes"]:
                patch_class["formats"] = _with_layers(patch_class["formats"], layers)
        return readable_json(fields) + "\n"

    @staticmethod
    def from_json(text: str) -> PrecisionPlan:
        """Reads what `to_json` wrote, or a person; weights may have their bits alone.

        Raises:
          UsageError: not JSON, another version, or a missing, unknown or ill-typed field.
        """
        return read_plan(text, PrecisionPlan, PLAN_VERSION)


def _keep_numbers(fields: dict[str, Any], key: str, numbers: Mapping[str, Any] | tuple[str, ...]) -> None:
    """An entry of the file that is left out where it is empty."""
    del fields[key]
    if numbers:
        fields[key] = numbers


def _with_layers(entries: Mapping[str, dict[str, Any]], layers: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    return {name: {**entry, **({"layer": layers[name]} if name in layers else {})} for name, entry in entries.items()}
