"""matplotlib, which is an extra: 30 MB that only pictures need."""

from __future__ import annotations

import importlib.util
import warnings

from tflm_quantmcu.base.errors import UsageError

_REMEDY = "pictures need matplotlib, which is not installed: pip install 'tflm_quantmcu[plots]'"


def require() -> None:
    """Refuses where a picture was asked for that cannot be drawn.

    Raises:
      UsageError: matplotlib is not installed.
    """
    if not _is_installed():
        raise UsageError(_REMEDY)


def are_drawn(name: str) -> bool:
    """Whether a picture beside other results can be drawn; where not, a warning says that `name` is left out."""
    if not _is_installed():
        warnings.warn(f"{name} is left out: {_REMEDY}", stacklevel=2)
        return False
    return True


def _is_installed() -> bool:
    return importlib.util.find_spec("matplotlib") is not None
