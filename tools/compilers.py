"""Builds emitted models by GCC and by clang for Cortex-M and compares: bytes, instructions, warnings.

    python -m tools.compilers                       # the hello world's three models on all six cores
    python -m tools.compilers --cores m4 m55 --models m.tflite
    python -m tools.compilers --cores m4 --functions 10             # and the functions in which they differ most

In: arm-none-eabi-g++ (Debian gcc-arm-none-eabi), clang++ or clang++-14 (Debian clang), QEMU. Out: a table. The exit
code is 1 where a test fails, bytes differ or a compiler warns (-Wall -Wextra -Wconversion); instructions are shown, and
counted as too many beyond --most_percent.
"""

from __future__ import annotations

import argparse
import bisect
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import tflm_quantmcu as qm
from tools.hello_world import MODELS
from tools.qemu_run import cores, parse_results, run_image

ROOT = Path(__file__).resolve().parents[1]
COMPILERS = ("gcc", "clang")
CLANGS = ("clang++", "clang++-14", "clang++-16", "clang++-19")
_CODE_SYMBOL = re.compile(r"^([0-9a-f]+) [tTwW] (.*)$", re.MULTILINE)
_WARNING = re.compile(r"^.*(?:warning|error): .*$", re.MULTILINE)


class Build:
    """One model by one compiler: the image of its test, what this printed, and what the compiler said."""

    def __init__(self, project: Path, core: str, compiler: str, clang: str) -> None:
        variables = [f"CORE={core}", f"COMPILER={compiler}", f"CLANG={clang}", f"QUANTMCU_DIR={ROOT}"]
        variables.append(f"PYTHON={sys.executable}")
        command = ["make", "-s", f"-j{os.cpu_count()}", "-C", str(project), "test", *variables]
        environment = {**os.environ, "FLAGS": "-Wconversion"}
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        self.has_passed = done.returncode == 0 and "~~~ALL TESTS PASSED~~~" in done.stdout
        self.results = parse_results(done.stdout)
        self.warnings = sorted(set(_WARNING.findall(done.stderr)))
        self.image = project / "build" / ("clang_" * (compiler == "clang") + core) / "main"

    @property
    def instructions(self) -> int:
        """Instructions of one inference, 0 where the test did not come so far."""
        return int(self.results.get("INSTRUCTIONS", "0"))


def instructions_by_function(image: Path, core: str) -> Counter[str]:
    """Executed in the longest span that the image measured: an inference."""
    listing = subprocess.run(["arm-none-eabi-nm", "-nC", image], check=True, capture_output=True, text=True).stdout
    symbols = [(int(address, 16) & ~1, name) for address, name in _CODE_SYMBOL.findall(listing)]
    addresses = [address for address, _ in symbols]
    blocks = image.with_suffix(".blocks")
    run_image(image, core=core, blocks=blocks)
    spans = []
    for span in blocks.read_text("utf-8").split("SPAN\n"):
        counts: Counter[str] = Counter()
        for line in span.splitlines():
            address, instructions, executions = line.split(",")[:3]
            function = symbols[bisect.bisect_right(addresses, int(address, 16)) - 1][1]
            # int32_t is long to GCC and int to clang.
            counts[re.sub(r"\blong\b", "int", function)] += int(instructions) * int(executions)
        spans.append(counts)
    return max(spans, key=lambda counts: counts.total())


def differences(builds: Sequence[Build], core: str, most: int) -> Iterator[str]:
    """Lines of the functions in which two builds differ most; what one inlines another may not."""
    gcc, other = (instructions_by_function(build.image, core) for build in builds)
    for name in sorted({*gcc, *other}, key=lambda name: -abs(other[name] - gcc[name]))[:most]:
        yield f"{gcc[name]:12,} {other[name]:12,} {other[name] - gcc[name]:+12,}  {name}"


def compare(model: Path, core: str, clang: str, folder: Path, num_functions: int) -> tuple[str, list[str], float]:
    """Lines of the table, what is wrong, and clang's instructions over GCC's.

    The test of a project compares every feature map with TFLM's, so that two that pass have equal bytes.
    """
    project = folder / f"{model.stem}_{core}"
    qm.emit(model, output_dir=project, core=f"cortex-{core}", bundle=False)
    builds = {name: Build(project, core, name, clang) for name in COMPILERS}
    faults = [f"{model.stem} on {core} by {name}: its test fails" for name, b in builds.items() if not b.has_passed]
    faults += [f"{name}: {text}" for name, build in builds.items() for text in build.warnings]
    gcc, other = (builds[name].instructions for name in COMPILERS)
    ratio = other / gcc if gcc else 0.0
    lines = [f"{model.stem:20} {core:7} {gcc:12,} {other:12,} {ratio:7.3f}"]
    if num_functions and ratio:
        lines += differences(list(builds.values()), core, num_functions)
    return "\n".join(lines), faults, ratio


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="compilers", description=__doc__.splitlines()[0])
    parser.add_argument("--cores", nargs="+", default=list(cores()), choices=list(cores()))
    parser.add_argument("--models", nargs="+", type=Path, default=sorted(MODELS.glob("*.tflite")))
    parser.add_argument("--most_percent", type=float, default=8.0, help="more instructions by clang than by GCC")
    parser.add_argument("--functions", type=int, default=0, help="show so many in which they differ most")
    flags = parser.parse_args(arguments)
    clang = next(filter(shutil.which, CLANGS), None)
    if clang is None:
        print(f"compilers: there is none of {', '.join(CLANGS)}; apt-get install clang", file=sys.stderr)
        return 2
    print(f"{'model':20} {'core':7} {'gcc':>12} {'clang':>12} {'ratio':>7}")
    faults, slow = [], []
    with tempfile.TemporaryDirectory() as folder:
        for model in flags.models:
            for core in flags.cores:
                line, found, ratio = compare(model, core, clang, Path(folder), flags.functions)
                print(line, flush=True)
                faults += found
                if ratio > 1 + flags.most_percent / 100:
                    slow.append(line)
    print(f"{len(slow)} take more than {flags.most_percent:g} % more instructions by clang")
    print("\n".join(faults) if faults else "all tests pass, no warnings")
    return int(bool(faults))


if __name__ == "__main__":
    sys.exit(main())
