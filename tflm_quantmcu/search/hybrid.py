"""Search hybrid: gates learn how many bits each tensor needs, then bits are raised where a core is faster with more.

Source: Free Bits (Rutishauser et al., arXiv 2307.02894): a differentiable search, see gates.py, then a heuristic on a
table of measured instructions, see free_bits.py. Our reading:

- The weights are not trained with the gates, for the plan is judged with the model's own: so gates learn at a smaller
  mu0, which grows while the widths exceed a budget, and from the model's own scores (gate_training.py).
- Budgets are walls (gate_walls.py). Where the 8-bit model does not keep them, four plans are made: of the gates' widths
  behind the walls; of 8 bits behind the walls, so that only the budgets lower anything, by the gates' order or first
  what makes the core faster; and of memory_driven's widths with free bits, a safeguard. Of those not behind that one in
  accuracy, nor in likeness to the int8 model's scores, the one of the fewest instructions is taken.
"""

from __future__ import annotations

import dataclasses
import operator
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from tflm_quantmcu.base.errors import BudgetError
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.graph.types import BIT_WIDTHS
from tflm_quantmcu.search.evaluator import fidelity_of
from tflm_quantmcu.search.free_bits import timed_layers
from tflm_quantmcu.search.gate_walls import Bits, Bounds, GateWalls, Kept, join, split
from tflm_quantmcu.search.memory_driven import search_memory_driven
from tflm_quantmcu.search.network import Network
from tflm_quantmcu.search.problem import SearchProblem
from tflm_quantmcu.search.settings.hybrid import HybridSettings


def search_hybrid(problem: SearchProblem) -> PrecisionPlan:
    """Trains gates, fixes the widths, keeps the budgets, raises free bits.

    Parameters:
      hybrid_steps, hybrid_batch, hybrid_mu0, hybrid_regulariser: of the gates' training.
      hybrid_min_bits: smallest width of maps and weights.
      pinned_layers: layers whose weights keep 8 bits; the network's input and output do in any case.

    Raises:
      BudgetError: a budget is out of reach.
      UnsupportedModelError: the model has an op that Keras cannot compute.
      UsageError: there is no calibration.
    """
    # TensorFlow takes seconds to import.
    from tflm_quantmcu.search.gate_training import train_gates
    from tflm_quantmcu.search.gates import chosen_width, open_probabilities

    network = Network.of(problem)
    widths = sorted(b for b in BIT_WIDTHS if b >= problem.settings.part(HybridSettings).hybrid_min_bits)
    layers, bounds = timed_layers(network), Bounds.of(network)
    uncut = join(network, network.uncut_maps, network.uncut_weights)

    def widths_of(logits: Mapping[int, np.ndarray]) -> dict[int, int]:
        return {**uncut, **{t: chosen_width(values, widths) for t, values in logits.items()}}

    logits = train_gates(network, layers, widths, exceeds=lambda found: not bounds.are_kept(network, widths_of(found)))
    probabilities = {
        problem.graph.tensors[t].name: [round(float(q), 3) for q in np.asarray(open_probabilities(values))]
        for t, values in logits.items()
    }

    def make_plan(kept: Kept, tries: Mapping[str, Sequence[float]] = MappingProxyType({})) -> PrecisionPlan:
        scores = {
            "instructions": {"before_free_bits": kept.instructions_before, "after_free_bits": kept.instructions},
            "gate_probabilities": probabilities,
            "tries": dict(tries),
        }
        return network.plan(*split(network, kept.bits), method="hybrid", scores=scores)

    walls = GateWalls(network, bounds, layers, logits, widths, make_plan)
    whole = walls.keep(uncut)
    if whole is None or whole.bits != uncut:
        fast = dataclasses.replace(walls, by_speed=True)
        tries = {"gates": (walls, widths_of(logits)), "budgets": (walls, uncut), "speed": (fast, uncut)}
        return _best_plan(problem, tries, make_plan)
    return make_plan(walls.keep(widths_of(logits)) or whole)


def _best_plan(
    problem: SearchProblem, tries: Mapping[str, tuple[GateWalls, Bits]], make_plan: Callable[..., PrecisionPlan]
) -> PrecisionPlan:
    """Of all tries the fastest plan that is not behind memory_driven's, or without that the best one.

    Args:
      problem: the search's.
      tries: name -> walls, and the widths to begin with.
      make_plan: of what the walls kept, and of what the tries are worth.

    Raises:
      BudgetError: none keeps the budgets.
    """
    walls = next(iter(tries.values()))[0]
    refusal: BudgetError | None = None
    try:
        maps, weights = walls.network.widths_of(search_memory_driven(problem))
        tries = {**tries, "memory_driven": (walls, join(walls.network, maps, weights))}
    except BudgetError as error:
        refusal = error
    kept = {name: found for name, (behind, start) in tries.items() if (found := behind.keep(start))}
    if not kept:
        attempt = f"search hybrid, down to {walls.widths[0]} bits, found no plan within"
        raise refusal or problem.out_of_reach(make_plan(walls.smallest()), attempt)
    # Without labels what a plan is worth is its fidelity.
    judges: list[Callable[[PrecisionPlan], float]] = [problem.evaluate]
    if problem.labelled:
        judges.append(fidelity_of(problem))
    widths = {name: frozenset(found.bits.items()) for name, found in kept.items()}
    plans = {widths[name]: problem.compensated(make_plan(found)) for name, found in kept.items()}
    judged = {bits: [round(judge(plan), 4) for judge in judges] for bits, plan in plans.items()}
    scores = {name: judged[bits] for name, bits in widths.items()}
    least = scores.get("memory_driven", max(scores.values(), key=operator.itemgetter(-1)))
    able = [name for name, score in scores.items() if all(map(operator.ge, score, least))]
    fastest = min(able, key=lambda name: (kept[name].instructions, [-score for score in scores[name]]))
    return make_plan(kept[fastest], scores)
