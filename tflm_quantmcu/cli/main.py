"""Turns the words of a command line into a command and its exit code."""

from __future__ import annotations

import contextlib
import os
import pathlib
import sys
import traceback
import warnings
from collections.abc import Iterator, Sequence

from absl import flags

from tflm_quantmcu import __version__
from tflm_quantmcu.base.errors import QuantMcuError, UsageError
from tflm_quantmcu.base.files import beside, require_folder
from tflm_quantmcu.base.suggest import did_you_mean
from tflm_quantmcu.base.text import TerminalText, sentence
from tflm_quantmcu.cli import help as help_texts
from tflm_quantmcu.cli.actions import checkpoint_of
from tflm_quantmcu.cli.command import Command
from tflm_quantmcu.cli.commands import COMMANDS
from tflm_quantmcu.cli.paths import require_apart

INTERRUPTED = 130  # as shells say it of Ctrl-C
_HELP = ("--help", "-h", "--helpfull", "help")


def main(argv: Sequence[str] | None = None) -> None:
    """Entry point; exits with 0, 2 (usage), 3 (unsupported model), 4 (budget), 5 (verification) or 130 (Ctrl-C)."""
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    os.environ["KERAS_BACKEND"] = "tensorflow"  # a file loads there, whatever it was trained on
    warnings.formatwarning = lambda message, *_, **__: f"tflm_quantmcu: warning: {sentence(message)}\n"
    try:
        with contextlib.redirect_stdout(TerminalText(sys.stdout)):
            run(list(sys.argv[1:] if argv is None else argv))
    except QuantMcuError as error:
        print(f"tflm_quantmcu: {sentence(error)}", file=sys.stderr)
        sys.exit(error.exit_code)
    except KeyboardInterrupt as stopped:
        print(f"tflm_quantmcu: {stopped or 'stopped'}", file=sys.stderr)
        sys.exit(INTERRUPTED)
    except BrokenPipeError:
        sys.exit(0)


def run(arguments: Sequence[str]) -> None:
    """Runs one command line; raises instead of exiting.

    Raises:
      QuantMcuError: a refusal.
      KeyboardInterrupt: Ctrl-C; its text says how to go on.
    """
    name, rest = (arguments[0], list(arguments[1:])) if arguments else ("help", [])
    if name in ("--version", "version"):
        print(f"tflm_quantmcu {__version__}")
    elif name in _HELP and not [word for word in rest if word != "all"]:
        print(help_texts.overview(COMMANDS))
    elif name in _HELP:
        _print_help(rest[0], rest[1:])
    elif set(_HELP[:3]) & set(rest):
        _print_help(name, rest)
    else:
        command = _command(name)
        values = _parsed(name, command, rest)
        written = [values[flag.name].value for flag in command.all_flags if flag.is_written]
        for path in filter(None, written):
            require_folder(path)
        require_apart(command, values)
        with _at_verbosity(values), _how_to_go_on(values), _user_code(values):
            command.run(values)


def _command(name: str) -> Command:
    if name not in COMMANDS:
        raise UsageError(f"there is no command '{name}'; there are {', '.join(COMMANDS)}{did_you_mean(name, COMMANDS)}")
    return COMMANDS[name]


def _print_help(name: str, rest: Sequence[str]) -> None:
    page = help_texts.all_flags if {"all", "--helpfull"} & set(rest) else help_texts.first_page
    print(page(name, _command(name)))


def _parsed(name: str, command: Command, arguments: Sequence[str]) -> flags.FlagValues:
    """The values of a command's flags; words without a flag are its positional ones."""
    values = command.values()
    try:
        words = values([f"tflm_quantmcu {name}", *arguments])[1:]
    except flags.Error as error:
        raise UsageError(f"{' '.join(str(error).split())}; see tflm_quantmcu help {name}") from None
    free = [flag for flag in command.positional if not values[flag].present]
    for flag, word in zip(free, words, strict=False):
        values[flag].value = word
    if len(words) > len(free):
        raise UsageError(f"'{words[len(free)]}' is not a flag of {name}; see tflm_quantmcu help {name}")
    for flag in command.required:
        if not values[flag].value:
            raise UsageError(f"--{flag} is missing; see tflm_quantmcu help {name}")
    if values.verbosity not in (0, 1, 2):
        raise UsageError(f"--verbosity is {values.verbosity}; supported are 0, 1 and 2")
    return values


@contextlib.contextmanager
def _at_verbosity(values: flags.FlagValues) -> Iterator[None]:
    """A block in which what is printed and what a refusal brings are as --quiet and --verbosity say."""
    quiet = values.quiet or values.verbosity == 0
    if quiet and "progress" in values:
        values["progress"].value, values["progress"].present = False, 1
    with contextlib.ExitStack() as stack:
        if quiet:
            nowhere = stack.enter_context(open(os.devnull, "w"))
            stack.enter_context(contextlib.redirect_stdout(nowhere))
        try:
            yield
        except QuantMcuError:
            if values.verbosity > 1:
                traceback.print_exc()
            raise


@contextlib.contextmanager
def _how_to_go_on(values: flags.FlagValues) -> Iterator[None]:
    """Gives a KeyboardInterrupt the sentence that says what is kept of the work."""
    try:
        yield
    except KeyboardInterrupt:
        kept = [path for path in _states(values) if path.exists()]
        if kept:
            raise KeyboardInterrupt(f"stopped; the same command goes on from {kept[0]}") from None
        raise KeyboardInterrupt("stopped; nothing was written") from None


def _states(values: flags.FlagValues) -> list[pathlib.Path]:
    """Where a command may have left its state."""
    if "checkpoint" in values:
        path = checkpoint_of(values)
        return [path, beside(path, ".calibration")]
    return [pathlib.Path(values.output_dir)] if "searches" in values else []


def _user_code(values: flags.FlagValues) -> contextlib.AbstractContextManager[None]:
    if "import" not in values or not (values["import"].value or values.unsafe_lambda):
        return contextlib.nullcontext()
    from tflm_quantmcu.keras_bridge.load import user_code

    return user_code(values["import"].value or (), unsafe_lambda=values.unsafe_lambda)
