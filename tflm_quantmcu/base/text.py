"""Text of others, such as names in a model, on a terminal: no control characters, and no endless lines."""

from __future__ import annotations

import io
import reprlib
import unicodedata
from typing import Any, TextIO

MAX_SENTENCE = 2000
# Control characters, marks that turn the direction of writing, and halves of characters.
_UNPRINTABLE = frozenset({"Cc", "Cf", "Cs", "Zl", "Zp"})

_SHORT = reprlib.Repr()
_SHORT.maxstring = _SHORT.maxother = _SHORT.maxlong = 60
_SHORT.maxlist = _SHORT.maxdict = 3


def shown(value: Any) -> str:
    """A value of a file for a sentence: its repr, bounded in length and depth."""
    return printable(_SHORT.repr(value) if not isinstance(value, BaseException) else str(value)[:200])


def printable(text: str, *, kept: str = "") -> str:
    """The text with what a terminal would obey written as escapes; characters of `kept` stay."""
    if text.isprintable():
        return text
    return "".join(
        c if c in kept or unicodedata.category(c) not in _UNPRINTABLE else c.encode("unicode_escape").decode("ascii")
        for c in text
    )


def sentence(text: object) -> str:
    """One line of bounded length."""
    line = " ".join(printable(str(text), kept="\n").split("\n"))
    return (
        line if len(line) <= MAX_SENTENCE else f"{line[:MAX_SENTENCE]}... ({len(line) - MAX_SENTENCE} more characters)"
    )


class TerminalText(io.TextIOBase):
    """A stream that takes lines of ours with names of others in them: `printable`, and escapes where the stream's
    encoding lacks a character."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return self._stream.encoding

    def write(self, text: str) -> int:
        encoding = getattr(self._stream, "encoding", None) or "utf-8"
        text = printable(text, kept="\n\t")
        self._stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        return len(text)

    def flush(self) -> None:
        self._stream.flush()

    def isatty(self) -> bool:
        return self._stream.isatty()

    def fileno(self) -> int:
        return self._stream.fileno()
