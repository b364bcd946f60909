"""Sizes as people write them: 65536, 64KB, 64k, 64KiB, 1MiB; K is 1024."""

from __future__ import annotations

import re

from tflm_quantmcu.base.errors import UsageError

_SIZE = re.compile(r"(-?\d+)\s*(?:([km])(?:i?b)?|b)?", re.IGNORECASE)
_FACTORS = {None: 1, "k": 1 << 10, "m": 1 << 20}


def parse_bytes(size: int | str, flag: str) -> int:
    """The bytes of a size, whatever its range.

    Raises:
      UsageError: it is none; the sentence names the flag.
    """
    if isinstance(size, int):
        return size
    found = _SIZE.fullmatch(size.strip())
    if not found:
        raise UsageError(f"--{flag} is '{size}'; a size is a number of bytes, or one with KB or MB, as in 64KB")
    digits, unit = found.groups()
    return int(digits) * _FACTORS[unit and unit.lower()]
