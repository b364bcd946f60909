"""What a command of the command line is: its flags in groups, and absl's values made of them."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from absl import flags as absl_flags

from tflm_quantmcu.search.options import Options
from tflm_quantmcu.search.settings.base import group_of

GIVE, OUTPUT = "what you give", "output"
_DEFINE: dict[type, Callable[..., Any]] = {
    int: absl_flags.DEFINE_integer,
    float: absl_flags.DEFINE_float,
    str: absl_flags.DEFINE_string,
    bool: absl_flags.DEFINE_bool,
    list: absl_flags.DEFINE_list,
}


@dataclasses.dataclass(frozen=True)
class Flag:
    """A flag of a command.

    Attributes:
      name: without dashes.
      help: sentences, for the list of all flags.
      brief: a few words for the first page of help; "" keeps the flag off that page.
      kind: str, int, float, bool, or list for values between commas.
      default: None is not set.
      group: the heading that it stands under.
      value: what stands for its value in help: FILE, DIR, N.
      choices: all values that it may have; none are any.
    """

    name: str
    help: str
    brief: str = ""
    kind: type = str
    default: Any = None
    group: str = GIVE
    value: str = "FILE"
    choices: Sequence[Any] = ()

    @property
    def is_written(self) -> bool:
        """Whether its value is a file that the command writes."""
        return self.group == OUTPUT and self.kind is str and self.value == "FILE"

    @property
    def shown(self) -> str:
        """The flag as help spells it: `--core NAME`, `--quiet`, and `--noprogress` of what is on by default."""
        if self.kind is bool:
            return f"--no{self.name}" if self.default else f"--{self.name}"
        return f"--{self.name} {self.value}"


@dataclasses.dataclass(frozen=True)
class Command:
    """One sub-command.

    Attributes:
      summary: what it does, as a verb's phrase.
      run: does it, with the values of its flags.
      flags: its own.
      required: names of flags that must be given.
      options: names of options of plan and convert that it takes.
      positional: names of flags whose values may stand without the flag, in this order.
      example: arguments that stand in its help.
    """

    summary: str
    run: Callable[[absl_flags.FlagValues], None]
    flags: Sequence[Flag] = ()
    required: Sequence[str] = ()
    options: Sequence[str] = ()
    positional: Sequence[str] = ("model",)
    example: str = ""

    @property
    def all_flags(self) -> list[Flag]:
        """Its own flags, then options, then those of every command."""
        known = {field.name: field for field in dataclasses.fields(Options)}
        return [*self.flags, *(_of_option(known[name]) for name in self.options), *EVERYWHERE]

    def values(self) -> absl_flags.FlagValues:
        """Flags with their defaults, to parse with."""
        values = absl_flags.FlagValues()
        values.set_gnu_getopt(True)  # flags may stand behind the model
        for flag in self.all_flags:
            _DEFINE[flag.kind](flag.name, flag.default, flag.help, flag_values=values)
        return values


EVERYWHERE = (
    Flag("quiet", "Prints refusals and warnings alone.", kind=bool, default=False, group=OUTPUT),
    Flag(
        "verbosity",
        "0 is --quiet; 1 also prints what was done; 2 also a traceback with a refusal, for a report of a fault.",
        kind=int,
        default=1,
        group=OUTPUT,
        value="0..2",
        choices=(0, 1, 2),
    ),
)


def _of_option(field: dataclasses.Field[Any]) -> Flag:
    metadata = field.metadata
    choices = [choice for choice in metadata["choices"] if choice is not None]
    value = {int: "N", float: "X", str: "NAME", bool: ""}[metadata["kind"]]
    if choices and len(short := "|".join(map(str, choices))) <= 30:
        value = short
    return Flag(
        field.name,
        metadata["help"],
        metadata["brief"],
        metadata["kind"],
        field.default,
        group_of(Options, field.name),
        metadata["value"] or value,
        choices,
    )
