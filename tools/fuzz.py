"""Runs the fuzz targets of tests/fuzz: `python -m tools.fuzz [--targets NAMES] [--seconds S | --runs N]`.

C++ targets run under libFuzzer with AddressSanitizer and UndefinedBehaviorSanitizer, Python targets under atheris. A
target that is lost leaves its input in build/fuzz/lost/, and the exit code is 1.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FUZZ = ROOT / "tests" / "fuzz"
BUILD = ROOT / "build" / "fuzz"
LOST = BUILD / "lost"
CPP_TARGETS = ("flex_map", "ops", "stage_program")
PYTHON_TARGETS = ("calibration", "overrides", "plan", "reader")
# Half of an execution would go into stack traces of allocations.
_SANITIZERS = {"ASAN_OPTIONS": "malloc_context_size=0:quarantine_size_mb=8:detect_leaks=0"}
_TIMEOUT_SECONDS = 60  # of one execution
_DONE = re.compile(r"stat::number_of_executed_units: (\d+)|^Done (\d+) (?:runs )?in", re.MULTILINE)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.fuzz", description=__doc__)
    parser.add_argument("--targets", default="cpp,python", help="names between commas; cpp and python are all of these")
    parser.add_argument("--seconds", type=int, default=15, help="for each target")
    parser.add_argument("--runs", type=int, default=0, help="executions of each target, in place of seconds")
    chosen = parser.parse_args()
    groups = {"cpp": CPP_TARGETS, "python": PYTHON_TARGETS}
    targets = [target for word in chosen.targets.split(",") for target in groups.get(word, (word,))]
    if set(targets) & set(CPP_TARGETS):
        subprocess.run(["make", "-s", f"-j{os.cpu_count()}", "-C", str(FUZZ)], check=True)
    # Of seconds the same changes each time, so that a gate says what it said before.
    limit = (f"-runs={chosen.runs}",) if chosen.runs else (f"-max_total_time={chosen.seconds}", "-seed=1")
    lost = [target for target in targets if not _runs(target, limit)]
    if lost:
        sys.exit(f"fuzz: lost: {', '.join(lost)}; inputs are in {LOST}")
    print("fuzz: nothing lost")


def _runs(target: str, limit: tuple[str, ...]) -> bool:
    """Whether a target ran to its end; prints what it did."""
    corpora = [BUILD / "corpus" / target, FUZZ / "corpus" / target]
    corpora[0].mkdir(parents=True, exist_ok=True)
    LOST.mkdir(parents=True, exist_ok=True)
    program = [BUILD / target] if target in CPP_TARGETS else [sys.executable, "-m", f"tests.fuzz.{target}"]
    flags = [*limit, f"-timeout={_TIMEOUT_SECONDS}", "-print_final_stats=1", f"-artifact_prefix={LOST}/{target}-"]
    command = [*map(str, program), *flags, *(str(folder) for folder in corpora if folder.is_dir())]
    start = time.monotonic()
    done = subprocess.run(
        command,
        cwd=ROOT,
        env={**os.environ, **_SANITIZERS},
        capture_output=True,
        text=True,
        errors="replace",
        check=False,
    )
    text = done.stderr + done.stdout
    counts = [int(a or b) for a, b in _DONE.findall(text)]
    print(f"fuzz: {target}: {max(counts, default=0):,} executions in {time.monotonic() - start:.0f} s", flush=True)
    if done.returncode:
        print("\n".join(text.splitlines()[-40:]), file=sys.stderr)
    return done.returncode == 0


if __name__ == "__main__":
    main()
