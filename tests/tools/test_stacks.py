"""The table of whole environments: it says where bytes differ, and bytecode does not count as installed."""

from __future__ import annotations

from pathlib import Path

from tools.stacks import MUST_BE_EQUAL, megabytes, table


def _stack(python: str, kept: str, keras: str) -> dict[str, dict[str, str]]:
    return {"versions": {"python": python}, MUST_BE_EQUAL: {"outputs": kept}, "of a Keras model": {"int8": keras}}


def test_equal_bytes_of_one_file_on_other_versions() -> None:
    text, is_equal = table({"pinned": _stack("3.11.2", "ab", "12"), "newest": _stack("3.13.1", "ab", "34")})
    assert is_equal
    assert [line.split() for line in text.splitlines()] == [
        ["pinned", "newest"],
        ["versions:"],
        ["python", "3.11.2", "3.13.1"],
        [*MUST_BE_EQUAL.split()[:-1], ".tflite:"],
        ["outputs", "ab", "ab", "="],
        ["of", "a", "Keras", "model:"],
        ["int8", "12", "34"],
    ]


def test_other_bytes_of_one_file() -> None:
    assert not table({"pinned": _stack("3.11.2", "ab", "12"), "newest": _stack("3.11.2", "cd", "12")})[1]


def test_bytecode_is_not_counted(tmp_path: Path) -> None:
    packages = tmp_path / "lib/python3.13/site-packages"
    packages.mkdir(parents=True)
    (packages / "a.py").write_bytes(bytes(3_000_000))
    (packages / "a.pyc").write_bytes(bytes(5_000_000))
    assert megabytes(tmp_path / "bin/python") == 3
