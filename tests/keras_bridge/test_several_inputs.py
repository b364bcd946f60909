"""Keras models with several inputs are converted with the data that their users have."""

from __future__ import annotations

import numpy as np
import pytest

import tflm_quantmcu as qm
from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.keras_bridge.keras_quietly import keras, tf
from tflm_quantmcu.keras_bridge.load import load_keras
from tflm_quantmcu.keras_bridge.several_inputs import arrays_by_input
from tflm_quantmcu.tflite.reader import read_model

RNG = np.random.default_rng(0)
IMAGES, VECTORS = RNG.normal(size=(6, 24, 24, 2)).astype(np.float32), RNG.normal(size=(6, 5)).astype(np.float32)


def model() -> keras.Model:
    image, vector = keras.Input((24, 24, 2), name="image"), keras.Input((5,), name="vector")
    x = keras.layers.Conv2D(8, 3, activation="relu")(image)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3, activation="relu")(x))
    return keras.Model([image, vector], keras.layers.Dense(3)(keras.layers.Concatenate()([x, vector])))


def test_a_model_of_two_inputs_is_split_and_equals_tflm():
    result = qm.convert(model(), calibration_data=[IMAGES, VECTORS], search="uniform", progress=False)
    assert result.report.verification.is_same_function
    assert {t.shape for t in read_model(result.model).input_tensors} == {(1, 24, 24, 2), (1, 5)}
    before, after = result.report.baseline, result.report.converted
    assert after.recorded_non_persistent_bytes < before.recorded_non_persistent_bytes


def test_data_come_as_lists_dicts_and_files(tmp_path):
    np.savez(tmp_path / "x.npz", vector=VECTORS, image=IMAGES)
    for data in ([IMAGES, VECTORS], {"vector": VECTORS, "image": IMAGES}, tmp_path / "x.npz"):
        for wanted, found in zip((IMAGES, VECTORS), arrays_by_input(model(), data), strict=True):
            np.testing.assert_array_equal(found, wanted)


@pytest.mark.parametrize(
    ("data", "sentence"),
    [
        ({"image": IMAGES}, "a key for each, and 'vector' is missing"),
        (IMAGES, "needed is a list with an array"),
        ([IMAGES, VECTORS[:2]], "as many samples for each"),
    ],
)
def test_other_data_are_refused_with_the_names_of_the_inputs(data, sentence):
    with pytest.raises(UsageError, match=f"has the inputs image, vector; .*{sentence}"):
        arrays_by_input(model(), data)


class Fusion(tf.Module):
    """No Keras model, of two inputs in another order than that of their names."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = tf.Variable(RNG.normal(size=(7, 2)).astype(np.float32))

    @tf.function(input_signature=[tf.TensorSpec((None, 4), name="motion"), tf.TensorSpec((None, 3), name="heat")])
    def fuse(self, motion: tf.Tensor, heat: tf.Tensor) -> dict[str, tf.Tensor]:
        return {"y": tf.matmul(tf.concat([motion, 2 * heat], 1), self.weights)}


def test_a_saved_model_of_several_inputs_takes_them_by_name(tmp_path):
    fusion = Fusion()
    tf.saved_model.save(fusion, str(tmp_path / "m"), signatures=fusion.fuse)
    data = {"motion": RNG.normal(size=(6, 4)).astype(np.float32), "heat": RNG.normal(size=(6, 3)).astype(np.float32)}
    loaded = load_keras(tmp_path / "m")
    np.testing.assert_allclose(loaded.predict(data, verbose=0), fusion.fuse(**data)["y"], atol=1e-5)
    np.savez(tmp_path / "x.npz", **data)
    result = qm.convert(tmp_path / "m", calibration_data=tmp_path / "x.npz", search="uniform", progress=False)
    assert result.report.verification.is_same_function
    names = {tensor.shape: tensor.name for tensor in read_model(result.model).input_tensors}
    assert set(names) == {(1, 4), (1, 3)}
