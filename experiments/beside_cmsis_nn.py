"""Whole inferences beside TFLM with CMSIS-NN, on cores in QEMU: instructions of Invoke, by TFLM's own kernels and ours.

In: int8 models, and checkouts of tflite-micro and CMSIS-NN (TFLM_DIR, CMSIS_NN_DIR). Each model runs on zeros: on the
real TFLM with CMSIS-NN's kernels, as it came; on the real TFLM with ours, as it came (RegisterFastOps) and converted;
emitted ahead of time, unsplit and converted. Conversions are at 8 bits, without a bound. Out: Markdown: counts, ours
over CMSIS-NN's, and a core's geometric mean of each column. Exit code 1 where a ratio is above --at_most.

TFLM and CMSIS-NN are compiled at -O2, as TFLM's Makefile compiles kernels for speed, and our kernels at -O3, as
emitted projects do.

    python -m experiments.beside_cmsis_nn --models ../shared/data/models/kws_dscnn_int8.tflite --cores cortex-m55
"""

from __future__ import annotations

import argparse
import math
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

import tflm_quantmcu as qm
from experiments.device_time import run_inference
from tflm_quantmcu.app.reserve import arena_bytes_on
from tflm_quantmcu.graph.target import CMSIS_NN, CORES, QUANTMCU, Target, core_named
from tflm_quantmcu.tflite.reader import read_model
from tools.qemu_run import QemuError
from tools.tflm_build import cmsis_nn_folder
from tools.tflm_on_core import CoreImage, build_image

CORES_OF_TFLM = ("cortex-m4", "cortex-m55")
OURS = ("TFLM, as it came", "TFLM, converted", "AOT, unsplit", "AOT, converted")
# Ops that a conversion may bring in, beside those of the models.
_KINDS = frozenset({"RESHAPE", "QUANTIZE", "MEAN", "PAD"})
_FLAGS = "-O2"


class Images:
    """The real TFLM on one core, with CMSIS-NN's kernels and with ours."""

    def __init__(self, core: str, kinds: frozenset[str], folder: Path) -> None:
        cmsis_nn = cmsis_nn_folder()
        if cmsis_nn is None:
            raise QemuError("CMSIS_NN_DIR is not set; it names a checkout of CMSIS-NN")
        self._core = core
        self._images: dict[str, CoreImage] = {
            CMSIS_NN: build_image(core, kinds, folder / CMSIS_NN, cmsis_nn=cmsis_nn, flags=_FLAGS),
            QUANTMCU: build_image(core, kinds, folder / QUANTMCU, flags=_FLAGS),
        }

    def instructions(self, model: bytes, stock_kernels: str) -> int:
        """Those of Invoke, in the arena that the model needs there."""
        target = Target.of(self._core, stock_kernels=stock_kernels)
        reserved = arena_bytes_on(read_model(model), target).reserved_bytes
        return self._images[stock_kernels].invoke_instructions(model, reserved, stock_kernels=stock_kernels)

    def row(self, model: bytes) -> list[int]:
        """CMSIS-NN's, then ours in the order of OURS."""
        converted = qm.convert(model, search="uniform", core=self._core, progress=False).model
        ahead = qm.convert(model, search="uniform", core=self._core, runtime="aot", progress=False).model
        counts = [self.instructions(model, CMSIS_NN)]
        counts += [self.instructions(data, QUANTMCU) for data in (model, converted)]
        for data in (model, ahead):
            with tempfile.TemporaryDirectory() as folder:
                counts.append(run_inference(data, self._core, Path(folder)).instructions)
        return counts


def ratios(counts: Sequence[int]) -> list[float]:
    """Ours over CMSIS-NN's."""
    return [count / counts[0] for count in counts[1:]]


def line(cells: Sequence[str]) -> str:
    """A line of a Markdown table."""
    return f"| {' | '.join(cells)} |"


def cells_of(counts: Sequence[int]) -> list[str]:
    """M instructions, and the ratio of ours."""
    ours = zip(counts[1:], ratios(counts), strict=True)
    return [f"{counts[0] / 1e6:.3f}", *(f"{count / 1e6:.3f}, {ratio:.2f}" for count, ratio in ours)]


def means(rows: Sequence[Sequence[int]]) -> list[float]:
    """Geometric means of the ratios, a column each."""
    columns = zip(*map(ratios, rows), strict=True)
    return [math.exp(sum(map(math.log, column)) / len(rows)) for column in columns]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="beside_cmsis_nn", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", type=Path, nargs="+", required=True, help="int8 .tflite files")
    parser.add_argument("--cores", nargs="+", type=core_named, choices=CORES, default=CORES_OF_TFLM)
    parser.add_argument("--at_most", type=float, help="exit code 1 where ours takes more times CMSIS-NN's")
    parser.add_argument("--build_dir", type=Path, default=Path("build/beside_cmsis_nn"), help="for images")
    flags = parser.parse_args(arguments)
    models = {path.stem: path.read_bytes() for path in flags.models}
    kinds = _KINDS.union(op.kind for data in models.values() for op in read_model(data).ops)
    print(line(["model", "core", "TFLM + CMSIS-NN", *OURS]), line(["---"] * (3 + len(OURS))), sep="\n")
    rows = []
    try:
        for core in flags.cores:
            images = Images(core, kinds, flags.build_dir.resolve())
            of_core = []
            for name, data in models.items():
                of_core.append(images.row(data))
                print(line([name, core, *cells_of(of_core[-1])]), flush=True)
            print(line(["geometric mean", core, "", *(f"{mean:.2f}" for mean in means(of_core))]), flush=True)
            rows += of_core
    except QemuError as error:
        print(f"beside_cmsis_nn: {error}", file=sys.stderr)
        return 1
    return int(flags.at_most is not None and any(r > flags.at_most for row in rows for r in ratios(row)))


if __name__ == "__main__":
    sys.exit(main())
