"""Trains the networks that choose and judge, and writes the samples that each is measured with.

    python -m experiments.judging.train --data_dir ../shared/data/samples --output_dir build/judging

Of each network, in a folder of its name: model.keras; int8.tflite; calibration.npz (256 images of those trained on);
evaluation.npz and judge.npz (labelled, int8, as the .tflite takes them). A folder that has its int8.tflite is left as
it is, so that the command goes on where it was ended.

Another machine's training differs in the last bits, and its accuracies by the chance of training. So the int8 files
whose figures docs/comparison.md gives are kept in `weights/`; `--kept` takes these and trains nothing, and all that is
measured from there on is of integers, equal everywhere.
"""

from __future__ import annotations

import pathlib

import numpy as np
from absl import app, flags

from experiments.judging.networks import NETWORKS, WEIGHTS, JudgingNetwork
from experiments.judging.samples import DATA, STEP, Samples, enlarged, scaled
from experiments.npz import save_npz
from tflm_quantmcu.base.files import write_atomically
from tflm_quantmcu.keras_bridge.to_tflite import keras, keras_to_int8, tf
from tflm_quantmcu.runtime.samples import to_model_input
from tflm_quantmcu.tflite.model_file import ModelFile

NUM_CALIBRATION, BATCH = 256, 64

_DATA_DIR = flags.DEFINE_string("data_dir", None, "Folder of the .npz files.", required=True)
_OUTPUT_DIR = flags.DEFINE_string("output_dir", "build/judging", "Folder of the results.")
_NETWORKS = flags.DEFINE_list("networks", list(NETWORKS), "Which; the default is all, in order.")
_KEPT = flags.DEFINE_bool("kept", False, "Take the int8 files of weights/ instead of training.")
_THREADS = flags.DEFINE_integer("threads", 1, "Of TensorFlow.")


def main(argv: list[str]) -> None:
    del argv
    tf.config.threading.set_intra_op_parallelism_threads(_THREADS.value)
    tf.config.threading.set_inter_op_parallelism_threads(1)
    for name in _NETWORKS.value:
        folder, kept = pathlib.Path(_OUTPUT_DIR.value, name), WEIGHTS / f"{name}.tflite"
        if _KEPT.value and not kept.exists():
            print(f"{name}: none is kept")
        elif not (folder / "int8.tflite").exists():
            folder.mkdir(parents=True, exist_ok=True)
            samples = DATA[NETWORKS[name].data](pathlib.Path(_DATA_DIR.value))
            file = kept.read_bytes() if _KEPT.value else made(NETWORKS[name], samples, folder)
            prepare(NETWORKS[name], samples, file, folder)


def made(network: JudgingNetwork, samples: Samples, folder: pathlib.Path) -> bytes:
    """The int8 file of a network that is trained anew."""
    x = enlarged(samples.train[0], network.side)
    model = trained(network, x, samples.train[1])
    model.save(folder / "model.keras")
    real = scaled(enlarged(samples.evaluation[0], network.side))
    right = np.mean(model.predict(real, batch_size=256, verbose=0).argmax(axis=1) == samples.evaluation[1])
    print(f"{folder.name}: {right:.2%} of {len(real)} images of evaluation right in floats", flush=True)
    return keras_to_int8(model, scaled(x[:NUM_CALIBRATION]))


def prepare(network: JudgingNetwork, samples: Samples, file: bytes, folder: pathlib.Path) -> None:
    """Writes a network's folder, int8.tflite last."""
    graph = ModelFile.of(file).graph
    source = graph.tensors[graph.inputs[0]]
    save_npz(folder / "calibration.npz", x=scaled(enlarged(samples.train[0][:NUM_CALIBRATION], network.side)))
    for part in ("evaluation", "judge"):
        images, labels = getattr(samples, part)
        real = scaled(enlarged(images, network.side))
        save_npz(folder / f"{part}.npz", x=to_model_input(real, source), y=labels)
    write_atomically(folder / "int8.tflite", file)


def trained(network: JudgingNetwork, x: np.ndarray, y: np.ndarray) -> keras.Model:
    """The network trained on images uint8 [N, side, side, C]; but for digits, half of them mirrored."""
    keras.utils.set_random_seed(network.seed)
    inputs = keras.Input(x.shape[1:])
    model = keras.Model(inputs, network.build(inputs))
    batches = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(len(x), seed=network.seed).batch(BATCH)
    batches = batches.map(lambda image, label: (_real(image, mirrored=network.data != "digits"), label))
    steps = network.epochs * len(batches)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0, steps - steps // 10, warmup_target=network.learning_rate, warmup_steps=steps // 10
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile(keras.optimizers.Adam(rate), loss, metrics=["accuracy"])
    model.fit(batches, epochs=network.epochs, verbose=2)
    return model


def _real(image: tf.Tensor, *, mirrored: bool) -> tf.Tensor:
    real = tf.cast(image, tf.float32) / STEP - 1
    return tf.image.random_flip_left_right(real) if mirrored else real


if __name__ == "__main__":
    app.run(main)
