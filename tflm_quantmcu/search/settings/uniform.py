"""Settings of search uniform."""

from __future__ import annotations

import dataclasses

from tflm_quantmcu.graph.types import BIT_WIDTHS
from tflm_quantmcu.search.settings.base import Settings, setting


@dataclasses.dataclass(frozen=True, kw_only=True)
class UniformSettings(Settings):
    GROUP = "search uniform"

    activation_bits: int = setting(8, "Width of feature maps, of search uniform.", kind=int, choices=BIT_WIDTHS)
    weight_bits: int = setting(8, "Width of weights, of search uniform.", kind=int, choices=BIT_WIDTHS)
