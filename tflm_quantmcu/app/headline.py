"""The first line of a report: whether the model fits, what it takes, and what it costs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from tflm_quantmcu.app.figures import Figures
from tflm_quantmcu.cost.boards import board_of, error_text
from tflm_quantmcu.graph.target import ANY, Target

GOOD, DOUBTFUL, BAD = "good", "doubtful", "bad"


@dataclasses.dataclass(frozen=True)
class Headline:
    """Words for people.

    Attributes:
      level: GOOD: it fits and nothing speaks against it; DOUBTFUL: it fits, and `doubt` is open; BAD: it does not fit.
      verdict: `fits`, `does not fit`, or that there is no bound.
      facts: bytes, milliseconds, points.
      doubt: a sentence; "" without one.
    """

    level: str
    verdict: str
    facts: tuple[str, ...]
    doubt: str

    @property
    def text(self) -> str:
        """One line."""
        return f"{self.verdict}: {', '.join(self.facts)}" + (f" ({self.doubt})" if self.doubt else "")

    def as_dict(self) -> dict[str, Any]:
        """The fields in JSON's types, with the whole as `text`."""
        return {**dataclasses.asdict(self), "facts": list(self.facts), "text": self.text}


def headline_of(
    figures: Figures,
    target: Target,
    sram_bytes: int | None,
    accuracy: Mapping[str, Any] | None,
    *,
    is_equal: bool,
    num_warnings: int,
) -> Headline:
    """The headline of a converted model.

    Args:
      figures: its.
      target: what it was made for.
      sram_bytes: the bound, or None.
      accuracy: as `accuracy_lines.accuracy_of` gives it.
      is_equal: its outputs equal those of the int8 model in every byte.
      num_warnings: on the int8 model beside the Keras model.
    """
    num_bytes = figures.arena_bytes
    where = "any core" if target.core == ANY else target.core
    fits = sram_bytes is None or (num_bytes is not None and num_bytes <= sram_bytes)
    bound = "" if sram_bytes is None else f" of {sram_bytes:,}"
    taken = "bytes not known" if num_bytes is None else f"{num_bytes:,}{bound} bytes on {where}"
    board = board_of(target.timed_core, target.board)
    time = "milliseconds not known"
    if board is not None and figures.milliseconds is not None:
        time = f"{figures.milliseconds:.3g} ms on {board.name} ({error_text(board)})"
    points, doubt = _accuracy(accuracy, is_equal)
    if not doubt and num_warnings:
        doubt = "the int8 model differs from the Keras model: see the warnings"
    level = BAD if not fits else DOUBTFUL if doubt else GOOD
    verdict = "no bound was given" if sram_bytes is None else "fits" if fits else "does not fit"
    return Headline(level, verdict, (taken, time, points), doubt)


def _accuracy(accuracy: Mapping[str, Any] | None, is_equal: bool) -> tuple[str, str]:
    """(points, what is open about them)."""
    if is_equal:
        return "no points lost: outputs equal the int8 model's", ""
    if accuracy is None or accuracy["measured_by"] == "none":
        return "points not known", "no samples say what the widths cost in accuracy"
    if accuracy["measured_by"] == "sqnr":
        decibels = [value for value in accuracy["sqnr_db"] if value is not None]
        return (f"SQNR of the outputs {min(decibels):.1f} dB" if decibels else "outputs equal on the samples"), ""
    if accuracy["measured_by"] == "equality":
        return "no points lost", ""
    found, bound = accuracy["points"], accuracy.get("bound")
    how = "" if accuracy["measured_by"] == "labels" else ", estimated"
    text = f"{-found:+.1f} points on {accuracy['num_samples']:,} samples{how}".replace("-0.0", "0.0").replace(
        "+0.0", "0.0"
    )
    return text, "" if bound is None or found <= bound else f"more than the {bound:g} points that may be lost"
