"""Writes the pages of docs/reference/ that the code knows best: commands, the Python interface, plan.json.

    python -m tools.reference             # writes the pages
    python -m tools.reference --check     # exit code 1 if a page is not what the code says

In: the table of commands, the public names and their docstrings. Out: Markdown, the same for the same code.
"""

from __future__ import annotations

import argparse
import inspect
import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import tflm_quantmcu as qm
from tflm_quantmcu.cli.command import EVERYWHERE, Command
from tflm_quantmcu.cli.commands import COMMANDS
from tflm_quantmcu.cli.help import described, grouped
from tflm_quantmcu.graph.precision_plan import OutlierRule, PatchClass, PrecisionPlan, RoundedWeights, StagePlan
from tflm_quantmcu.graph.types import Format

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "docs" / "reference"
PLAN_PARTS = (
    ("The plan", PrecisionPlan),
    ("A stage of `stages`", StagePlan),
    ("A class of a stage's `classes`", PatchClass),
    ("A format", Format),
    ("A tensor of `rounded_weights`", RoundedWeights),
    ("`outliers` of a stage", OutlierRule),
)
_HEAD = "<!-- Written by `python -m tools.reference`; edit the code's own words instead. -->"


def pages() -> dict[str, str]:
    """File name -> its text."""
    written = {"commands.md": _commands(), "python.md": _python(), "plan.md": _plan()}
    return {name: "\n".join(lines) + "\n" for name, lines in written.items()}


def _commands() -> Iterator[str]:
    yield from ("# Commands", "", _HEAD, "")
    yield "`tflm_quantmcu COMMAND MODEL --flag value ...`. Every flag of `plan` and `convert` is a keyword of the"
    yield "Python calls of the same names. Sizes may be written 65536, 64KB, 64k, 64KiB or 1MiB; K is 1024."
    for name, command in COMMANDS.items():
        yield from _command(name, command)
    yield from ("", "## Flags of every command", "")
    yield from _table(Command("", lambda values: None, EVERYWHERE))


def _command(name: str, command: Command) -> Iterator[str]:
    yield from ("", f"## {name}", "", f"{command.summary[:1].upper()}{command.summary[1:]}.")
    if command.example:
        yield from ("", "```", f"tflm_quantmcu {name} {command.example}", "```")
    if name == "plan":  # the same options as convert's
        yield from ("", "Its own flags; all options of [convert](#convert) beside them.")
        own = Command("", command.run, command.flags, command.required, (), command.positional)
        yield from ("", *_table(own))
    elif command.flags or command.options:
        yield from ("", *_table(command))


def _table(command: Command) -> Iterator[str]:
    yield "| flag | what it does |"
    yield "|---|---|"
    shown = [flag for flag in command.all_flags if flag not in EVERYWHERE or command.flags == EVERYWHERE]
    for group, members in grouped(shown).items():
        if len(grouped(shown)) > 1:
            yield f"| **{group}** | |"
        for flag in members:
            yield f"| `{_cell(flag.shown)}` | {_cell(described(flag, command))} |"


def _python() -> Iterator[str]:
    yield from ("# Python interface", "", _HEAD, "")
    yield "`import tflm_quantmcu as qm`; options are those of [convert](commands.md#convert)."
    for name in qm.__all__:
        value = getattr(qm, name)
        if name.startswith("__"):
            continue
        yield from ("", f"## {name}", "", "```python", *_signature(name, value), "```", "")
        yield from _docstring(value)
        for method_name, method in _methods(value):
            yield from ("", f"### {name}.{method_name}", "")
            if callable(method):
                yield from ("```python", *_signature(method_name, method), "```", "")
            yield from _docstring(method)


def _plan() -> Iterator[str]:
    yield from ("# plan.json", "", _HEAD, "")
    yield "What was decided, for `convert --plan`; [how to edit it](../how_to/edit_a_plan.md). It names tensors as the"
    yield "`.tflite` does, with the Keras layer beside each as far as the names tell: `layer` decides nothing."
    yield 'Weights may be written as `"name": 4`. Its keys are the attributes below, and `version`.'
    for heading, kind in PLAN_PARTS:
        yield from ("", f"## {heading}", "")
        yield from _docstring(kind)


def _methods(value: Any) -> Iterator[tuple[str, Any]]:
    """Public methods and properties that a class itself defines and describes."""
    if not inspect.isclass(value):
        return
    for name, member in vars(value).items():
        function = getattr(member, "__func__", member)
        is_method = inspect.isfunction(function) or isinstance(member, property)
        if is_method and not name.startswith("_") and function.__doc__:  # its own, not of a base class
            yield name, function


def _signature(name: str, value: Any) -> list[str]:
    """`name(a, *, b=1)`, a parameter a line where it is long."""
    try:
        signature = inspect.signature(value)
    except ValueError:  # a class of its base's making
        return [name]
    if len(text := _without_quotes(f"{name}{signature}")) <= 100:
        return [text]
    parameters = [f"    {parameter}," for parameter in map(str, signature.parameters.values())]
    kinds = [parameter.kind for parameter in signature.parameters.values()]
    if inspect.Parameter.KEYWORD_ONLY in kinds:
        parameters.insert(kinds.index(inspect.Parameter.KEYWORD_ONLY), "    *,")
    ending = "" if signature.return_annotation is signature.empty else f" -> {signature.return_annotation}"
    return [_without_quotes(line) for line in (f"{name}(", *parameters, f"){ending}")]


def _without_quotes(text: str) -> str:
    """Annotations as the source has them."""
    return re.sub(r"(: |-> )'([^']*)'", r"\1\2", text)


def _docstring(value: Any) -> Iterator[str]:
    """A docstring's paragraphs; its `Args:`, `Returns:` and the like become lists."""
    for line in (inspect.getdoc(value) or "").splitlines():
        if line.endswith(":") and line[:-1] in ("Args", "Returns", "Raises", "Attributes", "Yields"):
            yield from (f"**{line[:-1]}**", "")
        elif line.startswith("      "):
            yield f"  {line.strip()}"
        elif line.startswith("  ") and not line.startswith("   "):
            name, colon, text = line.strip().partition(": ")
            yield f"- `{name}`: {text}" if colon and " " not in name.replace(", ", ",") else f"- {line.strip()}"
        else:
            yield line


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with docs/reference instead of writing")
    check = parser.parse_args().check
    FOLDER.mkdir(exist_ok=True)
    for name, text in pages().items():
        path = FOLDER / name
        if not check:
            path.write_text(text, "utf-8")
        elif not path.is_file() or path.read_text("utf-8") != text:
            sys.exit(f"{path.relative_to(ROOT)} is not what the code says; run `python -m tools.reference`")


if __name__ == "__main__":
    main()
