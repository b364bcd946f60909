"""The folder of a public classifier of ImageNet, as `train.py` writes those of the networks that it trains.

    python -m experiments.judging.public --model MODEL.tflite --images DIR --output_dir build/judging/mobilenet_v2_224

DIR has one .JPEG a class, in the order of the classes by file name, so a thousand. The shorter side is resized to 256
pixels, the middle 224x224 are taken, and x = pixel / 127.5 - 1. By `--seed` 64 images calibrate, 236 choose
(`evaluation.npz`) and 700 judge. A model of 1,001 classes has one of its own before the others.
"""

from __future__ import annotations

import argparse
import pathlib

import numpy as np

from experiments.judging.samples import scaled
from experiments.npz import save_npz
from tflm_quantmcu.base.files import write_atomically
from tflm_quantmcu.runtime.samples import to_model_input
from tflm_quantmcu.tflite.model_file import ModelFile

SIDE, CROP = 256, 224
PARTS = {"calibration": 64, "evaluation": 236, "judge": 700}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m experiments.judging.public")
    parser.add_argument("--model", type=pathlib.Path, required=True, help="the int8 .tflite")
    parser.add_argument("--images", type=pathlib.Path, required=True, help="folder of the .JPEG files")
    parser.add_argument("--output_dir", type=pathlib.Path, required=True, help="the network's folder")
    parser.add_argument("--seed", type=int, default=0, help="of the division")
    asked = parser.parse_args()
    paths = sorted(asked.images.glob("*.JPEG"))
    data, folder = asked.model.read_bytes(), asked.output_dir
    graph = ModelFile(data).graph
    source, classes = graph.tensors[graph.inputs[0]], graph.tensors[graph.outputs[0]].num_elements
    if len(paths) != sum(PARTS.values()) or classes not in (len(paths), len(paths) + 1):
        raise SystemExit(f"{len(paths)} images and {classes} classes; wanted are a thousand, one image a class")
    folder.mkdir(parents=True, exist_ok=True)
    order = np.random.default_rng(asked.seed).permutation(len(paths))
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
    main()
