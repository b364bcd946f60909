"""Checks as many random networks as asked: `python -m tests.random_networks --count 3000 [--on aot] [--first 0]`.

`--on tflm`: split at 8 bits the network equals stock TFLM, below 8 bits TFLM equals the oracle, in every byte.
`--on aot`: emitted code of the network, stock and split, passes its own tests on this host, many models an image;
`--on m4` (or another core): that of the split network on the core in QEMU, in the arena and stack that it declares.
With `--wide` networks are split into stages of several inputs, at 8 bits alone.
A failure names its seed, which gives the same network on every machine.
"""

from __future__ import annotations

import argparse
import collections
import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.random_networks.checks import Checked, check_on_tflm, split_of, wide_split_of
from tests.random_networks.generator import family_of
from tests.random_networks.images import run_on_host
from tests.support.cortex_m import CORES
from tests.support.emitted_on_core import run_project

MODELS_AN_IMAGE = 20
_Split = Callable[[int], Checked]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.random_networks", description=__doc__)
    parser.add_argument("--count", type=int, default=60, help="networks")
    parser.add_argument("--first", type=int, default=0, help="seed of the first")
    parser.add_argument("--on", choices=("tflm", "aot", *CORES), default="tflm")
    parser.add_argument("--wide", action="store_true", help="stages of several inputs, whatever they bring")
    chosen = parser.parse_args()
    split = wide_split_of if chosen.wide else split_of
    seeds = range(chosen.first, chosen.first + chosen.count)
    if chosen.on == "tflm":
        print(_on_tflm(seeds, split if chosen.wide else check_on_tflm))
    else:
        print(_ahead_of_time(seeds, split) if chosen.on == "aot" else _on_core(seeds, chosen.on, split))


def _on_tflm(seeds: range, check: _Split) -> str:
    families: collections.Counter[str] = collections.Counter()
    stages = maps = 0
    for seed in seeds:
        try:
            found = check(seed)
        except Exception as error:
            raise SystemExit(f"seed {seed} ({family_of(seed)}): {type(error).__name__}: {error}") from error
        families[family_of(seed)] += 1
        stages, maps = stages + found.num_stages, maps + found.num_maps
        if seed % 100 == 99:
            print(f"{sum(families.values())} networks passed", flush=True)
    shares = ", ".join(f"{name} {count}" for name, count in families.items())
    return f"{len(seeds)} networks passed ({shares}); {stages} patch stages, {maps} maps a sample below 8 bits"


def _ahead_of_time(seeds: range, split: _Split) -> str:
    passed = 0
    with tempfile.TemporaryDirectory() as folder:
        for first in range(seeds.start, seeds.stop, MODELS_AN_IMAGE):
            some = [split(seed) for seed in range(first, min(first + MODELS_AN_IMAGE, seeds.stop))]
            models = [model for found in some for model in (found.model, found.converted)]
            passed += run_on_host(models, Path(folder))
            print(f"{passed} models passed", flush=True)
    return f"{passed} models of {len(seeds)} networks, stock and split, passed their emitted tests"


def _on_core(seeds: range, core: str, split: _Split) -> str:
    with tempfile.TemporaryDirectory() as folder:
        for seed in seeds:
            model = split(seed).converted
            try:
                run_project(model, core, Path(folder) / "project", Path(folder) / "objects")
            except Exception as error:
                raise SystemExit(f"seed {seed} ({family_of(seed)}): {type(error).__name__}: {error}") from error
            if seed % 20 == 19:
                print(f"{seed - seeds.start + 1} networks passed on {core}", flush=True)
    return f"{len(seeds)} networks, split, passed their emitted tests on {core}"


if __name__ == "__main__":
    main()
