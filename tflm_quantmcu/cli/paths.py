"""Refuses command lines in which one file is two things: what is read and what is written, or two outputs."""

from __future__ import annotations

import os

from absl import flags as absl_flags

from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.cli.actions import checkpoint_of
from tflm_quantmcu.cli.command import Command, Flag

# Values of flags that name files without being paths alone are left out by their kind.
_FILE = "FILE"


def require_apart(command: Command, values: absl_flags.FlagValues) -> None:
    """Checks the files that a command line names.

    Raises:
      UsageError: two flags, of which one is written, name one file.
    """
    named = [(f"--{flag.name}", values[flag.name].value, flag.is_written) for flag in _files(command)]
    if "checkpoint" in values and "output" in values:
        named = [entry for entry in named if entry[0] != "--checkpoint"]
        named.append(("--checkpoint", checkpoint_of(values), True))
    seen: dict[str, tuple[str, bool]] = {}
    for name, path, is_written in named:
        if not path:
            continue
        place = os.path.realpath(path)
        other, other_is_written = seen.setdefault(place, (name, is_written))
        if other != name and (is_written or other_is_written):
            raise UsageError(f"{other} and {name} are one file, {path}; what is written needs a name of its own")


def _files(command: Command) -> list[Flag]:
    return [flag for flag in command.all_flags if flag.value == _FILE and flag.kind is str]
