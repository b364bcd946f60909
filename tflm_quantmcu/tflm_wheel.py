"""Says whether the installed TFLM wheel is one that our op library was built for."""

from __future__ import annotations

import functools
from importlib import metadata

from tflm_quantmcu.errors import UsageError

DISTRIBUTION = "tflite-micro"
FIRST, LAST = "0.dev20260930204519", "0.dev20261002230103"


@functools.cache
def require_known_wheel() -> None:
    """Refuses a wheel whose C structs are not those of third_party/tflm_abi/, before anything of it is loaded.

    Raises:
      UsageError: there is no wheel, or it is older than FIRST or newer than LAST.
    """
    try:
        version = metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        raise UsageError(f"TFLM is not installed; install it with `pip install {DISTRIBUTION}=={FIRST}`") from None
    if not _number(FIRST) <= _number(version) <= _number(LAST):
        raise UsageError(
            f"{DISTRIBUTION} {version} is installed; supported are {FIRST} to {LAST}; install one of them with "
            f"`pip install {DISTRIBUTION}=={FIRST}`"
        )


def _number(version: str) -> int:
    digits = version.partition("dev")[2]
    return int(digits) if digits.isdigit() else 0
