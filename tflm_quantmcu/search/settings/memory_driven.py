"""Settings of search memory_driven, beside `common.WeightCutSettings`."""

from __future__ import annotations

import dataclasses

from tflm_quantmcu.graph.types import BIT_WIDTHS
from tflm_quantmcu.search.settings.base import Settings, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class MemoryDrivenSettings(Settings):
    GROUP = "search memory_driven, rl and hybrid"

    memory_driven_min_bits: int = setting(
        2, "Smallest width of maps and weights, of search memory_driven.", kind=int, choices=BIT_WIDTHS
    )
