"""Settings of search rl, beside `common.WeightCutSettings`."""

from __future__ import annotations

import dataclasses

from tflm_quantmcu.graph.types import BIT_WIDTHS
from tflm_quantmcu.search.settings.base import Settings, at_least, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class RlSettings(Settings):
    GROUP = "search rl"

    rl_episodes: int = setting(
        150, "Episodes that search rl plays; each evaluates a plan once.", kind=int, check=at_least(1)
    )
    rl_warmup_episodes: int = setting(
        20, "The first episodes of search rl, with random actions.", kind=int, check=at_least(0)
    )
    rl_min_bits: int = setting(2, "Smallest width of maps and weights, of search rl.", kind=int, choices=BIT_WIDTHS)
