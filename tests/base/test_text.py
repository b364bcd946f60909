"""What others named cannot command a terminal, and no sentence is endless."""

from __future__ import annotations

import io

import pytest

from tflm_quantmcu.base.text import MAX_SENTENCE, TerminalText, printable, sentence, shown


@pytest.mark.parametrize(
    ("text", "escaped"),
    [
        ("plain 卷积 é", "plain 卷积 é"),
        ("\x1b[2J", "\\x1b[2J"),
        ("a\rb\x07\x9b", "a\\rb\\x07\\x9b"),
        ("\u202eevil", "\\u202eevil"),
        ("\ud800", "\\ud800"),
    ],
)
def test_controls_are_escaped(text, escaped):
    assert printable(text) == escaped


def test_sentences_are_one_bounded_line():
    assert sentence("a\nb") == "a b"
    long = sentence("x" * (MAX_SENTENCE + 7))
    assert len(long) < MAX_SENTENCE + 40 and long.endswith("... (7 more characters)")
    assert len(shown(["y" * 1000] * 1000)) < 300


def test_a_terminal_without_the_characters_gets_escapes():
    bytes_ = io.BytesIO()
    stream = io.TextIOWrapper(bytes_, encoding="ascii")
    print("×→ \x1b[31m卷", file=TerminalText(stream))
    stream.flush()
    assert bytes_.getvalue() == rb"\xd7\u2192 \x1b[31m\u5377" + b"\n"
