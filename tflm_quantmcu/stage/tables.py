"""The tables at the end of a stage's program (docs/format.md F4): equal ones stand there once."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def section(words: np.ndarray, start: int, count: int) -> np.ndarray:
    """`count` of the words, int32 [words], from `start` on.

    Raises:
      ValueError: they are not all there.
    """
    part = words[start : start + count]
    if start < 0 or part.size != count:
        raise ValueError(f"a table of {count} words at {start} lies outside its {words.size} words")
    return part


def share_tables(tables: Sequence[Sequence[np.ndarray]]) -> tuple[np.ndarray, list[list[int]]]:
    """All tables [class][op], int32 [words] each, in one array, equal ones once, and the word offset of each."""
    seen: dict[bytes, int] = {}
    parts: list[np.ndarray] = []
    num_words = 0
    offsets: list[list[int]] = []
    for row in tables:
        offsets.append([])
        for table in row:
            key = table.tobytes()
            if key not in seen:
                seen[key] = num_words
                parts.append(table)
                num_words += table.size
            offsets[-1].append(seen[key])
    return np.concatenate(parts), offsets
