"""What the Python fuzz targets share: running under atheris, and where their kept inputs are."""

from __future__ import annotations

import random
import sys
from collections.abc import Callable
from pathlib import Path

import atheris

CORPUS = Path(__file__).parent / "corpus"
Mutate = Callable[[bytes, random.Random], bytes]
# Half of the changes know the file's structure, and get behind its checks.
_STRUCTURED = 0.5


def run(one_input: Callable[[bytes], None], mutate: Mutate | None = None) -> None:
    """Fuzzes until libFuzzer's flags, those of the command line, say enough; an exception is a lost input.

    Args:
      one_input: takes any bytes.
      mutate: changes an input as its format knows it; what it raises leaves the change to libFuzzer.
    """

    def custom(data: bytes, max_size: int, seed: int) -> bytes:
        rng = random.Random(seed)
        if rng.random() < _STRUCTURED:
            assert mutate is not None
            try:
                changed = mutate(data, rng)
            except Exception:
                changed = b""
            if 0 < len(changed) <= max_size:
                return changed
        return bytes(atheris.Mutate(data, max_size))

    atheris.Setup(sys.argv, one_input, **({"custom_mutator": custom} if mutate else {}))
    atheris.Fuzz()
