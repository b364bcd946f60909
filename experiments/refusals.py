"""Whether refusals tell the truth: no bound delivers an arena below a "smallest arena reached" that another named.

For each model and set of flags, plans are asked for at bounds by chance, all flags equal but the bound. Models are
those of the folders and random networks. Printed: each contradiction, and how many calls were delivered and refused;
exit code 1 where there is a contradiction.

    python -m experiments.refusals --models ../shared/data/models ../shared/cases/models
"""

from __future__ import annotations

import argparse
import dataclasses
import random
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import hypothesis

from tests.support.random_cnn import random_cnns
from tflm_quantmcu.app import api
from tflm_quantmcu.app.plan_costs import PlanCosts
from tflm_quantmcu.base.errors import BudgetError, QuantMcuError
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.graph.target import CORES, Target
from tflm_quantmcu.tflite.canonical.canonical import canonical
from tflm_quantmcu.tflite.model_file import ModelFile

_NAMED = re.compile(r"smallest (?:arena )?reached is ([\d,]+)")


@dataclasses.dataclass(frozen=True)
class Calls:
    """What equal calls with other bounds gave.

    Attributes:
      name: of the model.
      flags: all but the bound.
      delivered: bound -> bytes of the plan's arena, as the bound counts them.
      refused: bound -> the smallest bytes that the refusal named.
    """

    name: str
    flags: Mapping[str, Any]
    delivered: dict[int, int]
    refused: dict[int, int]

    @property
    def contradictions(self) -> list[str]:
        """Sentences."""
        call = f"{self.name} {dict(self.flags)}"
        least = min(self.delivered.items(), key=lambda found: found[1], default=(0, 1 << 62))
        below = [
            f"{call}: --sram_bytes {bound:,} is refused with {named:,}, and {least[0]:,} gives {least[1]:,}"
            for bound, named in self.refused.items()
            if named > least[1]
        ]
        named_in_vain = sorted(set(self.refused.values()) & self.refused.keys())
        return below + [f"{call}: {named:,} is named as reached, and refused" for named in named_in_vain]


def calls_of(name: str, model: bytes, flags: Mapping[str, Any], num_bounds: int, seed: int) -> Calls:
    """Plans at bounds by chance, up to the unsplit network's bytes, and at what refusals named.

    Args:
      name: for messages.
      model: an int8 `.tflite`.
      flags: of `plan`, but the bound.
      num_bounds: how many.
      seed: of the bounds.

    Raises:
      QuantMcuError: the model cannot be planned at all.
    """
    chance = random.Random(seed)
    source = canonical(ModelFile(model))
    target = Target.of(flags.get("core"), runtime=flags.get("runtime", "tflm"))

    def arena_of(plan: PrecisionPlan, bound: int | None) -> int:
        return PlanCosts(source, target, flags["sram_scope"], bound).bytes_of(plan).arena_bytes

    calls = Calls(name, flags, {}, {})

    def ask(bound: int) -> None:
        try:
            plan = api.plan(model, **flags, sram_bytes=bound, search="uniform", progress=False)
            calls.delivered[bound] = arena_of(plan, bound)
        except BudgetError as error:
            named = _NAMED.search(str(error))
            calls.refused[bound] = int(named[1].replace(",", "")) if named else 0

    most = arena_of(PrecisionPlan(source.graph.sha256, {}), None)
    for bound in sorted({chance.randint(most // 10, most) for _ in range(num_bounds)}):
        ask(bound)
    for named in sorted(set(calls.refused.values()) - {0}):
        ask(named)
    return calls


def flags_by_chance(chance: random.Random) -> dict[str, Any]:
    """Flags of the target and of the split."""
    flags: dict[str, Any] = {"core": chance.choice(CORES), "sram_scope": chance.choice(["total", "nonpersistent"])}
    if chance.random() < 0.3:
        flags["runtime"] = "aot"
    if chance.random() < 0.3:
        flags["max_slowdown"] = chance.choice([1.1, 1.5, 2.0])
    return flags


def models_of(folders: Sequence[Path], num_networks: int) -> Iterator[tuple[str, bytes]]:
    """Files of the folders, then random networks."""
    for path in (p for folder in folders for p in sorted(folder.glob("*.tflite"))):
        yield path.stem, path.read_bytes()
    yield from ((f"random network {number}", model) for number, model in enumerate(random_networks(num_networks)))


def random_networks(count: int) -> list[bytes]:
    """The same ones for every call, and of one version of hypothesis."""
    found: list[bytes] = []

    @hypothesis.settings(
        max_examples=count,
        derandomize=True,
        database=None,
        deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(random_cnns())
    def collect(network: Any) -> None:
        found.append(network.model)

    collect()
    return found


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="refusals", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--models", type=Path, nargs="*", default=[], help="folders of .tflite")
    parser.add_argument("--num_networks", type=int, default=50)
    parser.add_argument("--num_bounds", type=int, default=20, help="for each model")
    parser.add_argument("--seed", type=int, default=0)
    given = parser.parse_args(arguments)
    chance = random.Random(given.seed)
    wrong: list[str] = []
    num_delivered = num_refused = 0
    for name, model in models_of(given.models, given.num_networks):
        try:
            calls = calls_of(name, model, flags_by_chance(chance), given.num_bounds, given.seed)
        except QuantMcuError as error:
            print(f"{name}: left out: {error}", file=sys.stderr, flush=True)
            continue
        num_delivered += len(calls.delivered)
        num_refused += len(calls.refused)
        for sentence in calls.contradictions:
            print(sentence, flush=True)
            wrong.append(sentence)
    print(f"{num_delivered} calls delivered, {num_refused} refused; {len(wrong)} contradictions")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
