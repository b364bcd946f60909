"""docs/reference/ has what the code says: every command, flag and public name."""

from __future__ import annotations

import tflm_quantmcu as qm
from tflm_quantmcu.cli.commands import COMMANDS
from tools import reference


def test_the_pages_are_what_the_code_says() -> None:
    for name, text in reference.pages().items():
        assert (reference.FOLDER / name).read_text("utf-8") == text, "run `python -m tools.reference`"


def test_every_command_and_public_name_has_its_heading() -> None:
    pages = reference.pages()
    for name, command in COMMANDS.items():
        assert f"\n## {name}\n" in pages["commands.md"]
        for flag in command.all_flags:
            assert f"--{flag.name}" in pages["commands.md"] or f"--no{flag.name}" in pages["commands.md"]
    for name in qm.__all__:
        assert name.startswith("__") or f"\n## {name}\n" in pages["python.md"]
