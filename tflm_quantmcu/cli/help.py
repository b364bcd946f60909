"""The texts of help: the list of commands, a command's first page, and all of its flags."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping

from tflm_quantmcu.cli.command import GIVE, OUTPUT, Command, Flag

_WIDTH = 100
_COLUMN = 34  # of the words beside a flag
_FIRST_GROUPS, _LAST_GROUPS = (GIVE, "what you want", "target", "patch stages", "search"), ("how it runs", OUTPUT)


def overview(commands: Mapping[str, Command]) -> str:
    """What there is, a line a command."""
    lines = [f"  {name:10} {command.summary}" for name, command in commands.items()]
    return "\n".join(
        [
            "usage: tflm_quantmcu COMMAND [MODEL] [--flag value ...]",
            "",
            *lines,
            "",
            "`help COMMAND` shows a command's main flags, `help COMMAND all` every flag; --version prints the version.",
        ]
    )


def first_page(name: str, command: Command) -> str:
    """What most users need of a command: its flags that have a `brief`, and the required ones."""
    shown = [flag for flag in command.all_flags if flag.brief or flag.name in command.required]
    num_left = len(command.all_flags) - len(shown)
    lines = _head(name, command)
    for group, members in grouped(shown).items():
        lines += ["", f"{group}:"]
        for flag in members:
            lines += _row(_spelled(flag, command), _brief(flag, command))
    if num_left:
        lines += ["", f"`tflm_quantmcu help {name} all` has {num_left} more flags and says more of each."]
    return "\n".join(lines)


def all_flags(name: str, command: Command) -> str:
    """Every flag with its default and its choices."""
    lines = _head(name, command)
    for group, members in grouped(command.all_flags).items():
        lines += ["", f"{group}:"]
        for flag in members:
            lines += [f"  {_spelled(flag, command)}", *_indented(described(flag, command))]
    return "\n".join(lines)


def described(flag: Flag, command: Command) -> str:
    """A flag's help, its choices, its default, and whether it must be given."""
    text = flag.help
    if flag.choices and flag.value != "|".join(map(str, flag.choices)):
        text += " One of " + ", ".join(map(str, flag.choices)) + "."
    if flag.name in command.required:
        return f"{text} Required."
    if flag.default in (None, "", True, False):
        return text
    return f"{text} Default: {flag.default}."


def grouped(flags: list[Flag]) -> dict[str, list[Flag]]:
    """Flags by heading, in the order that help has them."""
    groups: dict[str, list[Flag]] = {}
    for flag in flags:
        groups.setdefault(flag.group, []).append(flag)
    between = [name for name in groups if name not in (*_FIRST_GROUPS, *_LAST_GROUPS)]
    return {name: groups[name] for name in (*_FIRST_GROUPS, *between, *_LAST_GROUPS) if name in groups}


def _head(name: str, command: Command) -> list[str]:
    lines = [f"tflm_quantmcu {name}: {command.summary}"]
    if command.example:
        lines += ["", *_example(f"tflm_quantmcu {name} {command.example}")]
    return lines


def _example(text: str) -> Iterator[str]:
    """A command over as many lines as it takes, which a shell reads as one."""
    lines = textwrap.wrap(text, _WIDTH - 8, break_long_words=False, break_on_hyphens=False)
    for n, line in enumerate(lines):
        yield ("  " if n == 0 else "      ") + line + (" \\" if n + 1 < len(lines) else "")


def _spelled(flag: Flag, command: Command) -> str:
    """`--core NAME`; what may stand without its flag is `MODEL or --model FILE`."""
    return f"{flag.name.upper()} or {flag.shown}" if flag.name in command.positional else flag.shown


def _brief(flag: Flag, command: Command) -> str:
    text = flag.brief or flag.help
    return f"{text} (required)" if flag.name in command.required else text


def _row(left: str, right: str) -> list[str]:
    lines = textwrap.wrap(right, _WIDTH - _COLUMN)
    start = f"  {left}"
    if len(start) + 1 > _COLUMN:
        return [start, *(" " * _COLUMN + line for line in lines)]
    return [f"{start:{_COLUMN}}{lines[0]}", *(" " * _COLUMN + line for line in lines[1:])]


def _indented(text: str) -> list[str]:
    return textwrap.wrap(text, _WIDTH, initial_indent=" " * 6, subsequent_indent=" " * 6)
