"""Measures every kernel variant of a core in QEMU: the command `bench`.

In: a source tree with Bazel, the cross compiler and QEMU; the shapes are its tflm_kernels/benchmarks/shapes/*.txt.
Out: a CSV with a row for each variant, op, tag and shape. Counts are exact and do not depend on the machine
(docs/cortex_m.md). What is not a source tree is refused.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import math
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path

from tflm_quantmcu.base import programs
from tflm_quantmcu.base.errors import QuantMcuError, UsageError
from tflm_quantmcu.base.files import write_atomically
from tflm_quantmcu.cost import stage_driver, stock_call_times
from tflm_quantmcu.cost.cycles import Listing, Work, measured_spans
from tflm_quantmcu.cost.shapes import SAME_FORMAT, KernelShape
from tflm_quantmcu.cost.stage_driver import StageRow
from tflm_quantmcu.cost.stock_call_times import StockRow
from tflm_quantmcu.graph.target import require_core, short_core, variant_of

BASELINE = "tflm_kernels/benchmarks/cmsis_nn_baseline.csv"
BASELINE_TAG = "a8w8"
_SHAPES = "tflm_kernels/benchmarks/shapes"
_STAGES = "tflm_kernels/benchmarks/stages.txt"
_STOCK_CALLS = "tflm_kernels/benchmarks/stock_calls.txt"
# QEMU runs a block unseen by the plugin in about one of 8,000 cases, which may be more than a share of a small one; the
# image's own count is exact.
_MISSED_SHARE, _MISSED_BLOCK = 0.01, 48
_PORTABLE, _FAST = "portable/libportable.a", "cortex_m/libkernels.a"
_OBJECT = re.compile(r"^\s*(\d+)\s.*\s(\w+)\.o\b", re.MULTILINE)


@dataclasses.dataclass(frozen=True)
class BenchRow:
    """One measured call; `text_bytes` is the code of the variant's own object file, all tags together."""

    core: str
    variant: str
    tag: str
    shape: KernelShape
    work: Work
    crc32: int
    text_bytes: int

    @property
    def instructions(self) -> int:
        """The instructions of the call."""
        return self.work.instructions

    @property
    def per_unit(self) -> float:
        """Instructions per MAC, or per output value of ops without weights."""
        return self.instructions / self.shape.work


_COLUMNS = (
    *("core", "variant", "op", "tag", "input", "output", "kernel", "stride", "pad", "work"),
    *("instructions", "instructions_per_unit", "loads", "stores", "taken_branches", "cycles", "crc32", "text_bytes"),
)


def bench(core: str, *, output: str | os.PathLike[str]) -> str:
    """Builds and runs the benchmark images of a core and writes the CSV.

    Args:
      core: `cortex-m4` and its like.
      output: the CSV of kernel calls; those of stages and of stock ops, stages_<core>.csv and stock_<core>.csv, are
        written beside it.

    Returns:
      What was measured in words; on cores with figures of CMSIS-NN the ratio to them.

    Raises:
      UsageError: no source tree, no such core, or a program is missing.
      QuantMcuError: a tool failed, or two variants differ in a byte.
    """
    core = short_core(require_core(core))
    root = _source_tree()
    programs.require(("bazel", *programs.ON_CORTEX_M))
    networks = sorted(path.stem for path in (root / _SHAPES).glob("*.txt"))
    labels = [f"//tflm_kernels/benchmarks:{image}" for image in (*networks, "stages", "stock")]
    _call(["bazel", "build", f"--config=cortex_{core}", *labels], root)
    binaries = root / f"build/cortex_{core}/bin/tflm_kernels"
    text_bytes = _text_bytes(binaries, core, root)
    rows: dict[tuple[str, str, KernelShape], BenchRow] = {}
    for network in networks:
        image = binaries / "benchmarks" / network
        text, spans = _run(image, core, root)
        work = [call + nothing * -1 for call, nothing in zip(spans[::2], spans[1::2], strict=True)]
        for row in parse_output(text, work, core=core, text_bytes=text_bytes):
            rows[row.variant, row.tag, row.shape] = row
    check_equal_outputs(rows.values())
    write_atomically(output, to_csv(rows.values()).encode())
    stages = _stage_rows(binaries / "benchmarks/stages", core, root)
    stages_output = Path(output).with_name(f"stages_{core}.csv")
    write_atomically(stages_output, stage_driver.to_csv(stages).encode())
    stock = stock_rows(core, root)
    stock_output = Path(output).with_name(f"stock_{core}.csv")
    write_atomically(stock_output, stock_call_times.to_csv(stock).encode())
    lines = [f"measured {len(rows)} calls on {core} -> {output}", f"{len(stages)} stages -> {stages_output}"]
    lines.append(f"and {len(stock)} calls of stock ops -> {stock_output}")
    if ratios := baseline_ratios(rows.values(), (root / BASELINE).read_text(), core=core):
        lines += [f"{tag} / CMSIS-NN int8, MobileNetV2: {ratio:.3f}" for tag, ratio in ratios.items()]
    return "\n".join(lines)


def _run(image: Path, core: str, root: Path) -> tuple[str, list[Work]]:
    """(what the image printed, what each of its measurements did)."""
    listing = Listing(_call(["arm-none-eabi-objdump", "-d", "--no-show-raw-insn", str(image)], root))
    with tempfile.TemporaryDirectory() as folder:
        blocks = Path(folder) / "blocks"
        command = [sys.executable, "-m", "tools.qemu_run", "--core", core, "--blocks", str(blocks), str(image)]
        text = _call(command, root)
        return text, measured_spans(blocks.read_text(), listing, core)


def _stage_rows(image: Path, core: str, root: Path) -> list[StageRow]:
    programs = stage_driver.read_stages((root / _STAGES).read_text())
    _, spans = _run(image, core, root)
    found = zip(programs, spans, strict=True)
    return [StageRow(stage_driver.driver_features(program), work) for program, work in found]


def stock_rows(core: str, root: Path) -> list[StockRow]:
    """What the kernels of stock ops take on a core (m4 and its like); they are built for it."""
    _call(["bazel", "build", f"--config=cortex_{core}", "//tflm_kernels/benchmarks:stock"], root)
    calls = stock_call_times.read_calls((root / _STOCK_CALLS).read_text())
    _, spans = _run(root / f"build/cortex_{core}/bin/tflm_kernels/benchmarks/stock", core, root)
    return [StockRow(call, work) for call, work in zip(calls, spans, strict=True)]


def parse_output(text: str, work: Sequence[Work], *, core: str, text_bytes: dict[str, int]) -> list[BenchRow]:
    """The rows that an image printed.

    Args:
      text: with a line a case.
      work: of each case, in that order.
      core: of the image.
      text_bytes: of object files `<op>` and `<op>_<variant>`.

    Raises:
      QuantMcuError: blocks of code do not add up to the instructions that the image counted.
    """
    rows = []
    cases = [line for line in text.splitlines() if line.startswith("CASE,")]
    for line, found in zip(cases, work, strict=True):
        _, variant, op, tag, *dimensions, instructions, crc32 = line.split(",")
        shape = KernelShape(op, *map(_numbers, dimensions))
        file = op.removesuffix(SAME_FORMAT)
        source = file if variant == "reference" else f"{file}_{variant}"
        missed = abs(found.instructions - int(instructions))
        if missed > max(_MISSED_SHARE * int(instructions), _MISSED_BLOCK):
            raise QuantMcuError(f"blocks of code add up to {found.instructions} instructions in {line}")
        found = dataclasses.replace(found, instructions=int(instructions))
        rows.append(BenchRow(core, variant, tag, shape, found, int(crc32), text_bytes.get(source, 0)))
    return rows


def check_equal_outputs(rows: Iterable[BenchRow]) -> None:
    """Refuses variants whose outputs on the same case differ.

    Raises:
      QuantMcuError: they do.
    """
    outputs: dict[tuple[str, KernelShape], BenchRow] = {}
    for row in rows:
        other = outputs.setdefault((row.tag, row.shape), row)
        if other.crc32 != row.crc32:
            raise QuantMcuError(
                f"{row.variant} and {other.variant} differ in the output of {row.shape.op} {row.tag} on "
                f"{_text(row.shape.input)} -> {_text(row.shape.output)}"
            )


def to_csv(rows: Iterable[BenchRow]) -> str:
    """The rows as text with a header."""
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(_COLUMNS)
    for row in rows:
        shape = row.shape
        dimensions = map(_text, (shape.input, shape.output, shape.kernel, shape.stride, shape.pad))
        instructions, *others = dataclasses.astuple(row.work)
        counts = (shape.work, instructions, f"{row.per_unit:.3f}", *others, f"{row.crc32:08x}", row.text_bytes)
        writer.writerow([row.core, row.variant, shape.op, row.tag, *dimensions, *counts])
    return buffer.getvalue()


def from_csv(text: str) -> list[BenchRow]:
    """The inverse of to_csv."""
    return [
        BenchRow(
            cells["core"],
            cells["variant"],
            cells["tag"],
            _shape(cells),
            Work(*(int(cells[field.name]) for field in dataclasses.fields(Work))),
            int(cells["crc32"], 16),
            int(cells["text_bytes"]),
        )
        for cells in csv.DictReader(io.StringIO(text))
    ]


def baseline_ratios(
    rows: Iterable[BenchRow], baseline: str, *, core: str, network: str = "mobilenet_v2"
) -> dict[str, float]:
    """Instructions of the fast variants over CMSIS-NN's at int8: geometric means over a network's shapes.

    Args:
      rows: measured ones.
      baseline: the text of BASELINE.
      core: CMSIS-NN's figures are of m4 and m55; m7 and m33 run the code of m4.
      network: a network of the baseline.

    Returns:
      {tag: ratio over all ops, "<op> <tag>": of that op}; without figures for the core, empty. Ops without weights
      count for every tag with their activation bits.
    """
    column = {"m4": "m4", "m7": "m4", "m33": "m4", "m55": "m55"}.get(core)
    if column is None:
        return {}
    theirs = {
        _shape(cells): int(cells[f"{column}_instructions"])
        for cells in csv.DictReader(io.StringIO(baseline))
        if cells["network"] == network
    }
    ratios: dict[str, list[float]] = {}
    for row in rows:
        if row.variant == "reference" or row.shape not in theirs:
            continue
        ratio = row.instructions / theirs[row.shape]
        tags = [row.tag] if "w" in row.tag else [f"{row.tag}w{bits}" for bits in (8, 4, 2)]
        for key in (*tags, f"{row.shape.op} {row.tag}"):
            ratios.setdefault(key, []).append(ratio)
    return {key: math.exp(sum(map(math.log, group)) / len(group)) for key, group in sorted(ratios.items())}


def _shape(cells: dict[str, str]) -> KernelShape:
    return KernelShape(cells["op"], *(_numbers(cells[name]) for name in ("input", "output", "kernel", "stride", "pad")))


def _numbers(text: str) -> tuple[int, ...]:
    return tuple(map(int, text.split("x")))


def _text(numbers: Sequence[int]) -> str:
    return "x".join(map(str, numbers))


def _source_tree() -> Path:
    root = Path(__file__).resolve().parents[2]
    if not (root / _SHAPES).is_dir():
        raise UsageError(
            f"bench builds kernels from a source tree, and {root} is none: run it where the project is cloned"
        )
    return root


def _text_bytes(binaries: Path, core: str, root: Path) -> dict[str, int]:
    """Bytes of code of each object file of the kernels: `<op>`, and `<op>_<variant>` on cores with fast variants."""
    libraries = {_PORTABLE: "", _FAST: f"_{variant_of(core)}"}
    sizes: dict[str, int] = {}
    for library, suffix in libraries.items():
        if (binaries / library).is_file():
            text = _call(["arm-none-eabi-size", str(binaries / library)], root)
            sizes |= {f"{name}{suffix}": int(size) for size, name in _OBJECT.findall(text)}
    return sizes


def _call(command: Sequence[str], root: Path) -> str:
    try:
        done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    except FileNotFoundError:
        raise QuantMcuError(f"{command[0]} is missing; `make setup` installs it") from None
    if done.returncode != 0:
        raise QuantMcuError(f"{command[0]} failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout
