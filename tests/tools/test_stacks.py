"""The table of whole environments: it says where bytes differ, and bytecode does not count as installed."""

from __future__ import annotations

from pathlib import Path

from tools.stacks import megabytes, table


def _stack(python: str, digest: str) -> dict[str, dict[str, str]]:
    return {"versions": {"python": python}, "digests": {"int8": digest}}


def test_equal_bytes_on_other_versions() -> None:
    text, is_equal = table({"pinned": _stack("3.11.2", "ab"), "newest": _stack("3.13.1", "ab")})
    assert is_equal
    assert [line.split() for line in text.splitlines()] == [
        ["pinned", "newest"],
        ["python", "3.11.2", "3.13.1"],
        ["int8", "ab", "ab"],
    ]


def test_other_bytes() -> None:
    assert not table({"pinned": _stack("3.11.2", "ab"), "newest": _stack("3.11.2", "cd")})[1]


def test_bytecode_is_not_counted(tmp_path: Path) -> None:
    packages = tmp_path / "lib/python3.13/site-packages"
    packages.mkdir(parents=True)
    (packages / "a.py").write_bytes(bytes(3_000_000))
    (packages / "a.pyc").write_bytes(bytes(5_000_000))
    assert megabytes(tmp_path / "bin/python") == 3
