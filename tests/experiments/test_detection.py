"""The detection experiment: canvases are what is said of them, and precision is right where it can be told by hand."""

from __future__ import annotations

import numpy as np
import pytest

from experiments.detection.network import STRIDES, VALUES, network, targets
from experiments.detection.precision import _area, mean_average_precision, overlaps
from experiments.detection.scenes import NUM_CLASSES, SIDE, Scenes, scenes

FOUND = scenes(24, seed=3, is_test=True)
SURE = 10.0  # a score whose chance is 1


def _told(found: Scenes) -> list[np.ndarray]:
    """What a network that knows everything tells."""
    told = targets(found)
    for values in told:
        values[..., 4:] = np.where(values[..., 4:] > 0, SURE, -SURE)
    return told


def test_canvases_are_the_same_ones_each_time_and_others_than_in_training() -> None:
    again, training = scenes(24, seed=3, is_test=True), scenes(24, seed=3, is_test=False)
    np.testing.assert_array_equal(FOUND.x, again.x)
    assert not np.array_equal(FOUND.x, training.x)
    assert FOUND.x.shape == (24, SIDE, SIDE, 1) and FOUND.x.min() >= 0
    assert all(len(boxes) == len(classes) > 0 for boxes, classes in zip(FOUND.boxes, FOUND.classes, strict=True))


def test_a_network_that_knows_everything_has_all_of_the_precision() -> None:
    assert mean_average_precision(_told(FOUND), FOUND) > 95  # two centres in one cell cost one of them


def test_of_boxes_elsewhere_and_of_none_nothing_is_right() -> None:
    told = _told(FOUND)
    for values in told:
        values[..., 2:4] -= 2
    assert mean_average_precision(told, FOUND) == 0
    for values in told:
        values[..., 4] = -SURE
    assert mean_average_precision(told, FOUND) == 0


def test_the_network_tells_what_targets_want() -> None:
    shapes = [tuple(output.shape) for output in network().outputs]
    assert shapes == [(None, SIDE // stride, SIDE // stride, VALUES) for stride in STRIDES]
    assert [values.shape[1:] for values in targets(FOUND)] == [shape[1:] for shape in shapes]
    assert VALUES == 5 + NUM_CLASSES


def test_overlaps_are_intersection_over_union() -> None:
    others = np.array([[0, 0, 10, 10], [5, 0, 15, 10], [20, 20, 30, 30]])
    np.testing.assert_allclose(overlaps(np.array([0, 0, 10, 10]), others), [1, 1 / 3, 0])


@pytest.mark.parametrize(
    "detected, expected",
    (
        ([(0.9, True), (0.8, True)], 1.0),
        ([(0.9, True), (0.8, False)], 0.5),
        ([(0.9, False), (0.8, True)], 0.25),
        ([(0.9, True), (0.8, False), (0.7, True)], 0.5 + 1 / 3),
        ([], 0.0),
    ),
)
def test_the_area_is_that_of_all_points(detected, expected) -> None:
    assert _area(detected, 2) == pytest.approx(expected)
