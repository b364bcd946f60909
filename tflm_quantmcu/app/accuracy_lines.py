"""What a plan's provenance says of its accuracy, in sentences: the loss, whether that is sure, and the front."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tflm_quantmcu.graph.accuracy_loss import AccuracyLoss, samples_needed


def accuracy_of(search: Mapping[str, Any]) -> dict[str, Any] | None:
    """What a plan's provenance says of accuracy: the fields of its AccuracyLoss, the `bound` in points, and under
    `front` those of the plans that it was chosen from. None where nothing was lowered or nobody asked."""
    scores = search.get("scores")
    if not isinstance(scores, Mapping) or "accuracy_loss" not in scores:
        return None
    return {**scores["accuracy_loss"], "front": list(scores.get("front", ()))}


def accuracy_lines(search: Mapping[str, Any]) -> list[str]:
    """Sentences for people; none where nothing is known."""
    fields = accuracy_of(search)
    if fields is None:
        return []
    front, bound = fields.pop("front"), fields.pop("bound")
    loss = AccuracyLoss.from_fields(fields)
    lines = [loss.sentence]
    if loss.lacks_samples(bound):
        lines.append(f"they are too few to be sure of {bound:g} points: at least {samples_needed(bound)} are needed")
    if len(front) > 1:
        lines.append("chosen of these plans, the first that keeps the bound on accuracy:")
        lines += [f"  {_row(point)}" for point in front]
    return lines


def _row(point: Mapping[str, Any]) -> str:
    decibels = [value for value in point["sqnr_db"] if value is not None]
    lost = f"SQNR {min(decibels):.1f} dB" if decibels else f"{point['points']:.2f} points ({point['limit_points']:.2f})"
    return (
        f"{lost}, arena {point['arena_bytes']:,} bytes, flash {point['flash_bytes']:,} bytes, "
        f"{point['cycles']:,} cycles, {point['bit_ops']:,} BitOPs"
    )
