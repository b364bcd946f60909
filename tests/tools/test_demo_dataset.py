"""The demo's data: no leakage, one digit a canvas, the same bytes every time."""

from __future__ import annotations

import numpy as np
import pytest

pytest.importorskip("sklearn", reason="the demo's data need scikit-learn: pip install -e .[demo]")

pytest.importorskip("tensorflow", reason="the demo's training needs TensorFlow: pip install -e .[keras]")

from tflm_quantmcu.app.demo import FOLDER, MODEL, SAMPLES
from tools.demo import dataset, train
from tools.demo.dataset import Split


def test_same_arguments_give_the_same_bytes():
    first, second = (dataset.compose(Split.TRAIN, 4, seed=3) for _ in range(2))
    assert first.x.tobytes() == second.x.tobytes()
    assert first.y.tobytes() == second.y.tobytes()


def test_canvases_are_ink_between_zero_and_one():
    samples = dataset.compose(Split.HELD_OUT, 16, seed=3)
    assert samples.x.shape == (16, dataset.CANVAS, dataset.CANVAS, 1)
    assert samples.x.dtype == np.float32
    assert samples.x.min() >= 0 and samples.x.max() <= 1
    assert set(samples.y) <= set(range(dataset.NUM_CLASSES))


def test_held_out_handwriting_is_never_in_training():
    (train, _), (held_out, _) = (dataset.handwriting(split) for split in Split)
    assert len(train) + len(held_out) == 1797
    assert not {image.tobytes() for image in train} & {image.tobytes() for image in held_out}


def test_the_package_has_the_samples_that_are_drawn_here():
    drawn = train.packed_samples((FOLDER / MODEL).read_bytes())
    with np.load(FOLDER / SAMPLES) as packed:
        assert set(packed.files) == set(drawn)
        for name, values in drawn.items():
            assert packed[name].dtype == values.dtype
            np.testing.assert_array_equal(packed[name], values)


def test_the_package_has_the_weights_of_the_network():
    model, _ = train.load()
    held_out = train.held_out_samples(64)
    assert train.accuracy(model.predict(held_out.x, verbose=0), held_out.y) > 0.85
