"""Sizes as people write them: 65536, 64KB, 64k, 64KiB, 1MiB; K is 1024."""

from __future__ import annotations

import numbers
import re

from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.base.text import shown

_SIZE = re.compile(r"(-?\d+)\s*(?:([km])(?:i?b)?|b)?", re.IGNORECASE)
_MAX_TEXT = 40
_FACTORS = {None: 1, "k": 1 << 10, "m": 1 << 20}


def parse_bytes(size: int | str, flag: str) -> int:
    """The bytes of a size, whatever its range.

    Raises:
      UsageError: it is none; the sentence names the flag.
    """
    if isinstance(size, numbers.Integral) and not isinstance(size, bool):
        return int(size)
    found = _SIZE.fullmatch(size.strip()) if isinstance(size, str) and len(size) < _MAX_TEXT else None
    if not found:
        raise UsageError(f"--{flag} is {shown(size)}; a size is a number of bytes, or one with KB or MB, as in 64KB")
    digits, unit = found.groups()
    return int(digits) * _FACTORS[unit and unit.lower()]
