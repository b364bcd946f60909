"""Whether what `--sram_bytes` bounds holds on the core: models converted at bounds, prepared and run in QEMU.

In: full-integer models. Out: a row for each model, core, search, runtime and bound (half and a quarter of what the
stock model must reserve there, and none, which is the smallest at --max_slowdown; or bytes): what must be reserved as
predicted, or why it was refused, and what was found. For TFLM (TFLM_DIR; cores of TFLM_CORES): whether the real
AllocateTensors succeeds in exactly that arena and fails in 16 bytes less. Ahead of time, on every core: arena and
painted stack. Without TFLM_DIR the first is what `convert` itself records on the host with the core's scratch. Exit
code 1 where a bound is exceeded, or 16 bytes less suffice.

    python -m experiments.device_bounds --models ../shared/data/models/kws_dscnn_int8.tflite build/demo/int8.tflite
"""

from __future__ import annotations

import argparse
import dataclasses
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import tflm_quantmcu as qm
from experiments.device_time import random_calibration
from tflm_quantmcu.app.reserve import arena_bytes_on
from tflm_quantmcu.base.byte_sizes import parse_bytes
from tflm_quantmcu.base.errors import BudgetError, QuantMcuError, UnsupportedModelError
from tflm_quantmcu.graph.target import AOT, CORES, RUNTIMES, TFLM, Target, core_named, short_core
from tflm_quantmcu.tflite.reader import read_model
from tools.qemu_run import QemuError, parse_results
from tools.tflm_build import tflm_folders
from tools.tflm_on_core import CoreImage, build_image

ROOT = Path(__file__).resolve().parents[1]
TFLM_CORES = ("cortex-m4", "cortex-m55")
# Of vdqs, a core for each variant of the kernels.
VDQS_CORES = ("cortex-m0plus", "cortex-m4", "cortex-m55")
# Which part of what the stock model reserves; None: no bound.
BOUNDS: Mapping[str, int | None] = {"half": 2, "quarter": 4, "at 1.10x": None}
LESS = "16 less suffice"
# Ops that a conversion may bring in, beside those of the stock models.
_KINDS = frozenset({"RESHAPE", "QUANTIZE", "MEAN", "PAD"})


@dataclasses.dataclass(frozen=True)
class Case:
    """What is converted, and for what.

    Attributes:
      bound: as it is shown.
      divisor: the bound is that part of what the stock model reserves.
      num_bytes: or it is these; with neither there is no bound.
    """

    model: str
    core: str
    search: str
    runtime: str
    bound: str
    divisor: int | None = None
    num_bytes: int | None = None

    def bound_bytes(self, stock_bytes: int) -> int | None:
        """`--sram_bytes`."""
        return self.num_bytes if self.divisor is None else stock_bytes // self.divisor


@dataclasses.dataclass(frozen=True)
class Row:
    """A case's bytes.

    Attributes:
      stock_bytes: to reserve for the model as it came.
      bound_bytes: `--sram_bytes`, or None.
      predicted_bytes: to reserve for the converted model; None where it was refused.
      found: in words, what the core did; "" where it was not tried.
      is_exceeded: whether it needs more than was predicted, or than the bound.
      refusal: why nothing was converted.
    """

    case: Case
    stock_bytes: int
    bound_bytes: int | None
    predicted_bytes: int | None = None
    found: str = ""
    is_exceeded: bool = False
    refusal: str = ""

    @property
    def text(self) -> str:
        """A line of a Markdown table."""
        case, bound = self.case, self.bound_bytes
        result = self.refusal or f"{self.predicted_bytes:,}"
        cells = (case.model, case.core, case.search, case.runtime, case.bound)
        figures = (f"{self.stock_bytes:,}", f"{bound:,}" if bound else "", result, self.found)
        return f"| {' | '.join((*cells, *figures))} |"


def cases_of(
    models: Sequence[str], cores: Sequence[str], searches: Sequence[str], bounds: Sequence[str] = tuple(BOUNDS)
) -> list[Case]:
    """All of them, a core at a time; bounds are names of BOUNDS, or sizes."""
    named = {name: (BOUNDS[name], None) if name in BOUNDS else (None, parse_bytes(name, "bounds")) for name in bounds}
    return [
        Case(model, core, search, runtime, bound, *bytes_of)
        for core in cores
        for search in searches
        if search == "uniform" or core in VDQS_CORES
        for model in models
        for runtime in RUNTIMES
        for bound, bytes_of in named.items()
    ]


class Trial:
    """Models, and what they are run with; objects and images stay in a folder."""

    def __init__(self, models: dict[str, bytes], folder: Path) -> None:
        self._models = models
        self._folder = folder
        self._images: dict[str, CoreImage] = {}
        self._calibrations: dict[str, object] = {}

    def row(self, case: Case) -> Row:
        """Converts the model and tries it."""
        model, target = self._models[case.model], Target.of(case.core, None, case.runtime)
        stock_bytes = arena_bytes_on(read_model(model), target).reserved_bytes
        bound = case.bound_bytes(stock_bytes)
        begun = Row(case, stock_bytes, bound)
        try:
            result = qm.convert(
                model,
                calibration=self._calibration(case) if case.search == "vdqs" else None,
                search=case.search,
                core=case.core,
                runtime=case.runtime,
                sram_bytes=bound,
                progress=False,
                n_jobs=1,
            )
        except (BudgetError, UnsupportedModelError) as error:
            return dataclasses.replace(begun, refusal=f"refused: {error}")
        reserved = result.report.converted.arena_bytes
        assert reserved is not None
        found, is_exceeded = self._tried(case, result.model, reserved)
        return dataclasses.replace(
            begun,
            predicted_bytes=reserved,
            found=found,
            is_exceeded=is_exceeded or (bound is not None and reserved > bound),
        )

    def stock_row(self, name: str, core: str) -> Row:
        """The model as it came, on TFLM."""
        model = self._models[name]
        reserved = arena_bytes_on(read_model(model), Target.of(core)).reserved_bytes
        found, is_exceeded = self._prepared(core, model, reserved)
        return Row(Case(name, core, "none", TFLM, "none"), reserved, None, reserved, found, is_exceeded)

    def _calibration(self, case: Case) -> object:
        if case.model not in self._calibrations:
            self._calibrations[case.model] = random_calibration(self._models[case.model])
        return self._calibrations[case.model]

    def _tried(self, case: Case, model: bytes, reserved: int) -> tuple[str, bool]:
        if case.runtime == AOT:
            return self._run_ahead_of_time(case.core, model, reserved)
        if case.core not in TFLM_CORES or tflm_folders() is None:
            return "", False
        return self._prepared(case.core, model, reserved)

    def _prepared(self, core: str, model: bytes, reserved: int) -> tuple[str, bool]:
        if core not in self._images:
            kinds = {op.kind for data in self._models.values() for op in read_model(data).ops}
            self._images[core] = build_image(core, kinds | _KINDS, self._folder / "tflm")
        is_enough, is_less_enough = self._images[core].prepares(model, reserved)
        words = {(True, False): "exactly", (True, True): LESS}
        return words.get((is_enough, is_less_enough), "does not prepare"), not is_enough

    def _run_ahead_of_time(self, core: str, model: bytes, reserved: int) -> tuple[str, bool]:
        with tempfile.TemporaryDirectory(dir=self._folder) as name:
            qm.emit(model, output_dir=name, core=core, name="model", bundle=False, num_samples=1)
            settings = {
                "QUANTMCU_DIR": ROOT,
                "OBJECT_DIR": self._folder / "aot" / short_core(core),
                "PYTHON": sys.executable,
            }
            command = ["make", "-s", "-C", name, "test", *(f"{k}={v}" for k, v in settings.items())]
            done = subprocess.run(command, capture_output=True, text=True)
        results = parse_results(done.stdout)
        if "STACK_BYTES" not in results:
            return (done.stdout + done.stderr).strip().splitlines()[-1], True
        arena, stack = int(results["ARENA_BYTES"]), int(results["STACK_BYTES"])
        return f"{arena:,} + {stack:,}", done.returncode != 0 or arena + stack > reserved


def run(trial: Trial, cases: Sequence[Case], stock: Sequence[tuple[str, str]]) -> Iterator[Row]:
    """A row for each case, and on TFLM for each (model, core) of `stock`."""
    if tflm_folders() is not None:
        yield from (trial.stock_row(name, core) for name, core in stock)
    yield from map(trial.row, cases)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="device_bounds", description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, nargs="+", required=True, help=".tflite, converted at each bound")
    parser.add_argument("--stock_models", type=Path, nargs="*", default=[], help=".tflite, tried as they are")
    parser.add_argument("--cores", nargs="+", type=core_named, choices=CORES, default=CORES)
    parser.add_argument("--searches", nargs="+", choices=("uniform", "vdqs"), default=("uniform", "vdqs"))
    parser.add_argument("--runtimes", nargs="+", choices=RUNTIMES, default=RUNTIMES)
    parser.add_argument("--bounds", nargs="+", default=list(BOUNDS), help=f"of {', '.join(BOUNDS)}, or sizes, as 32KB")
    parser.add_argument("--build_dir", type=Path, default=Path("build/device_bounds"), help="for objects and images")
    flags = parser.parse_args(arguments)
    begun = time.monotonic()
    flags.build_dir.mkdir(parents=True, exist_ok=True)
    models = {path.stem: path.read_bytes() for path in (*flags.models, *flags.stock_models)}
    names = [path.stem for path in flags.models]
    cases = cases_of(names, flags.cores, flags.searches, flags.bounds)
    cases = [case for case in cases if case.runtime in flags.runtimes]
    tried = [core for core in flags.cores if core in TFLM_CORES] if TFLM in flags.runtimes else []
    stock = [(name, core) for core in tried for name in models]
    print("| model | core | search | runtime | bound | stock, B | bound, B | predicted, B | on the core |")
    print("|---|---|---|---|---|---|---|---|---|")
    rows = []
    try:
        for row in run(Trial(models, flags.build_dir.resolve()), cases, stock):
            print(row.text, flush=True)
            rows.append(row)
    except (QuantMcuError, QemuError) as error:
        print(f"device_bounds: {error}", file=sys.stderr)
        return getattr(error, "exit_code", 1)
    exceeded = sum(row.is_exceeded for row in rows)
    found = sum(bool(row.found) for row in rows)
    refused = sum(bool(row.refusal) for row in rows)
    minutes = (time.monotonic() - begun) / 60
    less = sum(row.found == LESS for row in rows)
    counts = f"{len(rows)} rows, {refused} refused, {found} tried on a core"
    print(f"{counts}, {exceeded} exceed, {less} need less; {minutes:.0f} minutes")
    return 1 if exceeded or less else 0


if __name__ == "__main__":
    sys.exit(main())
