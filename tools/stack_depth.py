"""The stack that each entry of our ops on TFLM takes at most, from the compiler's own call graphs; nothing is run.

In: a core, and GCC for it. Out: for Init, Prepare and Eval the deepest op of each, in bytes: the longest path of frames
through our code. Not in it are what it calls of others (TFLM's context, a log, the C library, your reader and hook) and
what calls it (AllocateTensors and Invoke).

    python -m tools.stack_depth [--cores m0plus m4 m55]
"""

from __future__ import annotations

import argparse
import functools
import re
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

from tflm_quantmcu.graph.target import variant_of
from tools.qemu_run import cores

ROOT = Path(__file__).resolve().parents[1]
KERNELS = ROOT / "tflm_kernels"
COMPILER = "arm-none-eabi-g++"
ENTRIES = ("Init", "Prepare", "Eval")
_FLAGS = (
    *("-std=c++17", "-O3", "-mthumb", "-fno-exceptions", "-fno-rtti", "-ffunction-sections"),
    *("-DTF_LITE_STATIC_MEMORY", f"-I{ROOT}", "-fcallgraph-info=su", "-c"),
)
_NODE = re.compile(r'node: \{ title: "([^"]+)" label: "([^"]*?)(?:\\n[^"]*?\\n(\d+) bytes \(([^)]*)\)[^"]*)?"')
_EDGE = re.compile(r'edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"')
_INDIRECT = "__indirect_call"


def sources(core: str) -> list[Path]:
    """What firmware with TFLM compiles of ours for a core."""
    folders = ("portable/law", "portable/ops", "portable/stage", f"cortex_m/{variant_of(f'cortex-{core}')}", "micro")
    return [path for folder in folders for path in sorted((KERNELS / folder).glob("*.cc"))]


class CallGraph:
    """Functions with the bytes of their frames, and whom each calls."""

    def __init__(self, texts: Iterable[str]) -> None:
        self._bytes: dict[str, int] = {}
        self._calls: dict[str, set[str]] = {}
        for text in texts:
            for title, _, num_bytes, kind in _NODE.findall(text):
                if num_bytes:
                    assert kind == "static", f"{title} has a frame of no fixed size"
                    self._bytes[title] = max(int(num_bytes), self._bytes.get(title, 0))
            for caller, called in _EDGE.findall(text):
                self._calls.setdefault(caller, set()).add(called)

    @functools.cached_property
    def names(self) -> Mapping[str, str]:
        """Title -> the function without its arguments."""
        titles = sorted(self._bytes)
        mangled = "\n".join(title.rpartition(":")[2] for title in titles)
        found = subprocess.run(["c++filt", "-p"], input=mangled, capture_output=True, text=True, check=True).stdout
        return dict(zip(titles, found.splitlines(), strict=True))

    def depth(self, title: str, indirect: int) -> int:
        """Bytes from a function's frame to the deepest one below it; a call by pointer takes `indirect`.

        Raises:
          RecursionError: a function calls itself, so that no depth is known.
        """
        return self._depth(title, indirect, ())

    def _depth(self, title: str, indirect: int, path: tuple[str, ...]) -> int:
        if title in path:
            raise RecursionError(f"{title} calls itself")
        if title == _INDIRECT:
            return indirect
        below = (self._depth(called, indirect, (*path, title)) for called in self._calls.get(title, ()))
        return self._bytes.get(title, 0) + max(below, default=0)

    def deepest(self, pattern: str, indirect: int = 0) -> tuple[int, str]:
        """(bytes, name) of the function of the deepest path among those whose whole name matches."""
        matching = [title for title, name in self.names.items() if re.fullmatch(pattern, name)]
        return max((self.depth(title, indirect), self.names[title]) for title in matching)


def call_graph(core: str) -> CallGraph:
    """Compiles our sources for a core, as firmware has them."""
    with tempfile.TemporaryDirectory() as folder:
        for number, path in enumerate(sources(core)):
            command = [COMPILER, *cores()[core]["flags"], *_FLAGS, str(path), "-o", f"{folder}/{number}.o"]
            subprocess.run(command, check=True)
        return CallGraph(path.read_text() for path in Path(folder).glob("*.ci"))


def stack_of_entries(core: str) -> Iterator[tuple[str, int, str]]:
    """(Init, Prepare or Eval, bytes, name of the deepest) of our ops on a core."""
    graph = call_graph(core)
    sizes, _ = graph.deepest(r"quantmcu::\w+::\w+ScratchBytes")
    kernels, _ = graph.deepest(r"quantmcu::(reference|plain|dsp|mve)::[A-Z]\w+(<.*>)?")
    for entry in ENTRIES:
        pattern = rf"quantmcu::(\w+::|\(anonymous namespace\)::)*{entry}\w*(<.*>)?"
        yield (entry, *graph.deepest(pattern, kernels if entry == "Eval" else sizes))


def _short(name: str) -> str:
    return name.partition("<")[0].rpartition("::")[2]


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.stack_depth", description=__doc__.splitlines()[0])
    parser.add_argument("--cores", nargs="+", choices=sorted(cores()), default=list(cores()))
    print("| core | " + " | ".join(ENTRIES) + " |\n|---|" + "---|" * len(ENTRIES))
    for core in parser.parse_args(arguments).cores:
        found = [f"{num_bytes:,} ({_short(name)})" for _, num_bytes, name in stack_of_entries(core)]
        print(f"| {core} | {' | '.join(found)} |", flush=True)


if __name__ == "__main__":
    main()
