"""Networks that are measured for their shapes: random weights, whose values do not die out on the way to the output."""

from __future__ import annotations

import numpy as np

from tflm_quantmcu.keras_bridge.to_tflite import keras, keras_to_int8

MOBILENET_V2_BLOCKS = 16


def mobilenet_v2(alpha: float, size: int, *, num_blocks: int = MOBILENET_V2_BLOCKS) -> bytes:
    """MobileNetV2 as Keras has it, without softmax, as an int8 `.tflite`.

    Args:
      alpha: of its channels.
      size: height and width of its input.
      num_blocks: of its inverted residuals with an expansion, 1 to 16; of fewer the last goes into the classifier.
    """
    keras.utils.set_random_seed(0)
    model = keras.applications.MobileNetV2((size, size, 3), alpha=alpha, weights=None, classifier_activation=None)
    if num_blocks < MOBILENET_V2_BLOCKS:
        following = model.get_layer(f"block_{num_blocks + 1}_expand")
        features = keras.layers.GlobalAveragePooling2D()(following.input)
        model = keras.Model(model.input, keras.layers.Dense(1000)(features))
    x = np.random.default_rng(0).normal(size=(4, size, size, 3)).astype(np.float32)
    for layer in model.layers:
        if isinstance(layer, keras.layers.BatchNormalization):
            layer.momentum = 0.0  # takes this batch's statistics
    model(x, training=True)
    return keras_to_int8(model, x)
