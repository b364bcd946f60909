"""What a plan costs in accuracy, as far as samples tell, and when that keeps a bound."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

CONFIDENCE_Z = 1.2816  # standard deviations of a one-sided limit of 90 %
LIMIT_SLACK = 1.0  # points that the limit may lie above the bound
MIN_SQNR_DB = 20.0  # of each output that is no classes


@dataclasses.dataclass(frozen=True)
class AccuracyLoss:
    """Loss of accuracy against the unchanged int8 model.

    Attributes:
      measured_by: labels, of the samples' own; scores, an estimate from those of the unchanged model; sqnr, of outputs
        that are no classes; equality, of a plan that computes what the model does; none, where no samples are known.
      num_samples: measured on.
      points: percent of samples that are right no more, less those that became right.
      upper_points: one-sided 90 % limit of it.
      num_changed: samples with another first class.
      sqnr_db: of each output, variance over mean squared error, in dB.
    """

    measured_by: str
    num_samples: int
    points: float = 0.0
    upper_points: float = 0.0
    num_changed: int = 0
    sqnr_db: tuple[float, ...] = ()

    @staticmethod
    def of_samples(measured_by: str, losses: np.ndarray, num_changed: int) -> AccuracyLoss:
        """The loss of samples from each one's, float64 [N] from -1 to 1.

        The limit counts one lost sample more than was seen: of N samples without any change that is 2.3 / N, as the
        exact limit of a rate of which nothing was seen.
        """
        seen = np.append(losses, 1.0)
        upper = seen.mean() + CONFIDENCE_Z * seen.std() / math.sqrt(len(seen))
        return AccuracyLoss(measured_by, len(losses), 100 * float(losses.mean()), 100 * float(upper), num_changed)

    @staticmethod
    def of_estimate(points: float, error: float, num_samples: int, num_changed: int) -> AccuracyLoss:
        """A loss estimated from scores with this standard error, in points.

        Of samples that lose nothing the limit is that of a rate of which nothing was seen, as of `of_samples`.
        """
        unseen = AccuracyLoss.of_samples("scores", np.zeros(num_samples), 0).upper_points
        return AccuracyLoss("scores", num_samples, points, max(points + CONFIDENCE_Z * error, unseen), num_changed)

    @staticmethod
    def of_outputs(num_samples: int, sqnr_db: Sequence[float]) -> AccuracyLoss:
        return AccuracyLoss("sqnr", num_samples, sqnr_db=tuple(sqnr_db))

    def keeps(self, bound: float) -> bool:
        """Whether the loss is at most `bound` points, and its limit at most LIMIT_SLACK above; of outputs that are no
        classes, whether each has MIN_SQNR_DB."""
        if self.measured_by == "equality":
            return True
        if self.measured_by == "sqnr":
            return min(self.sqnr_db) >= MIN_SQNR_DB
        return self.measured_by != "none" and self.points <= bound and self.upper_points <= bound + LIMIT_SLACK

    def lacks_samples(self, bound: float) -> bool:
        """Whether not even a plan that changes nothing could show that it keeps the bound."""
        return self.measured_by in ("labels", "scores") and self.num_samples < samples_needed(bound)

    @property
    def sentence(self) -> str:
        if self.measured_by == "none":
            return "what the widths cost in accuracy is not known, for there are no samples"
        if self.measured_by == "equality":
            return "nothing is lost: all widths are 8 bits"
        if self.measured_by == "sqnr":
            least = min(self.sqnr_db)
            return f"the least SQNR of an output is {least:.1f} dB on {self.num_samples:,} samples"
        how = "labelled samples" if self.measured_by == "labels" else "samples, estimated from their scores"
        return (
            f"{self.points:.2f} points of accuracy are lost (90 % limit {self.upper_points:.2f}) on "
            f"{self.num_samples:,} {how}; {self.num_changed:,} have another first class"
        )

    def to_fields(self) -> dict[str, Any]:
        """The fields in JSON's types; an infinite SQNR is None."""
        fields = {**dataclasses.asdict(self), "sqnr_db": [None if math.isinf(v) else v for v in self.sqnr_db]}
        return {name: round(value, 4) if isinstance(value, float) else value for name, value in fields.items()}

    @staticmethod
    def from_fields(fields: dict[str, Any]) -> AccuracyLoss:
        decibels = tuple(math.inf if value is None else value for value in fields["sqnr_db"])
        return AccuracyLoss(**{**fields, "sqnr_db": decibels})


def samples_needed(bound: float) -> int:
    """The fewest samples on which a plan that changes none of them keeps a bound, in points."""
    return math.ceil(100 * (1 + CONFIDENCE_Z) / (bound + LIMIT_SLACK)) - 1
