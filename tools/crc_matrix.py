"""The same bytes everywhere: whole models on TFLM, ahead of time on the host, on rv32 and on every Cortex-M in QEMU.

In: folders of int8 `.tflite` and of `.npz` samples. A stock model is converted as VERSIONS says; a converted one runs
as it is. Out: one table of the CRC32s of the outputs and of executed instructions. Exit code 1 where a CRC32 is not
TFLM's or a program failed; what is left out, or does not fit a board, is said with its reason.

    python -m tools.crc_matrix --models build/demo
"""

from __future__ import annotations

import argparse
import dataclasses
import os
import re
import subprocess
import sys
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np
import rich.console
import rich.table
import rich.text

import tflm_quantmcu as qm
from tflm_quantmcu.base.errors import QuantMcuError, UnsupportedModelError, UsageError
from tflm_quantmcu.base.programs import ON_RV32, missing
from tflm_quantmcu.graph.target import variant_of
from tflm_quantmcu.graph.types import Tensor
from tflm_quantmcu.runtime.samples import load_samples, random_samples, to_model_input
from tflm_quantmcu.stage.custom_ops import PATCH_STAGE, is_converted, program_of
from tflm_quantmcu.tflite.reader import read_model, require_full_integer
from tools.qemu_run import RV32, QemuError, cores, parse_results, run_image

ROOT = Path(__file__).resolve().parent.parent
HOST = "host"
TARGETS = (HOST, RV32, *cores())
# Version -> options of its conversion; lambda is low, so that every model gets narrow maps.
_VDQS: Mapping[str, object] = {"search": "vdqs", "vdpc_phi": 0.9, "vdqs_lambda": 0.2}
VERSIONS: Mapping[str, Mapping[str, object]] = {
    "8-bit split": {"search": "uniform", "activation_bits": 8, "weight_bits": 8},
    "VDQS": _VDQS,
    "VDQS, 2 bits": {**_VDQS, "vdqs_min_bits": 2},
}
_CALIBRATION_SAMPLES = 32
_WIDTH = 190
_OVERFLOW = re.compile(r"region `(\w+)' overflowed by (\d+) bytes")


@dataclasses.dataclass(frozen=True, eq=False)
class Version:
    """A model to run.

    Attributes:
      model: name of its folder and file.
      label: what was done to it.
      data: the `.tflite`.
      inputs: [N, 1, ...] of the model's input type.
    """

    model: str
    label: str
    data: bytes
    inputs: np.ndarray

    @property
    def widths(self) -> str:
        """Bits of the maps of its patch stages."""
        graph = read_model(self.data)
        stages = [program_of(graph, op) for op in graph.ops if op.kind == PATCH_STAGE]
        used = {(stage, k) for stage in stages for r, c, _ in stage.patches() for k in stage.classes_of(r, c)}
        return " ".join(map(str, sorted({f.bits for stage, k in used for f in stage.formats[k]}, reverse=True)))


@dataclasses.dataclass(frozen=True)
class Cell:
    """One inference on one target: either `crc32` and `instructions` (None where none are counted) or a `problem`."""

    crc32: int | None = None
    instructions: int | None = None
    problem: str = ""
    is_failure: bool = False

    @property
    def text(self) -> str:
        """Two lines."""
        if self.crc32 is None:
            return self.problem
        return f"{self.crc32:08x}\n{'' if self.instructions is None else f'{self.instructions:,}'}"


@dataclasses.dataclass(frozen=True)
class Row:
    """One inference of a version: TFLM's CRC32 and what each target gave."""

    model: str
    version: str
    widths: str
    input: int
    crc32: int
    cells: Mapping[str, Cell]

    @property
    def wrong(self) -> tuple[str, ...]:
        """Targets that failed or gave other bytes."""
        return tuple(t for t, c in self.cells.items() if c.is_failure or c.crc32 not in (None, self.crc32))


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="crc_matrix", description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, nargs="+", default=[Path("build/demo")], help="folders of .tflite")
    parser.add_argument("--samples", type=Path, nargs="*", default=[], help="folders of .npz, beside the model's own")
    parser.add_argument(
        "--num_inputs", type=int, default=3, help="inferences of each version; the last input is random"
    )
    parser.add_argument("--output_dir", type=Path, default=Path("build/crc_matrix"), help="projects, objects, images")
    flags = parser.parse_args(arguments)
    try:
        if flags.num_inputs < 1:
            raise UsageError(f"--num_inputs is {flags.num_inputs}; it must be at least 1")
        paths = [path for folder in flags.models for path in _models_in(folder)]
        left_out: list[str] = []
        rows = list(_rows(paths, flags.samples, flags.num_inputs, flags.output_dir.resolve(), left_out))
    except QuantMcuError as error:
        print(f"crc_matrix: {error}", file=sys.stderr)
        return error.exit_code
    return report(rows, left_out)


def _models_in(folder: Path) -> list[Path]:
    paths = sorted(folder.glob("*.tflite"))
    if not paths:
        raise UsageError(f"--models {folder} holds no .tflite; `make demo` fills build/demo")
    return paths


def _rows(
    paths: Sequence[Path], samples: Sequence[Path], num_inputs: int, output_dir: Path, left_out: list[str]
) -> Iterator[Row]:
    for number, path in enumerate(paths, 1):
        _say(f"[{number}/{len(paths)}] {path}")
        try:
            for version in versions_of(path, samples, num_inputs):
                yield from run_version(version, output_dir)
        except UnsupportedModelError as error:
            left_out.append(f"{path}: {error}")
            _say(f"  left out: {error}")


def versions_of(path: Path, samples: Sequence[Path], num_inputs: int) -> list[Version]:
    """The versions of a model to run.

    Raises:
      UnsupportedModelError: a float model, one with several inputs, or nothing to split in it.
    """
    data = path.read_bytes()
    graph = read_model(data)
    require_full_integer(graph)
    (tensor,) = graph.input_tensors
    x = _samples_for(tensor, (path.parent, *samples))
    random = random_samples(tensor, num_inputs)
    inputs = np.concatenate([x[: num_inputs - 1], random])[:num_inputs, np.newaxis]
    name = f"{path.parent.name}/{path.stem}"
    if is_converted(graph):
        return [Version(name, "as it is", data, inputs)]
    calibration = qm.calibrate_model(data, x if len(x) else random_samples(tensor, _CALIBRATION_SAMPLES))
    versions = []
    for label, options in VERSIONS.items():
        result = qm.convert(data, calibration=calibration, **options)
        if not result.plan.stages:
            raise UnsupportedModelError("; ".join(result.plan.notes))
        versions.append(Version(name, label, result.model, inputs))
    return versions


def _samples_for(tensor: Tensor, folders: Sequence[Path]) -> np.ndarray:
    """Samples of the first file that fits the model's input, as the model takes them; none if none fits."""
    for path in (path for folder in folders for path in sorted(folder.glob("*.npz"))):
        try:
            x, _ = load_samples(path, tensor)
            return to_model_input(x[:_CALIBRATION_SAMPLES], tensor)
        except UsageError:
            continue
    return random_samples(tensor, 0)


def run_version(version: Version, output_dir: Path) -> Iterator[Row]:
    """Runs each input on TFLM and on all targets; projects, objects and images lie in `output_dir`."""
    interpreter = qm.Interpreter(version.data)
    folder = output_dir / f"{version.model} {version.label}".translate(str.maketrans(" /,", "___"))
    folder.mkdir(parents=True, exist_ok=True)
    for number, sample in enumerate(version.inputs):
        crc32 = 0
        for values in interpreter.invoke(sample):
            crc32 = zlib.crc32(values.tobytes(), crc32)
        np.savez(folder / "input.npz", x=sample)
        cells = {}
        for target in TARGETS:
            core = HOST if target == RV32 else target
            project = folder / variant_of(core)
            qm.emit(
                version.data,
                output_dir=project,
                core=core,
                inputs=folder / "input.npz",
                num_samples=1,
                name="model",
                bundle=False,
            )
            cells[target] = run_project(project, target, output_dir / "objects" / target)
            _say(f"  {version.label}, input {number}, {target}: {cells[target].text.rstrip().replace(chr(10), ', ')}")
        yield Row(version.model, version.label, version.widths, number, crc32, cells)


def run_project(project: Path, target: str, objects: Path) -> Cell:
    """Builds and runs the test program of an AOT project; objects of equal sources are shared in `objects`."""
    failure = build_project(project, target, objects)
    if failure is not None:
        return failure
    image = project / "build" / target / "main"
    try:
        output = run_image(image, core=target).output if target != HOST else _run_on_host(image)
    except QemuError as error:
        return Cell(problem=str(error), is_failure=True)
    results = parse_results(output)
    if "OUTPUT_CRC32" not in results:
        return Cell(problem=output.strip(), is_failure=True)
    is_passed = "~~~ALL TESTS PASSED~~~" in output
    return Cell(
        int(results["OUTPUT_CRC32"], 16),
        int(results["INSTRUCTIONS"]) or None,
        is_failure=not is_passed,
    )


def build_project(project: Path, target: str, objects: Path) -> Cell | None:
    """Builds build/<target>/main of an AOT project; a cell only where that fails or what builds it is missing."""
    if target == RV32 and (sentence := missing(ON_RV32)):
        return Cell(problem=sentence)
    settings = {"CORE": target, "QUANTMCU_DIR": ROOT, "OBJECT_DIR": objects, "PYTHON": sys.executable}
    command = ["make", "-s", f"-j{os.cpu_count()}", "-C", str(project), *(f"{k}={v}" for k, v in settings.items())]
    built = subprocess.run(command, capture_output=True, text=True)
    return cell_of_failed_build(built.stderr) if built.returncode != 0 else None


def cell_of_failed_build(errors: str) -> Cell:
    """What an image that does not fit lacks, or why it was not built."""
    overflows = _OVERFLOW.findall(errors)
    if overflows:
        lacking = ", ".join(f"{region} {int(num_bytes):,} B too small" for region, num_bytes in overflows)
        return Cell(problem=f"does not fit: {lacking}")
    lines = [line for line in errors.splitlines() if "error" in line.lower()] or [errors.strip()]
    return Cell(problem=lines[0], is_failure=True)


def _run_on_host(image: Path) -> str:
    return subprocess.run([image], capture_output=True, text=True).stdout


def report(rows: Sequence[Row], left_out: Sequence[str]) -> int:
    """Prints the table and all that differs or is missing; the exit code."""
    table = rich.table.Table("model", "version", "bits", "input", "TFLM", *TARGETS, show_lines=True)
    for row in rows:
        cells = [rich.text.Text(c.text, "bold red" if t in row.wrong else "") for t, c in row.cells.items()]
        table.add_row(row.model, row.version, row.widths, str(row.input), f"{row.crc32:08x}", *cells)
    rich.console.Console(width=_WIDTH).print(table)
    print("CRC32 of the outputs; below it, executed instructions. m0plus: ARMv6-M code, unaligned accesses trapped.")
    print("rv32: RISC-V of 32 bits, on the reference kernels; its instructions are not counted.")
    for reason in left_out:
        print(f"left out: {reason}")
    wrong = [f"{r.model} {r.version}, input {r.input}: {', '.join(r.wrong)}" for r in rows if r.wrong]
    for place in wrong:
        print(f"crc_matrix: NOT AS TFLM: {place}", file=sys.stderr)
    missing = sum(cell.crc32 is None for row in rows for cell in row.cells.values())
    print(
        f"{len(rows)} inferences on {len(TARGETS)} targets: {len(wrong)} differ or failed, {missing} cells were not run"
    )
    return 1 if wrong or not rows else 0


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
