"""Changes `.tflite` files by their tables and says what becomes of each: `python -m tests.fuzz.mutants --count 10000`.

equal: it converts, and computes what stock TFLM computes, in every byte. refused: one sentence says why not. Lost are
wrong (it converts and computes something else), crash (the process ends, or an exception that is no refusal) and slow
(more than SECONDS of computing). Each mutant follows from its seed; those that are lost are named.
"""

from __future__ import annotations

import argparse
import collections
import os
import random
import signal
import sys
from collections.abc import Iterator

from tests.fuzz.python_seeds import models
from tests.fuzz.tflite_changes import mutate
from tests.random_networks.generator import random_network
from tflm_quantmcu.base.errors import QuantMcuError, VerificationError
from tflm_quantmcu.converter.convert import convert_model
from tflm_quantmcu.converter.verify import verify_conversion
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.patches.planner import plan_stages
from tflm_quantmcu.runtime.samples import random_inputs
from tflm_quantmcu.tflite.canonical.canonical import canonical
from tflm_quantmcu.tflite.full_integer import require_source
from tflm_quantmcu.tflite.model_file import ModelFile

SECONDS = 60
_BATCH = 200  # mutants a process
_NETWORKS = 14  # random networks beside the small models
_LOST = ("wrong", "crash", "slow")


def mutant(seed: int) -> bytes:
    """The file of a seed."""
    rng = random.Random(seed)
    while True:
        try:
            return mutate(rng.choice(_SOURCES), rng)
        except Exception:  # noqa: S112  (a change that the format has no place for)
            continue


def outcome(data: bytes) -> str:
    """equal, refused or wrong."""
    try:
        source = ModelFile(data)
        require_source(source.graph)
        file = canonical(source)
        found = plan_stages(file.graph, max_slowdown=4.0)
        plan = PrecisionPlan(file.sha256, {}, stages=found.best.plans(file.graph) if found.best else ())
        converted = convert_model(file, plan)
        samples = random_inputs([file.graph.tensors[t] for t in file.graph.inputs], 2)
        return "equal" if verify_conversion(file, converted, plan, samples).is_same_function else "wrong"
    except VerificationError:
        return "wrong"
    except QuantMcuError:
        return "refused"


def outcomes(seeds: range) -> Iterator[tuple[int, str]]:
    """(seed, outcome) of each, from processes that may die."""
    position = seeds.start
    while position < seeds.stop:
        batch = range(position, min(position + _BATCH, seeds.stop))
        for seed, found in _in_child(batch):
            yield seed, found
            position = seed + 1


def _in_child(batch: range) -> Iterator[tuple[int, str]]:
    """The outcomes of a batch up to the first that ends the process, which is the last one given."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        _work(batch, write)
    os.close(write)
    position = batch.start
    with os.fdopen(read) as lines:
        for line in lines:
            yield position, line.strip()
            position += 1
    status = os.waitpid(child, 0)[1]
    if position < batch.stop:
        ended_by = -os.waitstatus_to_exitcode(status)
        yield position, "slow" if ended_by == signal.SIGPROF else f"crash by signal {ended_by}"


def _work(batch: range, write: int) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    for seed in batch:
        signal.setitimer(signal.ITIMER_PROF, SECONDS)
        try:
            found = outcome(mutant(seed))
        except Exception as error:
            found = f"crash by {type(error).__name__}: {' '.join(str(error).split())[:200]}"
        os.write(write, f"{found}\n".encode())
    os._exit(0)


_SOURCES = [*models().values(), *(random_network(seed) for seed in range(_NETWORKS))]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz.mutants", description=__doc__)
    parser.add_argument("--count", type=int, default=200, help="mutants")
    parser.add_argument("--first", type=int, default=0, help="seed of the first")
    chosen = parser.parse_args()
    counts: collections.Counter[str] = collections.Counter()
    for seed, found in outcomes(range(chosen.first, chosen.first + chosen.count)):
        counts[found.split()[0]] += 1
        if found.split()[0] in _LOST:
            print(f"seed {seed}: {found}", flush=True)
        if sum(counts.values()) % 200 == 0:
            print(dict(counts), flush=True)
    print(", ".join(f"{name} {counts[name]}" for name in ("equal", "refused", *_LOST)))
    if any(counts[name] for name in _LOST):
        sys.exit(1)


if __name__ == "__main__":
    main()
