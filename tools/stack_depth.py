"""The stack that each entry of our ops on TFLM takes at most, from the compiler's own call graphs; nothing is run.

In: a core, and GCC for it. Out: for Init, Prepare and Eval the deepest op of each, in bytes: the longest path of frames
through our code. Not in it are what it calls of others (TFLM's context, a log, the C library, your reader and hook) and
what calls it (AllocateTensors and Invoke).

    python -m tools.stack_depth [--cores m0plus m4 m55]

`--write` writes tflm_quantmcu/native/data/stack.csv instead: what each kernel and a patch stage take in emitted code,
of all cores of a variant and GCC's -O2, -O3 and -Os the most.
"""

from __future__ import annotations

import argparse
import csv
import functools
import io
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from tflm_quantmcu.base.files import write_atomically
from tflm_quantmcu.graph.op_kinds import OP_KINDS
from tflm_quantmcu.graph.target import variant_of
from tflm_quantmcu.native.stack import HEADINGS, STAGE_ABOVE_KERNELS, STAGE_ALONE
from tools.qemu_run import cores

ROOT = Path(__file__).resolve().parents[1]
KERNELS = ROOT / "tflm_kernels"
COMPILER = "arm-none-eabi-g++"
ENTRIES = ("Init", "Prepare", "Eval")
LEVELS = ("-O2", "-O3", "-Os")
TABLE = ROOT / "tflm_quantmcu/native/data/stack.csv"
_FLAGS = (
    *("-std=c++17", "-mthumb", "-fno-exceptions", "-fno-rtti", "-ffunction-sections"),
    *("-DTF_LITE_STATIC_MEMORY", f"-I{ROOT}", "-fcallgraph-info=su", "-c"),
)
_NODE = re.compile(r'node: \{ title: "([^"]+)" label: "([^"]*?)(?:\\n[^"]*?\\n(\d+) bytes \(([^)]*)\)[^"]*)?"')
_EDGE = re.compile(r'edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"')
_INDIRECT = "__indirect_call"
_TAKEN = re.compile(r"R_ARM_(?:ABS32|THM_MOVW_ABS_NC) +\w+ +(_Z\w+)$", re.MULTILINE)
_SPACE = r"quantmcu::(reference|plain|dsp|mve)::"
_KERNEL = _SPACE + r"([A-Z]\w+?)(<[\d, ]+>)?"
_NAMES = frozenset((*(kind.kernel for kind in OP_KINDS.values()), "RareOp"))
_STAGE = r"quantmcu::PatchStage(WithHook|Step)?"
_RARE_OP = "reference::RareOp"
_RARE_KERNELS = r"quantmcu::reference::(GatherChannels|ResizeNearest|DepthToSpace|ResizeBilinear|Product)"
_SMALL = 64  # of a function that a kernel calls by pointer: one of values
_FAR = 1 << 20


def sources(core: str) -> list[Path]:
    """What firmware with TFLM compiles of ours for a core."""
    folders = ("portable/law", "portable/ops", "portable/stage", f"cortex_m/{variant_of(f'cortex-{core}')}", "micro")
    return [path for folder in folders for path in sorted((KERNELS / folder).glob("*.cc"))]


class CallGraph:
    """Functions with the bytes of their frames, whom each calls, and whom a kernel may call by pointer: parts of
    kernels whose address its file takes.

    Args:
      files: of each the compiler's call graph, and what `readelf -rW` prints of the object.
    """

    def __init__(self, files: Iterable[tuple[str, str]]) -> None:
        self._bytes: dict[str, int] = {}
        self._calls: dict[str, set[str]] = {}
        self._by_pointer: dict[str, frozenset[str]] = {}
        for text, relocations in files:
            taken = frozenset(filter(_is_part_of_a_kernel, set(_TAKEN.findall(relocations))))
            for title, _, num_bytes, kind in _NODE.findall(text):
                if num_bytes:
                    assert kind == "static", f"{title} has a frame of no fixed size"
                    self._bytes[title] = max(int(num_bytes), self._bytes.get(title, 0))
                    self._by_pointer[title] = taken | self._by_pointer.get(title, frozenset())
            for caller, called in _EDGE.findall(text):
                self._calls.setdefault(caller, set()).add(called)
        # Of a template's function the file that has it says `file:name`, a file that calls it `name`.
        self._elsewhere = {title.rpartition(":")[2]: title for title in self._bytes}

    @functools.cached_property
    def names(self) -> Mapping[str, str]:
        """Title -> the function without its arguments."""
        titles = sorted(self._bytes)
        mangled = "\n".join(title.rpartition(":")[2] for title in titles)
        found = subprocess.run(["c++filt", "-p"], input=mangled, capture_output=True, text=True, check=True).stdout
        return dict(zip(titles, found.splitlines(), strict=True))

    def depth(self, title: str, indirect: int) -> int:
        """Bytes from a function's frame to the deepest one below it; a call by pointer takes `indirect` at least.

        Raises:
          RecursionError: a function calls itself, so that no depth is known.
        """
        return self._depth(title, indirect, ())

    def _depth(self, title: str, indirect: int, path: tuple[str, ...], *, is_by_pointer: bool = False) -> int:
        if title in path:
            raise RecursionError(f"{title} calls itself")
        if title == _INDIRECT:
            # What is called by pointer is taken to call none by pointer of its file: whom it would, is not known.
            taken = () if is_by_pointer else self._by_pointer[path[-1]]
            return max([indirect, *(self._depth(called, indirect, (), is_by_pointer=True) for called in taken)])
        title = title if title in self._bytes else self._elsewhere.get(title, title)
        path = (*path, title)
        below = [self._depth(t, indirect, path, is_by_pointer=is_by_pointer) for t in self._calls.get(title, ())]
        return self._bytes.get(title, 0) + max(below, default=0)

    def deepest(self, pattern: str, indirect: int = 0) -> tuple[int, str]:
        """(bytes, name) of the function of the deepest path among those whose whole name matches."""
        matching = [title for title, name in self.names.items() if re.fullmatch(pattern, name)]
        return max(((self.depth(title, indirect), self.names[title]) for title in matching), default=(0, ""))


def call_graph(core: str, level: str = "-O3") -> CallGraph:
    """Compiles our sources for a core, as firmware has them."""
    with tempfile.TemporaryDirectory() as folder:
        for number, path in enumerate(sources(core)):
            command = [COMPILER, *cores()[core]["flags"], level, *_FLAGS, str(path), "-o", f"{folder}/{number}.o"]
            subprocess.run(command, check=True)
        return CallGraph((path.read_text(), _relocations(path.with_suffix(".o"))) for path in Path(folder).glob("*.ci"))


def _relocations(path: Path) -> str:
    command = ["arm-none-eabi-readelf", "-rW", str(path)]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


@functools.cache
def _is_part_of_a_kernel(mangled: str) -> bool:
    """Whether a function is one of those that kernels hand to each other; kernels themselves are in tables."""
    found = subprocess.run(["c++filt", "-p", mangled], check=True, capture_output=True, text=True).stdout.strip()
    name = found.partition("<")[0].rpartition("::")[2]
    is_kernel = name.removesuffix("Of").removesuffix("Regular").removesuffix("Whole") in _NAMES
    return bool(re.match(_SPACE, found)) and not is_kernel


def stack_of_entries(core: str) -> Iterator[tuple[str, int, str]]:
    """(Init, Prepare or Eval, bytes, name of the deepest) of our ops on a core."""
    graph = call_graph(core)
    sizes, _ = graph.deepest(r"quantmcu::\w+::\w+ScratchBytes")
    kernels, _ = graph.deepest(r"quantmcu::(reference|plain|dsp|mve)::[A-Z]\w+(<.*>)?")
    for entry in ENTRIES:
        pattern = rf"quantmcu::(\w+::|\(anonymous namespace\)::)*{entry}\w*(<.*>)?"
        yield (entry, *graph.deepest(pattern, kernels if entry == "Eval" else sizes))


def stack_of_units(graph: CallGraph) -> dict[str, int]:
    """Kernel, as native/linked.py calls it, or part of a patch stage -> bytes that it takes in emitted code."""
    found: dict[str, int] = {}
    for title, name in graph.names.items():
        if match := re.fullmatch(_KERNEL, name):
            space, kernel, widths = match.groups()
            unit = f"{space if space == 'reference' else 'kernels'}::{kernel}{(widths or '').replace(', ', 'x')}"
            by_widths, _ = graph.deepest(rf"quantmcu::{space}::{kernel}Of<.*>", _SMALL)  # called by pointer
            found[unit] = max(found.get(unit, 0), graph.depth(title, by_widths or _SMALL))
    rare, _ = graph.deepest(_RARE_KERNELS, _SMALL)
    found[_RARE_OP], _ = graph.deepest(rf"quantmcu::{_RARE_OP}", rare)
    found[STAGE_ALONE], _ = graph.deepest(_STAGE, _SMALL)
    found[STAGE_ABOVE_KERNELS] = graph.deepest(_STAGE, _FAR)[0] - _FAR
    return found


def table_of_units(core_names: Iterable[str]) -> str:
    """The CSV, with the variants that these cores have measured anew on all their cores, the others as they are."""
    variants = {variant_of(f"cortex-{core}") for core in core_names}
    rows = list(csv.reader(TABLE.read_text("utf-8").splitlines()))[1:]
    found = {(variant, unit): int(num_bytes) for variant, unit, num_bytes in rows if variant not in variants}
    for core in cores():
        if (variant := variant_of(f"cortex-{core}")) not in variants:
            continue
        for level in LEVELS:
            for unit, num_bytes in stack_of_units(call_graph(core, level)).items():
                found[variant, unit] = max(found.get((variant, unit), 0), num_bytes)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(HEADINGS)
    writer.writerows((*key, num_bytes) for key, num_bytes in sorted(found.items()))
    return text.getvalue()


def _short(name: str) -> str:
    return name.partition("<")[0].rpartition("::")[2]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.stack_depth", description=__doc__.splitlines()[0])
    parser.add_argument("--cores", nargs="+", choices=sorted(cores()), default=list(cores()))
    parser.add_argument("--write", action="store_true", help=f"write {TABLE.relative_to(ROOT)}")
    flags = parser.parse_args(arguments)
    if flags.write:
        write_atomically(TABLE, table_of_units(flags.cores).encode())
        return
    print("| core | " + " | ".join(ENTRIES) + " |\n|---|" + "---|" * len(ENTRIES))
    for core in flags.cores:
        found = [f"{num_bytes:,} ({_short(name)})" for _, num_bytes, name in stack_of_entries(core)]
        print(f"| {core} | {' | '.join(found)} |", flush=True)


if __name__ == "__main__":
    main()
