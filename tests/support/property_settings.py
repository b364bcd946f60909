"""How many random examples a property test takes."""

from __future__ import annotations

import os

from hypothesis import settings

FACTOR_VARIABLE = "TFLM_QUANTMCU_EXAMPLES"


def examples(count: int) -> settings:
    """The same `count` examples in every run.

    TFLM_QUANTMCU_EXAMPLES=20 takes twenty times as many, others each time (--hypothesis-seed makes
    them the same again): for a long search.
    """
    factor = os.environ.get(FACTOR_VARIABLE)
    return settings(max_examples=count * int(factor or 1), derandomize=not factor, deadline=None, print_blob=True)
