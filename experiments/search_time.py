"""How long calibration and searches take, against the number of layers and of calibration images.

    python -m experiments.search_time [--blocks 4 --blocks 8] [--images 16 --images 64] [--num_images 64]

Prints a Markdown table of CPU seconds of one process: MobileNetV2 1.0 at 224x224, cut behind each number of its blocks
and calibrated on --num_images images; then whole, calibrated on each number of --images. Images are made up: a rough
background with an object in the middle, so that some patches hold outliers. With OPENBLAS_NUM_THREADS=1 in the
environment no second is counted in which one thread waits for another.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar

import numpy as np
from absl import app, flags
from scipy import ndimage

import tflm_quantmcu as qm
from tflm_quantmcu.arena.predict import predict_arena
from tflm_quantmcu.graph.calibration_result import CalibrationResult
from tflm_quantmcu.graph.types import ModelGraph
from tflm_quantmcu.tflite.reader import read_model

_ALPHA, _SIZE, _ALL_BLOCKS = 1.0, 224, 16
_BLOCKS = flags.DEFINE_multi_integer("blocks", [4, 8, 12, _ALL_BLOCKS], "Inverted residuals of the networks.")
_IMAGES = flags.DEFINE_multi_integer("images", [16, 64, 256], "Numbers of calibration images, of the whole network.")
_NUM_IMAGES = flags.DEFINE_integer("num_images", 64, "Calibration images of the networks that are cut.")

_PLAIN = {"compensation": "off"}
# Column -> options, and shares of the unsplit arena and of the `.tflite` that are the budget.
_SEARCHES: Mapping[str, tuple[dict[str, Any], float | None, float | None]] = {
    "vdqs": ({"search": "vdqs"}, 0.3, None),
    "without compensation": ({"search": "vdqs", **_PLAIN}, 0.3, None),
    "smallest arena, streamed, without": ({"search": "vdqs", "input": "streamed", **_PLAIN}, None, None),
    "memory_driven": ({"search": "memory_driven"}, 0.6, 0.75),
    "without compensation ": ({"search": "memory_driven", **_PLAIN}, 0.6, 0.75),
}
_Result = TypeVar("_Result")


def main(argv: list[str]) -> None:
    del argv
    from experiments.networks import mobilenet_v2  # TensorFlow takes seconds to import

    columns = ("ops", "images", "calibration", *_SEARCHES)
    print(f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}", flush=True)
    cut = [(n, _NUM_IMAGES.value) for n in _BLOCKS.value if n != _ALL_BLOCKS]
    for num_blocks, num_images in (*cut, *((_ALL_BLOCKS, n) for n in _IMAGES.value)):
        model = mobilenet_v2(_ALPHA, _SIZE, num_blocks=num_blocks)
        print(row(model, pictures(num_images, _SIZE)), flush=True)


def row(model: bytes, x: np.ndarray) -> str:
    """One row of the table; x: float32 [N, H, W, C]."""
    graph = read_model(model)
    seconds, calibration = _timed(lambda: qm.calibrate_model(model, x, max_samples=len(x), n_jobs=1, progress=False))
    searches = _search_seconds(model, graph, calibration)
    return f"| {len(graph.ops)} | {len(x)} | {seconds:.1f} | {' | '.join(f'{s:.1f}' for s in searches)} |"


def _search_seconds(model: bytes, graph: ModelGraph, calibration: CalibrationResult) -> Iterator[float]:
    for options, arena_share, flash_share in _SEARCHES.values():
        budget = {
            "core": "any",
            "sram_scope": "nonpersistent",
            "sram_bytes": arena_share and int(arena_share * predict_arena(graph)),
            "flash_bytes": flash_share and int(flash_share * len(model)),
            "flash_scope": "model",
        }
        search = functools.partial(qm.plan, model, calibration=calibration, progress=False, **options, **budget)
        yield _timed(search)[0]


def _timed(work: Callable[[], _Result]) -> tuple[float, _Result]:
    """CPU seconds of this process, and the result."""
    start = time.process_time()
    result = work()
    return time.process_time() - start, result


def pictures(count: int, size: int, *, seed: int = 0) -> np.ndarray:
    """Float32 [count, size, size, 3]: smooth noise, larger in the middle."""
    noise = np.random.default_rng(seed).normal(size=(count, 8, 8, 3)).astype(np.float32)
    background = ndimage.zoom(noise, (1, size / 8, size / 8, 1), order=1)
    y, x = np.mgrid[:size, :size] * (2 / (size - 1)) - 1
    return background * (1 + 4 * np.exp(-8 * (x**2 + y**2)))[..., None].astype(np.float32)


if __name__ == "__main__":
    app.run(main)
