"""The folder of a public classifier of ImageNet, as `train.py` writes those of the networks that it trains.

    python -m experiments.judging.public --model MODEL.tflite --images DIR --output_dir build/judging/mobilenet_v2_224

DIR has one .JPEG a class, in the order of the classes by file name, so a thousand. The shorter side is resized to 256
pixels, the middle 224x224 are taken, and x = pixel / 127.5 - 1. By `--seed` 64 images calibrate, 236 choose
(`evaluation.npz`) and 700 judge. A model of 1,001 classes has one of its own before the others.
"""

from __future__ import annotations

import pathlib

import numpy as np
from absl import app, flags

from experiments.judging.samples import scaled
from experiments.npz import save_npz
from tflm_quantmcu.base.files import write_atomically
from tflm_quantmcu.runtime.samples import to_model_input
from tflm_quantmcu.tflite.model_file import ModelFile

SIDE, CROP = 256, 224
PARTS = {"calibration": 64, "evaluation": 236, "judge": 700}

_MODEL = flags.DEFINE_string("model", None, "The int8 .tflite.", required=True)
_IMAGES = flags.DEFINE_string("images", None, "Folder of the .JPEG files.", required=True)
_OUTPUT_DIR = flags.DEFINE_string("output_dir", None, "The network's folder.", required=True)
_SEED = flags.DEFINE_integer("seed", 0, "Of the division.")


def main(argv: list[str]) -> None:
    del argv
    paths = sorted(pathlib.Path(_IMAGES.value).glob("*.JPEG"))
    data, folder = pathlib.Path(_MODEL.value).read_bytes(), pathlib.Path(_OUTPUT_DIR.value)
    graph = ModelFile(data).graph
    source, classes = graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]].num_elements
    if len(paths) != sum(PARTS.values()) or classes not in (len(paths), len(paths) + 1):
        raise SystemExit(f"{len(paths)} images and {classes} classes; wanted are a thousand, one image a class")
    folder.mkdir(parents=True, exist_ok=True)
    order = np.random.default_rng(_SEED.value).permutation(len(paths))
    for part, chosen in zip(PARTS, np.split(order, np.cumsum(list(PARTS.values()))[:-1]), strict=True):
        x = scaled(np.stack([picture(paths[i]) for i in chosen]))
        if part == "calibration":
            save_npz(folder / "calibration.npz", x=x)
        else:
            save_npz(folder / f"{part}.npz", x=to_model_input(x, source), y=chosen + classes - len(paths))
    write_atomically(folder / "int8.tflite", data)


def picture(path: pathlib.Path) -> np.ndarray:
    """The middle of an image, uint8 [CROP, CROP, 3]."""
    from PIL import Image  # needed here alone

    image = Image.open(path).convert("RGB")
    size = [max(SIDE, round(length * SIDE / min(image.size))) for length in image.size]
    left, top = ((length - CROP) // 2 for length in size)
    resized = image.resize((size[0], size[1]), Image.Resampling.BILINEAR)
    return np.asarray(resized.crop((left, top, left + CROP, top + CROP)), np.uint8)


if __name__ == "__main__":
    app.run(main)
