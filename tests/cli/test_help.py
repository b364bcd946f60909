"""Help: a first page that fits a screen for each command, all flags on request, near names of what is not known."""

from __future__ import annotations

import dataclasses

import pytest

from tflm_quantmcu import cli
from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.cli.commands import COMMANDS
from tflm_quantmcu.search.options import Options
from tflm_quantmcu.search.settings.base import group_of

SCREEN = 40  # lines
COLUMNS = 100


def printed(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    cli.run(words)
    return capsys.readouterr().out


@pytest.mark.parametrize("name", COMMANDS)
def test_a_first_page_fits_a_screen_and_has_what_is_required(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    page = printed(capsys, "help", name)
    lines = page.splitlines()
    assert len(lines) <= SCREEN and max(map(len, lines)) <= COLUMNS + 20
    for flag in COMMANDS[name].required:
        assert f"--{flag} " in page
    assert page.count("(required)") == len(COMMANDS[name].required)
    assert page == printed(capsys, name, "--help")


@pytest.mark.parametrize("name", COMMANDS)
def test_all_flags_are_there_on_request(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    ways = (("help", name, "all"), (name, "--help", "all"), (name, "--helpfull"))
    pages = [printed(capsys, *words) for words in ways]
    assert pages[0] == pages[1] == pages[2]
    for flag in COMMANDS[name].all_flags:
        assert f"--{flag.name}" in pages[0] or f"--no{flag.name}" in pages[0]


def test_every_option_stands_under_a_heading() -> None:
    assert all(group_of(Options, field.name) for field in dataclasses.fields(Options))


def test_examples_parse() -> None:
    for name, command in COMMANDS.items():
        values = command.values()
        words = values([name, *command.example.split()])[1:]
        assert len(words) <= len(command.positional)
        for flag in command.required:
            assert values[flag].value or flag in command.positional[: len(words)], (name, flag)


@pytest.mark.parametrize(
    "words, hint",
    [
        (["convrt"], "did you mean convert?"),
        (["help", "inspct"], "did you mean inspect?"),
        (["convert", "m.tflite", "--outptu=o"], "Did you mean: output"),
        (["plan", "m.tflite", "--output=o", "--search=vdsq"], "did you mean vdqs?"),
        (["plan", "m.tflite", "--output=o", "--vdpc=dynamik"], "did you mean dynamic?"),
        (["plan", "m.tflite", "--output=o", "--core=cortex-m44"], "did you mean cortex-m4?"),
        (["plan", "m.tflite", "--output=o", "--board=nucleo-l4r5z"], "did you mean nucleo-l4r5zi?"),
    ],
)
def test_a_slip_is_told_the_nearest_name(words: list[str], hint: str) -> None:
    with pytest.raises(UsageError) as refusal:
        cli.run(words)
    assert hint in str(refusal.value)
    assert "\n" not in str(refusal.value)


def test_a_word_too_many_is_named() -> None:
    with pytest.raises(UsageError, match="'b.tflite' is not a flag of convert"):
        cli.run(["convert", "a.tflite", "b.tflite", "--output=o"])
    with pytest.raises(UsageError, match="--verbosity is 3"):
        cli.run(["doctor", "--verbosity=3"])
