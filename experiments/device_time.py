"""Time on the device, measured and estimated: instructions and cycles of whole inferences in QEMU, before and after.

Each model is converted for each core, emitted ahead of time (AOT) unsplit and as converted, and run in QEMU, which
counts instructions; cycles are Arm's documented ones (cost/cycles.py) of the blocks of code that ran. Printed, as
Markdown: what was measured, the estimate over it, the converted model over the unsplit one; and the longest span
between two calls of a hook. Exit code 1 where an estimate of a whole network is off by more than TOLERANCE. Searches
that calibrate are given samples by chance, which serve for times, not for accuracy.

    python -m experiments.device_time --models ../shared/data/models --cores cortex-m4
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import tflm_quantmcu as qm
from tflm_quantmcu.app.reserve import arena_bytes_on
from tflm_quantmcu.base.errors import BudgetError, QuantMcuError, UnsupportedModelError
from tflm_quantmcu.cost.cycles import Listing, measured_spans
from tflm_quantmcu.cost.instructions import load_table
from tflm_quantmcu.cost.model_time import ModelTime, time_of_model
from tflm_quantmcu.graph.calibration_result import CalibrationResult
from tflm_quantmcu.graph.target import AOT, CORES, DEFAULT_CORE, Target, short_core
from tflm_quantmcu.runtime.samples import random_samples
from tflm_quantmcu.tflite.full_integer import require_source
from tflm_quantmcu.tflite.model_file import ModelFile
from tflm_quantmcu.tflite.reader import read_model
from tools.qemu_run import QemuError, run_image

ROOT = Path(__file__).resolve().parents[1]
OBJECTS = ROOT / "build/device_time"  # kernels that are built once a core
TOLERANCE = 0.03
_CALIBRATION_SAMPLES = 16
_MAKEFILE = """\
CORE := {core}
QUANTMCU_DIR := {root}
PROGRAMS := inference
TEST_PROGRAM := inference
SOURCES := model.cc
include $(QUANTMCU_DIR)/tflm_kernels/boards/project.mk
"""


@dataclasses.dataclass(frozen=True)
class Inference:
    """What one inference took in QEMU.

    Attributes:
      instructions, cycles: straight through; cycles are documented ones.
      hooked: instructions with a hook that does nothing.
      stepped: instructions of all steps together.
      num_calls: of the hook.
      longest: instructions between two of them.
    """

    instructions: int
    cycles: int
    hooked: int
    stepped: int
    num_calls: int
    longest: int


@dataclasses.dataclass(frozen=True)
class Row:
    """A model on a core, unsplit or converted: either `measured` and `estimated`, or a `problem`."""

    model: str
    core: str
    version: str
    measured: Inference | None = None
    estimated: ModelTime | None = None
    problem: str = ""

    @property
    def instruction_error(self) -> float:
        """Estimate over measured, less 1."""
        assert self.measured and self.estimated
        return self.estimated.instructions / self.measured.instructions - 1

    @property
    def is_off(self) -> bool:
        """Whether the estimate of what a table knows is off."""
        if self.measured is None or self.estimated is None or self.estimated.unknown:
            return False
        return abs(self.instruction_error) > TOLERANCE


def run_inference(model: bytes, core: str, folder: Path) -> Inference:
    """Emits a model for a core into `folder`, builds it and runs it in QEMU.

    Args:
      model: the `.tflite`.
      core: in full.
      folder: of the project.

    Raises:
      UnsupportedModelError: emitted code does not run the model, or it does not fit the board.
      QemuError: there is no QEMU, or the image failed.
    """
    qm.emit(model, output_dir=folder, target="aot", core=core, name="model", bundle=False)
    (folder / "inference.cc").write_bytes((ROOT / "experiments/inference.cc").read_bytes())
    (folder / "Makefile").write_text(_MAKEFILE.format(core=short_core(core), root=ROOT))
    command = ["make", "-s", f"-j{os.cpu_count()}", "-C", str(folder), f"OBJECT_DIR={OBJECTS / short_core(core)}"]
    built = subprocess.run(command, capture_output=True, text=True)
    if built.returncode != 0:
        raise UnsupportedModelError(_reason(built.stderr))
    image = folder / "build" / short_core(core) / "inference"
    run = run_image(image, core=short_core(core), blocks=folder / "blocks")
    if run.exit_code != 0 or "LONGEST" not in run.results:
        raise QemuError(f"{image} ended with code {run.exit_code}: {run.output}")
    listing = Listing(_call("arm-none-eabi-objdump", "-d", "--no-show-raw-insn", str(image)))
    straight, *_ = measured_spans((folder / "blocks").read_text(), listing, short_core(core))
    counts = [int(run.results[key]) for key in ("INSTRUCTIONS", "HOOKED", "STEPPED", "NUM_CALLS", "LONGEST")]
    return Inference(counts[0], straight.cycles, *counts[1:])


def _reason(errors: str) -> str:
    lines = errors.splitlines()
    return next((line for line in lines if "overflowed" in line), next((e for e in lines if "error" in e), errors))


def _call(*command: str) -> str:
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def part_of_arena(model: bytes, core: str, part: int) -> int:
    """Bytes: one `part`-th of what the model reserves on TFLM on a core, as it came."""
    return arena_bytes_on(read_model(model), Target.of(core)).reserved_bytes // part


def rows(
    models: Sequence[Path], cores: Sequence[str], options: Mapping[str, Any], part: int | None = None
) -> Iterator[Row]:
    """Each model on each core, unsplit and converted; what fails is a row with the reason.

    Args:
      models: .tflite files.
      cores: in full.
      options: of `convert`.
      part: the bound is `part_of_arena`; None is what the options say.
    """
    for path in models:
        data = path.read_bytes()
        try:
            require_source(ModelFile(data).graph)
        except UnsupportedModelError as error:
            yield Row(path.stem, "", "", problem=str(error))
            continue
        calibrated = {"calibration": random_calibration(data)} if options["search"] != "uniform" else {}
        for core in cores:
            yield measured_row(path.stem, core, "unsplit", data)
            try:
                bound = {"sram_bytes": part_of_arena(data, core, part)} if part else {}
                converted = qm.convert(data, core=core, progress=False, **{**options, **bound, **calibrated}).model
            except BudgetError as error:
                yield Row(path.stem, core, "converted", problem=str(error))
            else:
                yield measured_row(path.stem, core, "converted", converted)


def random_calibration(model: bytes) -> CalibrationResult:
    """A calibration of a few samples by chance, which cover the range of the input."""
    samples = random_samples(read_model(model).input_tensors[0], _CALIBRATION_SAMPLES)
    return qm.calibrate_model(model, samples, n_jobs=1, progress=False)


def measured_row(model: str, core: str, version: str, data: bytes) -> Row:
    """One row."""
    estimated = time_of_model(ModelFile(data).graph, Target.of(core, runtime=AOT), load_table(core))
    with tempfile.TemporaryDirectory() as folder:
        try:
            return Row(model, core, version, run_inference(data, core, Path(folder)), estimated)
        except (QuantMcuError, QemuError) as error:
            return Row(model, core, version, estimated=estimated, problem=str(error))


def times_table(found: Sequence[Row]) -> list[str]:
    """Lines of Markdown: counts, estimates over them, and the converted model over the unsplit one, as measured."""
    unsplit = {(row.model, row.core): row.measured for row in found if row.version == "unsplit"}
    headings = ("model", "core", "", "M instructions", "estimate", "M cycles", "estimate", "over unsplit", "cycles")
    lines = _head(headings)
    for row in found:
        if row.measured is None or row.estimated is None:
            lines.append(_line([row.model, row.core, row.version, row.problem, *[""] * 5]))
            continue
        measured, estimated, ours = row.measured, row.estimated, unsplit[row.model, row.core]
        cells = [
            f"{measured.instructions / 1e6:.3f}",
            f"x{estimated.instructions / measured.instructions:.3f}",
            f"{measured.cycles / 1e6:.3f}",
            f"x{estimated.cycles / measured.cycles:.3f}",
        ]
        cells += [f"x{ratio:.3f}" for ratio in _over(measured, ours)] if row.version != "unsplit" and ours else ["", ""]
        lines.append(_line([row.model, row.core, row.version, *cells]))
    return lines


def spans_table(found: Sequence[Row]) -> list[str]:
    """Lines of Markdown: how often a hook is called, what it costs, and the longest span between two calls."""
    heads = ("calls of a hook", "its cost", "that of steps", "longest span, instructions", "estimate", "of")
    lines = _head(("model", "core", "", *heads))
    for row in found:
        if row.measured is None or row.estimated is None or row.estimated.longest is None:
            continue
        measured, span = row.measured, row.estimated.longest
        cells = [
            f"{measured.num_calls:,}",
            f"{measured.hooked / measured.instructions - 1:+.3%}",
            f"{measured.stepped / measured.instructions - 1:+.3%}",
            f"{measured.longest:,}",
            f"x{span.instructions / measured.longest:.3f}",
            span.label,
        ]
        lines.append(_line([row.model, row.core, row.version, *cells]))
    return lines


def _over(measured: Inference, unsplit: Inference) -> tuple[float, float]:
    """Instructions and cycles."""
    return measured.instructions / unsplit.instructions, measured.cycles / unsplit.cycles


def slower(found: Sequence[Row], limit: float) -> list[str]:
    """What takes more than so many times the unsplit model's instructions or cycles, in words."""
    unsplit = {(row.model, row.core): row.measured for row in found if row.version == "unsplit"}
    ratios = {
        f"{row.model} on {row.core}": max(_over(row.measured, ours))
        for row in found
        if row.measured and row.version != "unsplit" and (ours := unsplit[row.model, row.core])
    }
    return [f"{name}: x{ratio:.3f}" for name, ratio in ratios.items() if ratio > limit]


def _head(headings: Sequence[str]) -> list[str]:
    return [_line(headings), f"|{'---|' * len(headings)}"]


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="device_time", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", type=Path, nargs="+", required=True, help=".tflite files, or folders of them")
    parser.add_argument("--cores", nargs="+", default=[DEFAULT_CORE], help=f"of {', '.join(CORES)}, or all")
    parser.add_argument("--search", choices=("uniform", "vdqs"), default="uniform")
    parser.add_argument("--sram_bytes", help="bound, as of convert; default none")
    parser.add_argument("--sram_part", type=int, help="bound: so many parts are what the model reserves as it came")
    parser.add_argument("--sram_scope", default="total")
    parser.add_argument("--max_over_unsplit", type=float, help="exit code 1 if a converted model takes more times that")
    flags = parser.parse_args(arguments)
    paths = [p for path in flags.models for p in (sorted(path.glob("*.tflite")) if path.is_dir() else [path])]
    cores = CORES if flags.cores == ["all"] else flags.cores
    options = {"search": flags.search, "sram_scope": flags.sram_scope, "sram_bytes": flags.sram_bytes}
    found = []
    for row in rows(paths, cores, options, flags.sram_part):
        print(f"{row.model} {row.core} {row.version} {row.problem}", file=sys.stderr, flush=True)
        found.append(row)
    print(*times_table(found), "", *spans_table(found), "", sep="\n")
    off = [f"{row.model} on {row.core}, {row.version}: {row.instruction_error:+.1%}" for row in found if row.is_off]
    print("estimates that are off by more than 3 %: " + ("; ".join(off) or "none"))
    slow = slower(found, flags.max_over_unsplit) if flags.max_over_unsplit else []
    if flags.max_over_unsplit:
        print(f"slower than {flags.max_over_unsplit:g} times the unsplit model: " + ("; ".join(slow) or "none"))
    return 1 if off or slow else 0


if __name__ == "__main__":
    sys.exit(main())
