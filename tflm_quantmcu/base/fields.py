"""Reads what a file says into our own types: each dataclass is the one schema of its part of a file.

In: JSON text or parsed values. Out: values of the types that a dataclass's annotations name. Refuses unknown, missing
and doubled keys, other types, integers beyond 64 bits, numbers that are not finite and deep nesting; the sentence names
the place. Ranges are checked by the dataclasses themselves.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import math
import types
from collections.abc import Mapping, Sequence
from typing import Any, Union, get_args, get_origin, get_type_hints

from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.base.suggest import did_you_mean
from tflm_quantmcu.base.text import shown

MAX_DEPTH = 32
_NAMES = {bool: "true or false", int: "an integer", float: "a number", str: "a text", type(None): "nothing"}


def parse_json(text: str) -> Any:
    """The value of a JSON text.

    Raises:
      UsageError: not JSON, a number that is not finite, a key twice, or nesting beyond MAX_DEPTH.
    """
    try:
        value = json.loads(text, parse_constant=_refuse_constant, object_pairs_hook=_object)
    except (ValueError, RecursionError) as error:
        raise UsageError(f"it is not JSON: {shown(error)}") from None
    require_depth(value)
    return value


def require_depth(value: Any) -> None:
    """Refuses values that are nested so deep that whoever walks them would fail.

    Raises:
      UsageError: nesting beyond MAX_DEPTH.
    """
    level = [value]
    for _ in range(MAX_DEPTH):
        parts = [p for p in level if isinstance(p, (dict, list, tuple))]
        # Parts that stand at several places, as YAML's aliases do, are walked once a level.
        unique = {id(p): p for p in parts}.values()
        level = [entry for p in unique for entry in (p.values() if isinstance(p, dict) else p)]
        if not level:
            return
    raise UsageError(f"it is nested deeper than {MAX_DEPTH} levels")


def read_as(kind: Any, value: Any, where: str) -> Any:
    """A parsed value as a `kind`.

    Args:
      kind: bool, int, float, str, Any, a dataclass, or tuples, sequences, mappings and unions of them.
      value: of JSON's types.
      where: the value's place, for sentences.

    Raises:
      UsageError: it is something else.
    """
    origin = get_origin(kind)
    if kind is Any:
        return value
    if dataclasses.is_dataclass(kind):
        return _dataclass(kind, value, where)
    if origin in (Union, types.UnionType):
        return _union(get_args(kind), value, where)
    if origin in (tuple, Sequence):
        return _tuple(get_args(kind), value, where)
    if origin is Mapping:
        entries = _require(value, dict, where, "an object").items()
        return {name: read_as(get_args(kind)[1], entry, f"{where}.{name}") for name, entry in entries}
    return _scalar(kind, value, where)


def read_keys(value: Any, known: Sequence[str], needed: Sequence[str], where: str) -> dict[str, Any]:
    """An object with these keys alone, of which some must be there.

    Args:
      value: as JSON gives it.
      known: keys that it may have.
      needed: those that it must have.
      where: it stands, for sentences.

    Raises:
      UsageError: no object, an unknown key, or a missing one.
    """
    found: dict[str, Any] = _require(value, dict, where, "an object")
    for key in found:
        if key not in known:
            raise UsageError(f"{where} has the unknown key {shown(key)}{did_you_mean(key, known)}")
    for key in needed:
        if key not in found:
            raise UsageError(f"{where} lacks the key '{key}'")
    return found


@functools.cache
def _annotations(kind: type) -> dict[str, Any]:
    return get_type_hints(kind)


def _dataclass(kind: Any, value: Any, where: str) -> Any:
    annotations = _annotations(kind)
    fields = dataclasses.fields(kind)
    no_default = dataclasses.MISSING
    needed = [f.name for f in fields if f.default is no_default and f.default_factory is no_default]
    found = read_keys(value, [f.name for f in fields], needed, where)
    read = {name: read_as(annotations[name], entry, f"{where}.{name}") for name, entry in found.items()}
    try:
        return kind(**read)
    except UsageError as error:
        raise UsageError(f"{where}: {error}") from None


def _union(kinds: tuple[Any, ...], value: Any, where: str) -> Any:
    if value is None and type(None) in kinds:
        return None
    others = [kind for kind in kinds if kind is not type(None)]
    return read_as(others[0], value, where)


def _tuple(kinds: tuple[Any, ...], value: Any, where: str) -> tuple[Any, ...]:
    entries = _require(value, (list, tuple), where, "a list")
    if len(kinds) == 2 and kinds[1] is not Ellipsis and len(entries) != 2:
        raise UsageError(f"{where} has {len(entries)} entries; needed are 2")
    each = kinds if len(kinds) == 2 and kinds[1] is not Ellipsis else (kinds[0],) * len(entries)
    return tuple(
        read_as(kind, entry, f"{where}[{i}]") for i, (kind, entry) in enumerate(zip(each, entries, strict=True))
    )


def _scalar(kind: Any, value: Any, where: str) -> Any:
    if kind is float and isinstance(value, int) and not isinstance(value, bool):
        value = float(value) if abs(value) < 2**64 else math.inf
    if type(value) is not kind:
        raise UsageError(f"{where} is {shown(value)}; needed is {_NAMES[kind]}")
    if isinstance(value, int) and not -(2**63) <= value < 2**63:
        raise UsageError(f"{where} is {shown(value)}; supported are 64-bit integers")
    if isinstance(value, float) and not math.isfinite(value):
        raise UsageError(f"{where} is {value}; it must be finite")
    return value


def _require(value: Any, kinds: Any, where: str, what: str) -> Any:
    if not isinstance(value, kinds):
        raise UsageError(f"{where} is {shown(value)}; needed is {what}")
    return value


def _refuse_constant(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        doubled = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {shown(doubled)} stands twice")
    return found
