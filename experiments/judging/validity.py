"""How far the guard's estimate without labels can be trusted: against the true loss of plans of many losses.

    python -m experiments.judging.validity --folder build/judging --output build/validity.csv

Of each network plans are drawn with a share of its maps, its weights or both at 4 bits, compensated as ever. `points`
and `limit` are what the guard says on calibration samples, `true` what `judge.npz` shows. Told in the end, for a bound
of half a point: of the plans that the guard accepts those whose true loss is within it, and of the harmless ones, which
truly lose at most half of it, those accepted.
"""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
import re
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from experiments.judging.judged import JudgedNetwork
from experiments.judging.networks import NETWORKS, Role
from experiments.rows import csv_of
from tflm_quantmcu.app import api
from tflm_quantmcu.app.accuracy_lines import accuracy_of
from tflm_quantmcu.base.files import write_atomically
from tflm_quantmcu.graph.accuracy_loss import LIMIT_SLACK
from tflm_quantmcu.search.settings.accuracy import DEFAULT_DROP
from tflm_quantmcu.search.widths import free_maps, free_weights

SHARES = (0.1, 0.2, 0.4, 0.7, 1.0)  # of the tensors that are lowered
KINDS = ("maps", "weights", "both")


@dataclasses.dataclass(frozen=True)
class JudgedPlan:
    """A plan, what the guard says it loses, and what it loses."""

    network: str
    kind: str
    share: float
    points: float
    limit: float
    true: float
    true_limit: float

    @property
    def is_accepted(self) -> bool:
        return self.points <= DEFAULT_DROP and self.limit <= DEFAULT_DROP + LIMIT_SLACK


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m experiments.judging.validity", description=__doc__)
    parser.add_argument("--folder", default="build/judging", help="what train.py wrote")
    parser.add_argument("--role", default="choose", choices=[role.value for role in Role], help="which networks")
    parser.add_argument("--networks", default=",".join(NETWORKS), help="of these, as far as they are trained")
    parser.add_argument("--plans", type=int, default=15, help="of each network")
    parser.add_argument("--max_judge", type=int, help="judging samples at most, for a quick look")
    parser.add_argument("--output", help="where to write the plans (.csv)")
    chosen = parser.parse_args()
    plans: list[JudgedPlan] = []
    for name in chosen.networks.split(","):
        folder = pathlib.Path(chosen.folder, name)
        if NETWORKS[name].role.value == chosen.role and (folder / "int8.tflite").exists():
            network = JudgedNetwork(folder, chosen.max_judge)
            for plan in judged_plans(name, network, chosen.plans):
                plans.append(plan)
                print(plan, flush=True)
    print(summary(plans))
    if chosen.output:
        write_atomically(chosen.output, csv_of(JudgedPlan, plans))


def judged_plans(name: str, network: JudgedNetwork, count: int) -> Iterator[JudgedPlan]:
    """Plans of a network, by turns of each kind and share."""
    rng = np.random.default_rng(0)
    for number in range(count):
        kind, share = KINDS[number % len(KINDS)], SHARES[number // len(KINDS) % len(SHARES)]
        rules = _rules(network, kind, share, rng)
        plan = api.plan(
            network.file,
            calibration=network.calibration,
            search="uniform",
            precision_overrides=rules,
            progress=False,
            n_jobs=1,
        )
        told, loss = accuracy_of(plan.search), network.loss_of(plan)
        if told is not None:
            found = (told["points"], told["upper_points"], loss.points, loss.upper_points)
            yield JudgedPlan(name, kind, share, *(round(v, 3) for v in found))


def _rules(network: JudgedNetwork, kind: str, share: float, rng: np.random.Generator) -> list[dict[str, Any]]:
    """Rules that lower a share of the tensors, one at least."""
    able = [(name, "activation_bits") for name in free_maps(network.graph) if kind != "weights"]
    able += [(name, "weight_bits") for name in free_weights(network.graph, "none") if kind != "maps"]
    chosen = rng.permutation(len(able))[: max(1, round(share * len(able)))]
    return [{"match": re.escape(able[i][0]), able[i][1]: 4} for i in sorted(chosen.tolist())]


def summary(plans: Sequence[JudgedPlan]) -> str:
    accepted = [plan for plan in plans if plan.is_accepted]
    harmless = [plan for plan in plans if plan.true <= DEFAULT_DROP / 2]
    return (
        f"{len(accepted)} of {len(plans)} plans accepted, of which {sum(p.true <= DEFAULT_DROP for p in accepted)} "
        f"lose at most {DEFAULT_DROP} points; {len(harmless)} plans lose at most {DEFAULT_DROP / 2}, of which "
        f"{sum(p.is_accepted for p in harmless)} are accepted"
    )


if __name__ == "__main__":
    main()
