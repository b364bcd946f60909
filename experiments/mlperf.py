"""MLPerf Tiny's networks on its boards, beside the published rows: `make mlperf` writes docs/mlperf.md's tables.

Each network is emitted ahead of time for each board's core as it came, split (the default call at 8 bits), and mixed
(`--objective bit_ops --max_accuracy_drop off`: QuantMCU's own trade, whatever it loses), and run in QEMU. Bytes are
those of the core: arena and stack as emitted code declares them, the model's constants and our code in flash.
Milliseconds are modelled from what was counted (docs/boards.md), not measured. Accuracy is TFLM's on the labelled
samples, where there are some; a network without calibration samples has no mixed row.

    python -m experiments.mlperf --folder ../shared/data --output build/mlperf.md
    python -m experiments.mlperf --networks mine=m.tflite,calibration.npz,test.npz --boards nucleo-l4r5zi --output m.md
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import functools
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import tflm_quantmcu as qm
from experiments.device_time import Inference, run_inference
from tflm_quantmcu.app.code_size import code_bytes
from tflm_quantmcu.app.evaluation import accuracies
from tflm_quantmcu.app.reserve import arena_bytes_on
from tflm_quantmcu.base.errors import QuantMcuError, UsageError
from tflm_quantmcu.base.files import write_atomically
from tflm_quantmcu.cost.boards import boards
from tflm_quantmcu.graph.target import AOT, Target
from tflm_quantmcu.runtime.samples import load_samples, to_model_input
from tflm_quantmcu.tflite.model_file import ModelFile
from tools.qemu_run import QemuError

BOARDS = ("nucleo-l4r5zi", "nucleo-h7a3zi", "nucleo-u575zi", "nucleo-g0b1re")
VERSIONS = ("unsplit", "split", "mixed")
PUBLISHED = Path(__file__).with_name("mlperf_published.csv")
_SHARED = {  # network: model, calibration samples, labelled samples
    "ic": ("ic_resnet8_int8.tflite", "cifar10_train_500.npz", "cifar10_test_2000.npz"),
    "kws": ("kws_dscnn_int8.tflite", "kws_calibration_125.npz", "kws_test_375.npz"),
    "ad": ("ad01_int8.tflite", "", ""),
}


@dataclasses.dataclass(frozen=True)
class Network:
    """A network: its int8 `.tflite` and files of samples, where there are some."""

    name: str
    model: Path
    calibration: Path | None
    labelled: Path | None


@dataclasses.dataclass(frozen=True)
class Row:
    """One version of a network on a board; a `problem` in place of figures where there are none."""

    network: str
    board: str
    version: str
    accuracy: float | None = None
    arena_bytes: int = 0
    stack_bytes: int = 0
    constant_bytes: int = 0
    code_bytes: int | None = None
    inference: Inference | None = None
    milliseconds: float = 0.0
    problem: str = ""

    @property
    def cells(self) -> list[str]:
        """The row in Markdown, cell by cell."""
        head = [self.network, self.board, self.version]
        if self.inference is None:
            return [*head, self.problem, *[""] * 7]
        return [
            *head,
            "" if self.accuracy is None else f"{self.accuracy:.2%}",
            *(f"{n:,}" for n in (self.arena_bytes, self.stack_bytes, self.constant_bytes)),
            "" if self.code_bytes is None else f"{self.code_bytes:,}",
            f"{self.inference.instructions / 1e6:.3f}",
            f"{self.inference.cycles / 1e6:.3f}",
            f"{self.milliseconds:,.0f}" if self.milliseconds >= 100 else f"{self.milliseconds:.3g}",
        ]


HEADINGS = (
    *("network", "board", "version", "accuracy", "arena", "stack", "constants", "code"),
    *("M instructions", "M documented cycles", "ms, modelled"),
)


def rows(networks: Sequence[Network], board_names: Sequence[str]) -> Iterator[Row]:
    """Every version of each network on each board."""
    for network in networks:
        for board in board_names:
            for version in VERSIONS:
                yield _row(network, board, version)


def _row(network: Network, board: str, version: str) -> Row:
    row = Row(network.name, board, version)
    if version == "mixed" and network.calibration is None:
        return dataclasses.replace(row, problem="no calibration samples")
    target = Target.of(f"cortex-{boards()[board].core}", board, AOT)
    try:
        model = _version(network, target, version)
        with tempfile.TemporaryDirectory() as folder:
            inference = run_inference(model, target.core, Path(folder))
            constants = _constant_bytes(next(Path(folder).glob("build/*/inference")))
    except (QuantMcuError, QemuError) as error:
        return dataclasses.replace(row, problem=str(error))
    graph = ModelFile(model).graph
    arena = arena_bytes_on(graph, target)
    return dataclasses.replace(
        row,
        accuracy=_accuracy(model, network.labelled),
        arena_bytes=arena.nonpersistent_bytes,
        stack_bytes=arena.reserved_bytes - arena.nonpersistent_bytes,
        constant_bytes=constants,
        code_bytes=code_bytes(graph, target),
        inference=inference,
        milliseconds=boards()[board].milliseconds(inference.instructions, inference.cycles),
    )


def _version(network: Network, target: Target, version: str) -> bytes:
    if version == "unsplit":
        return network.model.read_bytes()
    options: dict[str, Any] = {"search": "uniform"}
    if version == "mixed":
        options = {"objective": "bit_ops", "max_accuracy_drop": "off", "calibration_data": network.calibration}
    on = {"core": target.core, "board": target.board, "runtime": target.runtime}
    return qm.convert(network.model, progress=False, **on, **options).model


def _constant_bytes(image: Path) -> int:
    """What the model's own data takes in the flash of an image: weights, tables and programs of stages."""
    command = ["arm-none-eabi-nm", "-C", "--print-size", "--radix=d", str(image)]
    lines = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
    sizes = [line.split(maxsplit=3) for line in lines if line.count(" ") >= 3]
    return sum(int(size) for _, size, kind, name in sizes if kind in "rR" and name.startswith("model::"))


@functools.cache
def _accuracy(model: bytes, labelled: Path | None) -> float | None:
    if labelled is None:
        return None
    file = ModelFile(model)
    tensor = file.graph.tensors[file.graph.inputs[0]]
    x, y = load_samples(labelled, tensor)
    if y is None:
        raise UsageError(f"{labelled} has no labels: the key 'y' [N]")
    (right,) = accuracies([file], to_model_input(x, tensor), y)
    return right


def published_table() -> list[str]:
    """Lines of Markdown: milliseconds as they were submitted, a network a column."""
    with PUBLISHED.open() as file:
        found = list(csv.DictReader(file))
    return _table(list(found[0]), [list(row.values()) for row in found])


def _table(headings: Sequence[str], lines: Sequence[Sequence[str]]) -> list[str]:
    return [f"| {' | '.join(cells)} |" for cells in (headings, ["---"] * len(headings), *lines)]


def networks_of(texts: Sequence[str], folder: Path) -> list[Network]:
    """Networks by what the command line says of them.

    Args:
      texts: names of MLPerf Tiny's, which lie in the folder, or NAME=model.tflite[,calibration.npz[,labelled.npz]].
      folder: with `models` and `samples`.

    Raises:
      ValueError: a name that is not known, or a file that is not there.
    """
    found = []
    for text in texts:
        name, _, files = text.partition("=")
        if not files and name not in _SHARED:
            raise ValueError(f"--networks has {name}; there are {', '.join(_SHARED)}, or give {name}=model.tflite")
        paths = [Path(file) if file else None for file in files.split(",")] if files else _in_folder(name, folder)
        if missing := [path for path in paths if path is not None and not path.exists()]:
            raise ValueError(f"{missing[0]} is not there")
        model, calibration, labelled = [*paths, None, None][:3]
        if model is None:
            raise ValueError(f"--networks has {text}; a model is missing")
        found.append(Network(name, model, calibration, labelled))
    return found


def _in_folder(name: str, folder: Path) -> list[Path | None]:
    model, *samples = _SHARED[name]
    return [folder / "models" / model, *(folder / "samples" / file if file else None for file in samples)]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="mlperf", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--folder", type=Path, default=Path("../shared/data"), help="with models/ and samples/")
    parser.add_argument("--networks", nargs="+", default=list(_SHARED), help="ic kws ad, or NAME=model.tflite,...")
    parser.add_argument("--boards", nargs="+", default=list(BOARDS), choices=list(boards()), help="default MLPerf's")
    parser.add_argument("--output", type=Path, required=True, help="the tables, .md")
    flags = parser.parse_args(arguments)
    try:
        networks = networks_of(flags.networks, flags.folder)
    except ValueError as error:
        parser.error(str(error))
    found = []
    for row in rows(networks, flags.boards):
        print(f"{row.network} {row.board} {row.version} {row.problem}", file=sys.stderr, flush=True)
        found.append(row)
    lines = [*_table(HEADINGS, [row.cells for row in found]), "", *published_table()]
    flags.output.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(flags.output, ("\n".join(lines) + "\n").encode())
    print(*lines, sep="\n")
    return 1 if any(row.inference is None and row.problem != "no calibration samples" for row in found) else 0


if __name__ == "__main__":
    sys.exit(main())
