"""What exceeds a limit is named, and nothing else."""

from __future__ import annotations

from pathlib import Path

import pytest

from tools import check_limits
from tools.check_limits import COLUMNS, FILE_LINES, FUNCTION_LINES, TEST_FILE_LINES, check


def write(root: Path, name: str, text: str) -> str:
    (root / name).parent.mkdir(parents=True, exist_ok=True)
    (root / name).write_text(text)
    return name


def test_what_keeps_the_limits_is_left_alone(tmp_path: Path) -> None:
    function = "def f():\n" + "    a = 1\n" * FUNCTION_LINES
    names = [
        write(tmp_path, "a.py", function + "\n" * (FILE_LINES - FUNCTION_LINES - 1)),
        write(tmp_path, "tests/test_a.py", "\n" * TEST_FILE_LINES),
        write(tmp_path, "a.md", f"# One, two\n\n[here](#one-two) [there](b/c.md#d)\n| {'x ' * COLUMNS}|\n"),
        write(tmp_path, "b/c.md", "## D\n\n```\n" + "code " * COLUMNS + "\n```\n"),
    ]
    assert list(check(tmp_path, names)) == []


def test_what_exceeds_them_is_named(tmp_path: Path) -> None:
    names = [
        write(tmp_path, "a.cc", "\n" * (FILE_LINES + 1)),
        write(tmp_path, "b.py", "def f():\n" + "    a = 1\n" * (FUNCTION_LINES + 1)),
        write(tmp_path, "c.md", "word " * COLUMNS + "\n[x](missing.md)\n[y](#nothing)\n```\n[z](code.md)\n```\n"),
    ]
    found = "\n".join(check(tmp_path, names))
    for part in ("a.cc has", "b.py:1: f has", "c.md:1: ", "missing.md leads nowhere", "#nothing names a heading"):
        assert part in found
    assert "code.md" not in found


def test_what_is_short_by_now_is_struck_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    names = [write(tmp_path, "a.py", "\n" * (FILE_LINES + 2)), write(tmp_path, "b.py", "def f():\n    a = 1\n")]
    longer = {"a.py": FILE_LINES + 2, "b.py": FILE_LINES + 2, "b.py:f": FUNCTION_LINES + 1}
    monkeypatch.setattr(check_limits, "LONGER", longer)
    remedy = "strike it out of LONGER in tools/check_limits.py"
    assert list(check(tmp_path, names)) == [f"b.py has 2 lines: {remedy}", f"b.py:f has 1 lines: {remedy}"]


def test_two_decisions_do_not_have_one_number(tmp_path: Path) -> None:
    names = [write(tmp_path, f"docs/decisions/{name}.md", "# A\n") for name in ("0001-a", "0002-b", "0002-c")]
    (found,) = check(tmp_path, names)
    assert found.startswith("docs/decisions/: 2 pages have the number 0002;")
