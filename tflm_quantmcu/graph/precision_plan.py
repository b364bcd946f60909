"""A plan as decided: stages, patch classes, widths; and its file, `plan.json`."""

from __future__ import annotations

import base64
import dataclasses
import functools
import json
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.base.json_text import readable_json
from tflm_quantmcu.graph.types import Format

PLAN_VERSION = 1
CHOSEN_AT_RUN_TIME = -1
_KEPT_PACKED = 256


@dataclasses.dataclass(frozen=True)
class PatchClass:
    """One class of patches of a stage.

    Attributes:
      name: `outlier` (every map keeps the model's 8-bit format) or `ordinary`.
      formats: tensor name -> format, for the maps whose format is not the model's own.
      bias_corrections: see `PrecisionPlan`; of the stage's ops in patches of this class.
    """

    name: str
    formats: Mapping[str, Format]
    bias_corrections: Mapping[str, tuple[float, ...]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class RoundedWeights:
    """Weights that are not the model's own, or those rounded to the nearest (law A9).

    Attributes:
      bits: 8, 4 or 2; they count where the plan gives the weights this width.
      scales: float32 values, one an output channel; of 8 bits as many as the model's own weights have.
      packed: zlib data of int8 values, in the order that a `.tflite` keeps them, within the width's range. A file says
        what it likes here, so that they are unpacked where the model says how many there may be.
    """

    bits: int
    scales: tuple[float, ...]
    packed: bytes

    @staticmethod
    def of(bits: int, scales: np.ndarray, values: np.ndarray) -> RoundedWeights:
        """The fingerprint of float32 scales [O], in any shape, and int8 values."""
        return RoundedWeights(bits, tuple(scales.ravel().tolist()), _packed(values.tobytes()))

    def values(self, limit: int) -> np.ndarray:
        """Int8 [N], read-only; of more than `limit` the first `limit` + 1.

        Raises:
          UsageError: they are no zlib data.
        """
        unpacker = zlib.decompressobj()
        try:
            unpacked = unpacker.decompress(self.packed, limit + 1)
        except zlib.error as error:
            raise UsageError(f"the plan's rounded weights are no zlib data: {error}") from None
        return np.frombuffer(unpacked, np.int8)

    def to_fields(self) -> dict[str, Any]:
        """What stands in the plan's file: values as base64 of zlib."""
        return {"bits": self.bits, "scales": list(self.scales), "values": base64.b64encode(self.packed).decode()}

    @staticmethod
    def from_fields(*, bits: int, scales: list[float], values: str) -> RoundedWeights:
        """Raises ValueError or UsageError for values that are not of this form."""
        read = RoundedWeights(bits, tuple(float(scale) for scale in scales), base64.b64decode(values, validate=True))
        read.values(0)
        return read


@functools.lru_cache(maxsize=_KEPT_PACKED)
def _packed(values: bytes) -> bytes:
    """Kept, since searches round the same weights again and again."""
    return zlib.compress(values, 9)


@dataclasses.dataclass(frozen=True)
class OutlierRule:
    """How a patch's class is chosen at run time (VDPC): 0 if it holds outliers, else 1.

    Attributes:
      low, high: values of the stage's input outside of [low, high] are outliers; steps of its format.
      share: a patch holds outliers if more than share / 2^16 of its values are some.
    """

    low: int
    high: int
    share: int

    def __post_init__(self) -> None:
        if not (-128 <= self.low <= 127 and -128 <= self.high <= 127 and 0 <= self.share <= 1 << 16):
            raise UsageError(f"the outlier rule {self} has values outside int8 or a share outside 0 to {1 << 16}")


@dataclasses.dataclass(frozen=True)
class StagePlan:
    """A patch stage: the ops between two tensors, run tile by tile.

    Attributes:
      input, output: tensor names; the stage is every op on a path between them.
      tile_height, tile_width: of the output, in pixels.
      patch_classes: rows x cols class indices, row-major; CHOSEN_AT_RUN_TIME where `outliers` decides.
      classes: what the indices mean.
      cache_mode: what inner maps keep for the tiles that follow: `recompute` nothing, `rows` the columns that the next
        tile of the row reads again, `full` the rows for the next row of tiles too.
      map_caches: tensor name -> cache mode, for the maps whose mode is not the stage's.
      primed: tiles before the first one bring cached maps on their way, so that none starts with all it looks ahead.
      input_mode: `resident`, the input stands whole in memory, or `streamed`, tiles pull their regions from a reader.
      vdpc: `static`, `dynamic`, or `off` when there is one class and no classification.
      outliers: the rule of dynamic VDPC, else None.
      layers: Keras' name, or the tensor's, of each op inside, for who reads the file; nothing is decided by them.
    """

    input: str
    output: str
    tile_height: int
    tile_width: int
    patch_classes: tuple[tuple[int, ...], ...]
    classes: tuple[PatchClass, ...]
    cache_mode: str = "recompute"
    map_caches: Mapping[str, str] = dataclasses.field(default_factory=dict)
    primed: bool = False
    input_mode: str = "resident"
    vdpc: str = "off"
    outliers: OutlierRule | None = None
    layers: tuple[str, ...] = dataclasses.field(default=(), compare=False)

    def expected_classes(self) -> np.ndarray:
        """`patch_classes`, int [rows, cols]; those chosen at run time count as the last class, ordinary."""
        grid = np.array(self.patch_classes)
        return np.where(grid == CHOSEN_AT_RUN_TIME, len(self.classes) - 1, grid)

    def class_shares(self) -> np.ndarray:
        """The share of the patches that each class has, see `expected_classes`."""
        grid = self.expected_classes()
        return np.bincount(grid.ravel(), minlength=len(self.classes)) / grid.size


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
        layers: dict[str, str] = {}
        try:
            fields = json.loads(text)
            version = fields.pop("version")
            if version != PLAN_VERSION:
                raise UsageError(f"the plan has version {version}; supported is {PLAN_VERSION}")
            stages = tuple(_stage_from(s, layers) for s in fields.pop("stages"))
            formats = _formats_from(fields.pop("formats"), layers)
            weights = {n: b if isinstance(b, dict) else {"bits": b} for n, b in fields.pop("weight_bits").items()}
            return PrecisionPlan(
                stages=stages,
                formats=formats,
                weight_bits={name: _bits(**_without_layer(name, w, layers)) for name, w in weights.items()},
                rounded_weights={
                    name: RoundedWeights.from_fields(**w) for name, w in fields.pop("rounded_weights", {}).items()
                },
                bias_corrections=_corrections_from(fields),
                notes=tuple(fields.pop("notes")),
                layers=layers,
                **fields,
            )
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise UsageError(f"the plan cannot be read: {error!r}; write it anew with `plan`") from None


def _keep_numbers(fields: dict[str, Any], key: str, numbers: Mapping[str, Any] | tuple[str, ...]) -> None:
    """An entry of the file that is left out where it is empty."""
    del fields[key]
    if numbers:
        fields[key] = numbers


def _corrections_from(fields: dict[str, Any]) -> dict[str, tuple[float, ...]]:
    corrections = fields.pop("bias_corrections", {})
    return {name: tuple(float(value) for value in values) for name, values in corrections.items()}


def _with_layers(entries: Mapping[str, dict[str, Any]], layers: Mapping[str, str]) -> dict[str, dict[str, Any]]:
    return {name: {**entry, **({"layer": layers[name]} if name in layers else {})} for name, entry in entries.items()}


def _without_layer(name: str, entry: Mapping[str, Any], layers: dict[str, str]) -> dict[str, Any]:
    """The entry without its layer's name, which goes to `layers`."""
    if "layer" in entry:
        layers[name] = entry["layer"]
    return {key: value for key, value in entry.items() if key != "layer"}


def _bits(*, bits: int) -> int:
    return bits


def _formats_from(fields: Mapping[str, Mapping[str, Any]], layers: dict[str, str]) -> dict[str, Format]:
    return {name: Format(**_without_layer(name, f, layers)) for name, f in fields.items()}


def _stage_from(fields: dict[str, Any], layers: dict[str, str]) -> StagePlan:
    classes = tuple(
        PatchClass(c["name"], _formats_from(c["formats"], layers), _corrections_from(c)) for c in fields.pop("classes")
    )
    grid = tuple(tuple(int(k) for k in row) for row in fields.pop("patch_classes"))
    rule = fields.pop("outliers", None)
    inside = tuple(str(layer) for layer in fields.pop("layers", ()))
    rule = rule and OutlierRule(**rule)
    return StagePlan(classes=classes, patch_classes=grid, outliers=rule, layers=inside, **fields)
