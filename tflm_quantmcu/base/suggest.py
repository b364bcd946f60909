"""Which of the known names somebody may have meant."""

from __future__ import annotations

import difflib
from collections.abc import Iterable


def did_you_mean(name: object, known: Iterable[object]) -> str:
    """The end of a refusal, `; did you mean convert?`, or nothing where no known name is near."""
    near = difflib.get_close_matches(str(name).lower(), [str(k) for k in known if k is not None], 1, 0.6)
    return f"; did you mean {near[0]}?" if near else ""
