"""JSON that people read and edit: what fits on a line stands on one."""

from __future__ import annotations

import json
from typing import Any

_WIDTH = 120


def readable_json(value: Any, *, indent: int = 0) -> str:
    """The JSON of `value`; lists and objects that hold others or are too long for a line get a line an entry.

    Args:
      value: what `json.dumps` takes.
      indent: columns that the text's further lines start with.
    """
    line = json.dumps(value)
    entries = value.values() if isinstance(value, dict) else value if isinstance(value, (list, tuple)) else ()
    is_flat = not any(isinstance(e, (dict, list, tuple)) for e in entries)
    if not entries or (is_flat and indent + len(line) <= _WIDTH) or (is_flat and _is_numbers(entries)):
        return line
    inner = indent + 1
    if isinstance(value, dict):
        lines = [f"{json.dumps(str(k))}: {readable_json(v, indent=inner)}" for k, v in value.items()]
        opening, closing = "{", "}"
    else:
        lines = [readable_json(v, indent=inner) for v in value]
        opening, closing = "[", "]"
    return opening + ",".join(f"\n{' ' * inner}{text}" for text in lines) + f"\n{' ' * indent}{closing}"


def _is_numbers(entries: Any) -> bool:
    return all(isinstance(e, (int, float)) for e in entries)
