"""The bound on accuracy that all searches keep."""

from __future__ import annotations

import dataclasses

from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.search.settings.base import Settings, setting

DEFAULT_DROP = 0.5
OFF = "off"


@dataclasses.dataclass(frozen=True, kw_only=True)
class AccuracySettings(Settings):
    GROUP = "what you want"

    max_accuracy_drop: str | float | None = setting(
        None,
        f"Points of accuracy that fewer bits may cost, on --evaluation_data or, without labels, estimated from the "
        f"calibration samples; off: any. Default {DEFAULT_DROP}, but of widths that are set by hand, whose loss is "
        f"only said.",
        kind=str,
        brief="points of accuracy that it may cost (0.5), or off",
        value="POINTS",
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_accuracy_drop is not None and self.max_accuracy_drop != OFF:
            object.__setattr__(self, "max_accuracy_drop", _points(self.max_accuracy_drop))

    @property
    def is_off(self) -> bool:
        return self.max_accuracy_drop == OFF

    @property
    def bound(self) -> float:
        """The bound in points; of `off` the default, for what is said."""
        given = self.max_accuracy_drop
        return given if isinstance(given, float) else DEFAULT_DROP


def _points(text: str | float) -> float:
    try:
        points = float(text)
    except ValueError:
        points = -1.0
    if not 0 <= points <= 100:
        raise UsageError(f"--max_accuracy_drop is {text}; it must be {OFF} or points from 0 to 100")
    return points
