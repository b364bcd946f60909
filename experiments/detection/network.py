"""A small detector of YOLO's shape, its targets, its loss and its training.

Two maps of cells score digits: one of small cells for small digits, one of cells twice as large. The deeper map is
enlarged by nearest neighbours and concatenated to the shallower one. A cell that the centre of a digit falls into tells
its box and its class: VALUES numbers, [box, objectness, classes]. A box is the centre's place in the cell and the
logarithm of its size in cells.
"""

from __future__ import annotations

import pathlib

import numpy as np

from experiments.detection.scenes import NUM_CLASSES, SIDE, Scenes, scenes
from experiments.npz import save_npz
from tflm_quantmcu.keras_bridge.to_tflite import keras, tf

WEIGHTS = pathlib.Path("build/detection/weights.npz")
STRIDES = (8, 16)  # pixels a cell
LARGE = 30  # pixels from which digits are told by the large cells
VALUES = 5 + NUM_CLASSES
SEED, NUM_TRAIN, BATCH, LEARNING_RATE = 0, 6_000, 32, 5e-3
POSITIVE_WEIGHT, BOX_WEIGHT, CLASS_WEIGHT = 4.0, 2.0, 1.0


def network() -> keras.Model:
    """The detector: [SIDE, SIDE, 1] -> real [SIDE / stride, SIDE / stride, VALUES] for each stride."""
    inputs = keras.Input((SIDE, SIDE, 1))
    x = _conv(inputs, 8, stride=2)
    x = _conv(x, 16, stride=2)
    x = _conv(x, 24, stride=2)
    shallow = _residual(x, 24)
    x = _conv(shallow, 40, stride=2)
    deep = _residual(_residual(x, 40), 40)
    top = _conv(deep, 24, 1)
    joined = keras.layers.Concatenate()([keras.layers.UpSampling2D(2, interpolation="nearest")(top), shallow])
    small = _conv(_conv(joined, 24, 1), 24)
    outputs = [keras.layers.Conv2D(VALUES, 1, name=name)(m) for name, m in (("small", small), ("large", deep))]
    return keras.Model(inputs, outputs)


def kept_network() -> keras.Model:
    """The detector with the weights that `save_weights` kept."""
    model = network()
    with np.load(WEIGHTS) as archive:
        model.set_weights([archive[f"w{i}"].astype(np.float32) for i in range(len(archive.files))])
    return model


def save_weights(model: keras.Model) -> None:
    """Keeps a detector's weights, at half precision."""
    WEIGHTS.parent.mkdir(parents=True, exist_ok=True)
    save_npz(WEIGHTS, **{f"w{i}": w.astype(np.float16) for i, w in enumerate(model.get_weights())})


def _conv(x: keras.KerasTensor, filters: int, kernel: int = 3, *, stride: int = 1) -> keras.KerasTensor:
    """Convolution, batch normalisation, SiLU."""
    x = keras.layers.Conv2D(filters, kernel, strides=stride, padding="same", use_bias=False)(x)
    return keras.layers.Activation("silu")(keras.layers.BatchNormalization(momentum=0.9)(x))


def _residual(x: keras.KerasTensor, filters: int) -> keras.KerasTensor:
    return keras.layers.Add()([x, _conv(_conv(x, filters // 2, 1), filters)])


def targets(found: Scenes) -> list[np.ndarray]:
    """What each cell should tell, float32 [N, cells, cells, VALUES] for each stride: box, objectness, class."""
    wanted = [np.zeros((len(found.x), SIDE // s, SIDE // s, VALUES), np.float32) for s in STRIDES]
    for number, (boxes, classes) in enumerate(zip(found.boxes, found.classes, strict=True)):
        for box, digit in zip(boxes, classes, strict=True):
            size = box[2] - box[0]
            level = int(size >= LARGE)
            at = (box[:2] + box[2:]) / (2 * STRIDES[level])
            cell = wanted[level][number, int(at[1]), int(at[0])]
            cell[:4] = [*(at % 1), *np.log((box[2:] - box[:2]) / STRIDES[level])]
            cell[4] = 1
            cell[5:] = np.arange(NUM_CLASSES) == digit
    return wanted


def trained(epochs: int, *, seed: int = SEED) -> keras.Model:
    """The detector, trained on NUM_TRAIN canvases."""
    keras.utils.set_random_seed(seed)
    model = network()
    seen = scenes(NUM_TRAIN, seed=seed, is_test=False)
    batches = tf.data.Dataset.from_tensor_slices((seen.x, tuple(targets(seen))))
    batches = batches.shuffle(NUM_TRAIN, seed=seed).batch(BATCH)
    steps = epochs * len(batches)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, steps - steps // 10, warmup_target=LEARNING_RATE, warmup_steps=steps // 10
    )
    model.compile(keras.optimizers.Adam(rate), [_loss, _loss])
    model.fit(batches, epochs=epochs, verbose=2)
    return model


def _loss(wanted: tf.Tensor, told: tf.Tensor) -> tf.Tensor:
    is_digit = wanted[..., 4]
    found = tf.nn.weighted_cross_entropy_with_logits(is_digit, told[..., 4], POSITIVE_WEIGHT)
    box = tf.reduce_sum(tf.abs(wanted[..., :4] - told[..., :4]), axis=-1)
    digit = tf.nn.softmax_cross_entropy_with_logits(wanted[..., 5:], told[..., 5:])
    return tf.reduce_sum(found + is_digit * (BOX_WEIGHT * box + CLASS_WEIGHT * digit), axis=(1, 2))
