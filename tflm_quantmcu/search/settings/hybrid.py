"""Settings of search hybrid, beside those of search memory_driven, whose plan it must not be behind."""

from __future__ import annotations

import dataclasses

from tflm_quantmcu.graph.types import BIT_WIDTHS
from tflm_quantmcu.search.settings.base import Settings, at_least, setting

HYBRID_REGULARISERS = ("bit_ops", "cycles")


@dataclasses.dataclass(frozen=True, kw_only=True)
class HybridSettings(Settings):
    GROUP = "search hybrid"

    hybrid_steps: int = setting(200, "Steps that search hybrid trains its gates.", kind=int, check=at_least(1))
    hybrid_batch: int = setting(32, "Samples of each step of search hybrid.", kind=int, check=at_least(1))
    hybrid_mu0: float = setting(
        0.003,
        "Weight of the work against the error of the scores, of search hybrid: more lowers more; 0.01 and above expect "
        "to fine-tune.",
        kind=float,
        check=at_least(0),
    )
    hybrid_regulariser: str = setting(
        "bit_ops",
        "The work that search hybrid weighs: BitOPs, or cycles on --core.",
        kind=str,
        choices=HYBRID_REGULARISERS,
    )
    hybrid_min_bits: int = setting(
        2, "Smallest width of maps and weights, of search hybrid.", kind=int, choices=BIT_WIDTHS
    )
