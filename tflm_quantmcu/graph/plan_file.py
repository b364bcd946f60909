"""Reads `plan.json`: the schema is the dataclasses of plans and stages, and what follows of their values' ranges.

In: the file's text. Out: a PrecisionPlan. Whether it fits a model is for the converter to say.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import itertools
import re
from collections.abc import Mapping
from typing import Any, TypeVar

from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.base.fields import parse_json, read_as, read_keys
from tflm_quantmcu.base.text import shown
from tflm_quantmcu.graph.accuracy_loss import AccuracyLoss
from tflm_quantmcu.graph.stage_plan import CHOSEN_AT_RUN_TIME, RoundedWeights, StagePlan
from tflm_quantmcu.graph.types import BIT_WIDTHS

_Plan = TypeVar("_Plan")

_NEEDED = ("version", "model_sha256", "search", "stages", "formats", "weight_bits", "notes")
_KNOWN = (*_NEEDED, "rounded_weights", "bias_corrections")
_SHA256 = re.compile("[0-9a-f]{64}")
MAX_EXTENT = 32767  # of feature maps, as law F4 has it
_POINT_NUMBERS = ("points", "limit_points", "arena_bytes", "flash_bytes", "instructions", "cycles", "bit_ops")
_STAGE_WORDS = {
    "cache_mode": ("recompute", "rows", "full", "ahead"),
    "input_mode": ("resident", "streamed"),
    "vdpc": ("static", "dynamic", "off"),
}


@dataclasses.dataclass(frozen=True)
class _Rounded:
    """An entry of `rounded_weights` as the file has it.

    Attributes:
      values: base64 of zlib data.
    """

    bits: int
    scales: tuple[float, ...]
    values: str


@dataclasses.dataclass(frozen=True)
class _Loss(AccuracyLoss):
    """`search.scores.accuracy_loss`.

    Attributes:
      bound: in points.
    """

    sqnr_db: tuple[float | None, ...] = ()  # type: ignore[assignment]
    bound: float = 0.0


def read_plan(text: str, kind: type[_Plan], supported: int) -> _Plan:
    """The plan of a file's text.

    Args:
      text: of the file.
      kind: PrecisionPlan.
      supported: the file's version.

    Raises:
      UsageError: not JSON, another version, or a missing, unknown or ill-typed field, or a value out of range.
    """
    try:
        fields = parse_json(text)
        version = (
            read_as(int, fields["version"], "version") if isinstance(fields, dict) and "version" in fields else None
        )
        if version not in (None, supported):
            raise _OtherVersion(f"the plan has version {version}; supported is {supported}")
        plan = _plan_of(read_keys(fields, _KNOWN, _NEEDED, "the file"), kind)
        _check(plan)
        return plan
    except _OtherVersion:
        raise
    except UsageError as error:
        raise UsageError(f"the plan cannot be read: {error}; write it anew with `plan`") from None


class _OtherVersion(UsageError):
    """Its sentence says all."""


def _plan_of(found: Mapping[str, Any], kind: type[_Plan]) -> _Plan:
    layers: dict[str, str] = {}
    fields = {name: value for name, value in found.items() if name not in ("version", "rounded_weights")}
    fields["formats"] = _without_layers(fields["formats"], "formats", layers)
    stages = read_as(tuple[Any, ...], fields["stages"], "stages")
    fields["stages"] = [_stage_fields(stage, f"stages[{i}]", layers) for i, stage in enumerate(stages)]
    fields["weight_bits"] = _weight_bits(fields["weight_bits"], layers)
    rounded = read_as(Mapping[str, _Rounded], found.get("rounded_weights", {}), "rounded_weights")
    plan: Any = read_as(kind, fields, "the file")
    weights = {name: _rounded(name, entry) for name, entry in rounded.items()}
    found_plan: _Plan = dataclasses.replace(plan, rounded_weights=weights, layers=layers)
    return found_plan


def _stage_fields(stage: Any, where: str, layers: dict[str, str]) -> Any:
    """A stage without the layers of its formats."""
    fields = read_as(Mapping[str, Any], stage, where)
    classes = []
    for i, entry in enumerate(read_as(tuple[Any, ...], fields.get("classes", ()), f"{where}.classes")):
        place = f"{where}.classes[{i}]"
        known = read_as(Mapping[str, Any], entry, place)
        formats = _without_layers(known.get("formats", {}), f"{place}.formats", layers)
        classes.append({**known, "formats": formats} if "formats" in known else known)
    return {**fields, "classes": classes} if "classes" in fields else fields


def _without_layers(entries: Any, where: str, layers: dict[str, str]) -> dict[str, Any]:
    """Entries by tensor without their layers' names, which go to `layers`."""
    stripped = {}
    for name, entry in read_as(Mapping[str, Any], entries, where).items():
        fields = read_as(Mapping[str, Any], entry, f"{where}.{name}")
        if "layer" in fields:
            layers[name] = read_as(str, fields["layer"], f"{where}.{name}.layer")
        stripped[name] = {key: value for key, value in fields.items() if key != "layer"}
    return stripped


def _weight_bits(entries: Any, layers: dict[str, str]) -> dict[str, Any]:
    found = read_as(Mapping[str, Any], entries, "weight_bits")
    written = {name: entry if isinstance(entry, dict) else {"bits": entry} for name, entry in found.items()}
    bare = _without_layers(written, "weight_bits", layers)
    return {name: read_keys(entry, ("bits",), ("bits",), f"weight_bits.{name}")["bits"] for name, entry in bare.items()}


def _rounded(name: str, entry: _Rounded) -> RoundedWeights:
    where = f"rounded_weights.{name}"
    try:
        packed = base64.b64decode(entry.values, validate=True)
    except (binascii.Error, ValueError) as error:
        raise UsageError(f"{where}.values is no base64: {error}") from None
    if any(not scale > 0 for scale in entry.scales):
        raise UsageError(f"{where}.scales has {min(entry.scales)}; they must be positive")
    read = RoundedWeights(_width(entry.bits, f"{where}.bits"), entry.scales, packed)
    read.values(0)
    return read


def _width(bits: int, where: str) -> int:
    if bits not in BIT_WIDTHS:
        raise UsageError(f"{where} is {bits}; supported are 8, 4 and 2")
    return bits


def _check(plan: Any) -> None:
    if not _SHA256.fullmatch(plan.model_sha256):
        raise UsageError(f"model_sha256 is {shown(plan.model_sha256)}; needed are 64 hexadecimal digits")
    _check_provenance(plan.search)
    for name, bits in plan.weight_bits.items():
        _width(bits, f"weight_bits.{name}")
    for i, stage in enumerate(plan.stages):
        _check_stage(stage, f"stages[{i}]")


def _check_provenance(search: Mapping[str, Any]) -> None:
    """What reports read of it; the rest is anything."""
    read_as(str, search.get("method", ""), "search.method")
    phi = read_as(float | None, search.get("vdpc_phi"), "search.vdpc_phi")
    if phi is not None and not 0 < phi < 1:
        raise UsageError(f"search.vdpc_phi is {phi}; it must be between 0 and 1")
    scores = read_as(Mapping[str, Any], search.get("scores", {}), "search.scores")
    if "accuracy_loss" in scores:
        loss = read_as(_Loss, scores["accuracy_loss"], "search.scores.accuracy_loss")
        if loss.measured_by == "sqnr" and not loss.sqnr_db:
            raise UsageError("search.scores.accuracy_loss lacks sqnr_db")
        if loss.bound < 0:
            raise UsageError(f"search.scores.accuracy_loss.bound is {loss.bound}; it must be at least 0")
    for i, point in enumerate(read_as(tuple[Any, ...], scores.get("front", ()), "search.scores.front")):
        _check_point(point, f"search.scores.front[{i}]")


def _check_point(point: Any, where: str) -> None:
    fields = read_as(Mapping[str, Any], point, where)
    kinds = {**dict.fromkeys(_POINT_NUMBERS, float), "sqnr_db": tuple[float | None, ...]}
    for name, kind in kinds.items():
        if name not in fields:
            raise UsageError(f"{where} lacks the key '{name}'")
        read_as(kind, fields[name], f"{where}.{name}")


def _check_stage(stage: StagePlan, where: str) -> None:
    for name in ("tile_height", "tile_width"):
        if not 1 <= getattr(stage, name) <= MAX_EXTENT:
            raise UsageError(f"{where}.{name} is {getattr(stage, name)}; it must be from 1 to {MAX_EXTENT}")
    modes = [(f"map_caches.{name}", "cache_mode", mode) for name, mode in stage.map_caches.items()]
    for place, key, word in [*modes, *((key, key, getattr(stage, key)) for key in _STAGE_WORDS)]:
        if word not in _STAGE_WORDS[key]:
            raise UsageError(f"{where}.{place} is {shown(word)}; supported are {', '.join(_STAGE_WORDS[key])}")
    grid = stage.patch_classes
    if not stage.classes or not grid or not grid[0] or len({len(row) for row in grid}) > 1:
        raise UsageError(f"{where} needs classes, and patch_classes in rows of one length")
    least = 0 if stage.outliers is None else CHOSEN_AT_RUN_TIME
    bad = [k for k in itertools.chain.from_iterable(grid) if not least <= k < len(stage.classes)]
    if bad:
        raise UsageError(f"{where}.patch_classes has {bad[0]}; its classes are {least} to {len(stage.classes) - 1}")
