"""Which kernels take how much of networks' estimated cycles on a core, and which of them have a fast variant there.

    python -m experiments.kind_shares FILE.tflite ... [--core cortex-m4] [--rows FILE.csv]
    python -m experiments.kind_shares --models FILE.py [--tables ZOO] [--keep DIR]

Networks as of experiments.zoo; each is converted as users do it (`--search uniform`, no bound). Prints a Markdown
table, a row a kernel: its largest share of the cycles of one inference, converted or not, in which network, in how many
it takes more than 5 %, which ops run on it there, and whether the core's table of kernels
(tflm_kernels/cortex_m/*/kernels.h) names a variant of its own. What runs the tiles of stages beside kernels is a row
too. Networks with calls that no table knows are named: their shares are of what is known.
"""

from __future__ import annotations

import argparse
import csv
import dataclasses
import functools
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import tflm_quantmcu as qm
from experiments.zoo import builders_of, load_module, model_bytes
from tflm_quantmcu.base.errors import QuantMcuError
from tflm_quantmcu.cost.calls import Call, Calls, UnknownCall, stage_calls
from tflm_quantmcu.cost.instructions import InstructionTable, load_table
from tflm_quantmcu.cost.model_time import op_calls
from tflm_quantmcu.cost.shapes import SAME_FORMAT
from tflm_quantmcu.cost.stock_call_times import StockCall
from tflm_quantmcu.graph.target import CORES, DEFAULT_CORE, Target, core_named, variant_of
from tflm_quantmcu.graph.types import ModelGraph
from tflm_quantmcu.native.sources import kernel_sources
from tflm_quantmcu.stage.custom_ops import PATCH_STAGE, program_of
from tflm_quantmcu.tflite.model_file import ModelFile

MUCH = 0.05
TILES = "(running tiles)"
_Kernel = tuple[str, str]  # its name, and the op that runs on it


@dataclasses.dataclass(frozen=True)
class Share:
    """What one kernel takes of one network.

    Attributes:
      network: its name.
      is_split: the converted one; else the network as it was.
      kernel: as tables of costs name it.
      op: what runs on it: TFLite's name, or ours in stages.
      part: of the cycles that are known, 0 to 1.
      num_unknown: calls of the network that no table knows.
    """

    network: str
    is_split: bool
    kernel: str
    op: str
    part: float
    num_unknown: int


def main() -> None:
    parser = argparse.ArgumentParser(
        prog="python -m experiments.kind_shares", description=(__doc__ or "").split("\n")[0]
    )
    parser.add_argument("files", nargs="*", type=Path, help="int8 .tflite files")
    parser.add_argument("--models", type=Path, help="Python file with builders of Keras models")
    parser.add_argument("--tables", action="append", help="a dict of that file, again for more; default ZOO")
    parser.add_argument("--keep", help="folder of int8 models: those that it holds are not made again")
    parser.add_argument("--core", default=DEFAULT_CORE, help="whose cycles and kernels (default: %(default)s)")
    parser.add_argument("--rows", help="CSV of all shares, to write")
    chosen = parser.parse_args()
    core = core_named(chosen.core)
    if core not in CORES:
        parser.error(f"--core is one of {', '.join(CORES)}")
    shares: list[Share] = []
    for name, data in _networks(chosen):
        try:
            shares += shares_of(name, data, core)
        except QuantMcuError as error:
            print(f"not among them: {name}, {str(error)[:120]}", flush=True)
    if chosen.rows:
        with open(chosen.rows, "w", newline="") as file:
            csv.writer(file).writerows(dataclasses.astuple(share) for share in shares)
    print(table_of(shares, core))


def _networks(chosen: argparse.Namespace) -> Iterator[tuple[str, bytes]]:
    """(name, `.tflite`) of each network that can be made."""
    yield from ((path.stem, path.read_bytes()) for path in chosen.files)
    if not chosen.models:
        return
    module = load_module(chosen.models)
    builders = {name: build for t in chosen.tables or ["ZOO"] for name, build in builders_of(module, t).items()}
    for name, build in builders.items():
        try:
            yield name, model_bytes(name, build, chosen.keep)
        except Exception as error:  # whatever Keras raises: the model is then none of ours
            print(f"not made: {name}, {str(error).splitlines()[0][:120]}", flush=True)


def shares_of(name: str, data: bytes, core: str) -> list[Share]:
    """The shares of a network as it is, and converted for the core by uniform search.

    Raises:
      QuantMcuError: it is not taken.
    """
    converted = qm.convert(data, search="uniform", core=core, progress=False, n_jobs=1)
    found = []
    for is_split, graph in enumerate((ModelFile(data).graph, ModelFile(converted.model).graph)):
        cycles, num_unknown = kernel_cycles(graph, core)
        total = sum(cycles.values())
        found += [Share(name, bool(is_split), *kernel, n / total, num_unknown) for kernel, n in cycles.items() if n]
    return found


def kernel_cycles(graph: ModelGraph, core: str) -> tuple[Mapping[_Kernel, float], int]:
    """(kernel, op) -> estimated cycles on the core of a model, converted or not; and how many calls are not known."""
    table = load_table(core).cycles
    assert table
    cycles: Counter[_Kernel] = Counter()
    num_unknown = 0
    target = Target.of(core)
    for op in graph.ops:
        if op.kind != PATCH_STAGE:
            num_unknown += _add(cycles, op.kind, op_calls(graph, op, target), table)
            continue
        program = program_of(graph, op)
        for index, inner in enumerate(program.ops):
            num_unknown += _add(cycles, inner.traits.name, stage_calls(program, only=[index]), table)
        cycles[TILES, PATCH_STAGE] += table.beside_kernels(program)  # type: ignore[assignment]
    return cycles, num_unknown


def _add(cycles: Counter[_Kernel], op: str, calls: Calls, table: InstructionTable) -> int:
    """Adds calls of an op to what their kernels take; how many are not known."""
    for call, times in calls.items():
        cycles[kernel_of(call), op] += times * (table.of_call(call) or 0.0)  # type: ignore[assignment]
    return len(table.unknown(calls))


def kernel_of(call: Call) -> str:
    """The name of its C++ function."""
    if isinstance(call, StockCall):
        return call.kernel
    if isinstance(call, UnknownCall):
        return "unknown"
    words = call[0].op.removesuffix(SAME_FORMAT).split("_")
    return "".join(map(str.capitalize, words)).replace("2d", "2D")


@functools.cache
def fast_kernels(variant: str) -> frozenset[str]:
    """The kernels of which a variant has its own, by its header: the functions that it declares."""
    text = (kernel_sources() / f"tflm_kernels/cortex_m/{variant}/kernels.h").read_text()
    return frozenset(re.findall(r"^\w+Fn (\w+);", text, re.MULTILINE))


def table_of(shares: Sequence[Share], core: str) -> str:
    """The Markdown table, the largest share first, then what is not known."""
    fast, rows = fast_kernels(variant_of(core)), []
    for kernel in {share.kernel for share in shares}:
        of_kernel = [share for share in shares if share.kernel == kernel]
        parts: Counter[tuple[str, bool]] = Counter()
        for share in of_kernel:
            parts[share.network, share.is_split] += share.part  # type: ignore[assignment]
        (network, is_split), part = max(parts.items(), key=lambda item: item[1])
        many = len({name for (name, _), n in parts.items() if n > MUCH})
        ops = ", ".join(sorted({share.op for share in of_kernel}))
        has_fast = "" if kernel == TILES else "yes" if kernel in fast else "no"
        where = f"{network}, {'converted' if is_split else 'as it is'}"
        rows.append((part, f"| {kernel} | {ops} | {part:.1%} | {where} | {many} | {has_fast} |"))
    columns = ("kernel", "of", f"largest share on {core}", "of which network", f"networks above {MUCH:.0%}", "fast")
    head = f"| {' | '.join(columns)} |\n|{'---|' * len(columns)}"
    unknown = sorted({share.network for share in shares if share.num_unknown})
    networks = {share.network for share in shares}
    count = f"{len(networks)} networks; with calls that no table knows: {', '.join(unknown) or 'none'}"
    return "\n".join([head, *(row for _, row in sorted(rows, reverse=True)), "", count])


if __name__ == "__main__":
    main()
