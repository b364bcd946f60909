"""What a setting is: a field of a frozen dataclass that knows its flag's help, type, choices and range."""

from __future__ import annotations

import dataclasses
import numbers
import sys
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, TypeVar

import numpy as np

from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.base.suggest import did_you_mean
from tflm_quantmcu.base.text import shown

_Kind = TypeVar("_Kind", bound="Settings")


@dataclasses.dataclass(frozen=True)
class Range:
    """The values that a number may have.

    Attributes:
      allows: whether a value is in it.
      text: ends the sentence "it must be ...".
    """

    allows: Callable[[Any], bool]
    text: str


def at_least(least: float) -> Range:
    return Range(lambda value: value >= least, f"at least {least}")


def between(least: float, most: float) -> Range:
    return Range(lambda value: least <= value <= most, f"from {least} to {most}")


def setting(
    default: Any,
    help: str,
    *,
    kind: type,
    choices: tuple[Any, ...] = (),
    check: Range | None = None,
    decides: bool = True,
    brief: str = "",
    value: str = "",
    group: str = "",
) -> Any:
    """A field of settings.

    Args:
      default: None is not set.
      help: of the flag.
      kind: of the flag's value.
      choices: all values that it may have; none are any.
      check: the range that it must be in, if it is set.
      decides: whether the plan depends on it, so that its provenance has it.
      brief: a few words for the first page of help; "" keeps the flag off that page.
      value: what stands for the value in help; "" is made of kind and choices.
      group: the heading of help that it stands under; "" is its class's GROUP.
    """
    metadata = {"help": help, "kind": kind, "choices": choices, "check": check, "decides": decides}
    return dataclasses.field(default=default, metadata={**metadata, "brief": brief, "value": value, "group": group})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Settings:
    """Settings that belong together; a class that inherits from several has those of all.

    Raises:
      UsageError: a value that is no choice or out of range.
    """

    GROUP: ClassVar[str] = ""  # the heading of help that its flags stand under

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            _check_type(field, getattr(self, field.name))
        for field in dataclasses.fields(self):
            value, choices = getattr(self, field.name), field.metadata["choices"]
            if choices and value not in choices:
                supported = ", ".join(str(c) for c in choices if c is not None)
                raise UsageError(f"--{field.name} is {value}; supported are {supported}{did_you_mean(value, choices)}")
        for field in dataclasses.fields(self):
            value, check = getattr(self, field.name), field.metadata["check"]
            if value is not None and check and not check.allows(value):
                raise UsageError(f"--{field.name} is {value}; it must be {check.text}")

    @classmethod
    def names(cls) -> tuple[str, ...]:
        return tuple(field.name for field in dataclasses.fields(cls))

    def part(self, kind: type[_Kind]) -> _Kind:
        """The settings of one kind, of a sum that has them."""
        return kind(**{name: getattr(self, name) for name in kind.names()})

    @property
    def parameters(self) -> Mapping[str, Any]:
        """What decides a plan beside its calibration, for its provenance."""
        return {f.name: getattr(self, f.name) for f in dataclasses.fields(self) if f.metadata["decides"]}


def _check_type(field: dataclasses.Field[Any], value: Any) -> None:
    """Refuses a number that is none, or not finite; texts and files are checked by who reads them."""
    kind = field.metadata["kind"]
    if value is None and field.default is None or kind is str:
        return
    is_number = isinstance(value, numbers.Real) and not isinstance(value, (bool, np.bool_))
    fits = {
        bool: isinstance(value, (bool, np.bool_)),
        int: is_number and isinstance(value, (int, np.integer)) and abs(int(value)) < 2**63,
        float: is_number and abs(value) <= sys.float_info.max,
    }
    if not fits[kind]:
        needed = {bool: "True or False", int: "an integer", float: "a finite number"}[kind]
        raise UsageError(f"--{field.name} is {shown(value)}; it must be {needed}")


def group_of(kind: type[Settings], name: str) -> str:
    """The heading of help that a field of `kind` stands under: its own, or of the class that defines it."""
    field = next(field for field in dataclasses.fields(kind) if field.name == name)
    owner = next(base for base in kind.__mro__ if name in vars(base).get("__annotations__", {}))
    return field.metadata["group"] or vars(owner).get("GROUP", "")
