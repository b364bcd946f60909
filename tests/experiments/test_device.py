"""experiments.device: the page of a table that takes a second, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from experiments import device


@pytest.fixture
def flags(tmp_path: Path) -> list[str]:
    (tmp_path / "int8.tflite").touch()
    return [*("--models", str(tmp_path)), *("--cases", str(tmp_path)), *("--demo", str(tmp_path / "int8.tflite"))]


def test_a_page_has_command_output_and_minutes(flags: list[str], tmp_path: Path) -> None:
    page = tmp_path / "pages/device.md"
    assert device.main([*flags, "--output", str(page), "--tables", "e"]) == 0
    text = page.read_text()
    assert "## e. Boards" in text and "    python -m tools.board_fit\n" in text
    assert "    nucleo-l4r5zi: board cycles = " in text
    assert "Exit code 0, 0." in text


def test_a_command_that_fails_is_shown_and_fails(flags: list[str], tmp_path: Path) -> None:
    page = tmp_path / "device.md"
    assert device.main([*flags, "--output", str(page), "--tables", "b"]) == 1
    assert "Exit code 0" not in page.read_text()


def test_all_letters_of_the_page_are_there() -> None:
    tables = device.tables_of(Path("models"), Path("cases"), Path("int8.tflite"))
    assert {letter for table in tables for letter in table.letter.split(", ")} >= set("abcdefghi")


def test_tables_as_they_are_and_other_lines_as_code() -> None:
    text = device.Run(["-m", "tools.x"], "| a |\n|---|\nnone is off\n", 0, 1.25).text
    assert text == "    python -m tools.x\n\n| a |\n|---|\n\n    none is off\n\nExit code 0, 1.2 minutes.\n"


def test_an_unknown_table_is_a_sentence(flags: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        device.main([*flags, "--output", str(tmp_path / "page.md"), "--tables", "z"])
    assert "--tables has z; there are a, b, c, g, d" in capsys.readouterr().err
