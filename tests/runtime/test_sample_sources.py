"""Inputs in every form that Keras and TFLite users have them in give the array that they stand for."""

from __future__ import annotations

import numpy as np
import pytest

import tflm_quantmcu as qm
from tests.support.tiny_keras import SHAPE, functional_cnn, samples
from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.keras_bridge.to_tflite import keras, tf
from tflm_quantmcu.runtime.sample_sources import gather_samples

X, Y = samples(12)


class _Batches(keras.utils.PyDataset):
    def __len__(self):
        return 3

    def __getitem__(self, index):
        return X[4 * index : 4 * index + 4], Y[4 * index : 4 * index + 4]


class _Endless:
    def __iter__(self):
        while True:
            yield from X


FORMS = {
    "array": X,
    "tensor": tf.constant(X),
    "list of samples": list(X),
    "tuple of samples": tuple(X),
    "list of batches": [X[:5], X[5:]],
    "nested lists": X.tolist(),
    "labelled": (X, Y),
    "dict": {"image": X, "label": Y},
    "npz's dict": {"x": X, "y": Y},
    "only key": {"whatever": X},
    "representative_dataset": lambda: ([x[None]] for x in X),
    "representative_dataset by name": lambda: ({"image": x[None]} for x in X),
    "generator of samples": (x for x in X),
    "generator of labelled samples": ((x, y) for x, y in zip(X, Y, strict=True)),
    "dataset": tf.data.Dataset.from_tensor_slices(X),
    "batched dataset": tf.data.Dataset.from_tensor_slices((X, Y)).batch(5),
    "dataset of dicts": tf.data.Dataset.from_tensor_slices({"image": X, "label": Y}).batch(5),
    "PyDataset": _Batches(),
    "no end": _Endless(),
}


@pytest.mark.parametrize("form", FORMS)
def test_every_form_gives_the_samples(form):
    found = gather_samples(FORMS[form], rank=4, input_name="image", max_samples=len(X))
    assert found.shape == X.shape
    np.testing.assert_array_equal(found.astype(np.float32), X)


def test_vectors_are_no_batches():
    vectors = X.reshape(len(X), -1)
    for data in (list(vectors), vectors.tolist(), ((v, 1) for v in vectors), lambda: ([v[None]] for v in vectors)):
        found = gather_samples(data, rank=2, input_name=None, max_samples=len(X))
        np.testing.assert_array_equal(found.astype(np.float32), vectors)


def test_iterables_are_asked_for_no_more_than_needed():
    given = iter(X)
    np.testing.assert_array_equal(gather_samples(given, rank=4, input_name=None, max_samples=5), X[:5])
    assert len(list(given)) == len(X) - 5


@pytest.mark.parametrize(
    "data, sentence",
    [
        ([], "calibration_data is empty"),
        (iter(()), "calibration_data is empty"),
        (5, "calibration_data is of type int; supported are arrays"),
        (lambda: 5, "calibration_data is of type int"),
        ({"a": X, "b": Y}, "calibration_data has the keys 'a', 'b'; needed is 'image' or 'x'"),
        ([X[0], X[0, :5]], r"calibration_data has items of shapes \(1, 8, 6, 2\) and \(5, 6, 2\)"),
        ([[[1.0], [1.0, 2.0]]], "calibration_data has samples of several shapes"),
    ],
)
def test_what_gives_no_samples_is_refused(data, sentence):
    with pytest.raises(UsageError, match=sentence):
        gather_samples(data, rank=4, input_name="image", max_samples=8)


def test_models_are_calibrated_on_them_alike():
    model = functional_cnn(SHAPE)
    wanted = qm.calibrate_model(model, X, progress=False)
    for form in ("representative_dataset", "dict", "batched dataset"):
        found = qm.calibrate_model(model, FORMS[form], progress=False)
        assert found.model == wanted.model
        again = qm.calibrate_model(wanted.model, FORMS[form], progress=False)
        np.testing.assert_array_equal(again.samples, wanted.samples)
