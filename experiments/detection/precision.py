"""Mean average precision of detections: decoding, suppression of doubles, and the area under each class's curve.

A detection is right if it overlaps a digit of its class, that no surer one has taken, by at least half (IoU 0.5). The
area is that of all points, as PASCAL VOC counts from 2010 on.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from experiments.detection.network import STRIDES
from experiments.detection.scenes import NUM_CLASSES, Scenes

OVERLAP = 0.5  # of a right detection, and of doubles
LEAST_SCORE, MOST = 0.02, 50  # detections that are kept of a canvas


def mean_average_precision(told: Sequence[np.ndarray], found: Scenes) -> float:
    """mAP@0.5 in percent.

    Args:
      told: what the network tells, real [N, cells, cells, VALUES] for each stride.
      found: the canvases.
    """
    detected: list[list[tuple[float, bool]]] = [[] for _ in range(NUM_CLASSES)]
    for number, (boxes, classes) in enumerate(zip(found.boxes, found.classes, strict=True)):
        kept = _without_doubles(*_decoded([maps[number] for maps in told]))
        for digit in range(NUM_CLASSES):
            detected[digit] += _judged([(s, b) for s, b, c in kept if c == digit], boxes[classes == digit])
    totals = np.bincount(np.concatenate(found.classes), minlength=NUM_CLASSES)
    return 100 * float(np.mean([_area(d, int(n)) for d, n in zip(detected, totals, strict=True) if n]))


def _decoded(maps: Sequence[np.ndarray]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Scores [D], boxes [D, 4] and classes [D] of all cells and classes that are sure enough, the surest first."""
    scores, boxes = [], []
    for stride, values in zip(STRIDES, maps, strict=True):
        flat = values.reshape(-1, values.shape[-1]).astype(np.float64)
        rows, columns = np.divmod(np.arange(len(flat)), values.shape[1])
        centre = (flat[:, :2] + np.stack([columns, rows], axis=1)) * stride
        half = np.exp(np.clip(flat[:, 2:4], -4, 4)) * stride / 2
        boxes.append(np.concatenate([centre - half, centre + half], axis=1))
        shares = np.exp(flat[:, 5:] - flat[:, 5:].max(axis=1, keepdims=True))
        shares /= shares.sum(axis=1, keepdims=True)
        scores.append(shares / (1 + np.exp(-flat[:, 4:5])))
    all_scores = np.concatenate(scores)
    cells, classes = np.nonzero(all_scores >= LEAST_SCORE)
    found = all_scores[cells, classes]
    order = np.argsort(-found, kind="stable")[: 4 * MOST]
    return found[order], np.concatenate(boxes)[cells[order]], classes[order]


def _without_doubles(scores: np.ndarray, boxes: np.ndarray, classes: np.ndarray) -> list[tuple[float, np.ndarray, int]]:
    kept: list[tuple[float, np.ndarray, int]] = []
    for score, box, digit in zip(scores, boxes, classes, strict=True):
        same = np.array([b for _, b, c in kept if c == digit])
        if len(kept) < MOST and (not len(same) or overlaps(box, same).max() < OVERLAP):
            kept.append((float(score), box, int(digit)))
    return kept


def _judged(detected: Sequence[tuple[float, np.ndarray]], boxes: np.ndarray) -> list[tuple[float, bool]]:
    """Each detection's score and whether it is right; they come with the surest first."""
    taken: set[int] = set()
    judged = []
    for score, box in detected:
        shares = overlaps(box, boxes) if len(boxes) else np.zeros(0)
        best = int(shares.argmax()) if len(shares) else -1
        is_right = best >= 0 and shares[best] >= OVERLAP and best not in taken
        taken |= {best} if is_right else set()
        judged.append((score, is_right))
    return judged


def overlaps(box: np.ndarray, others: np.ndarray) -> np.ndarray:
    """Intersection over union of a box [4] with others [N, 4]: left, top, right, bottom."""
    size = np.maximum(np.minimum(box[2:], others[:, 2:]) - np.maximum(box[:2], others[:, :2]), 0)
    shared = size.prod(axis=1)
    return shared / (np.prod(box[2:] - box[:2]) + (others[:, 2:] - others[:, :2]).prod(axis=1) - shared)


def _area(detected: Sequence[tuple[float, bool]], total: int) -> float:
    """The area under precision against recall."""
    is_right = np.array([right for _, right in sorted(detected, key=lambda d: -d[0])], bool)
    hits = np.cumsum(is_right)
    precision = hits / np.arange(1, len(hits) + 1)
    best = np.maximum.accumulate(precision[::-1])[::-1]
    return float(np.sum(best[is_right]) / total)
