"""Search hybrid: gates learn how many bits each tensor needs, then bits are raised where a core is faster with more.

Source: Free Bits (Rutishauser et al., arXiv 2307.02894): a differentiable search, see gates.py, then a heuristic on a
table of measured cycles, see free_bits.py. Our reading:

- The weights are not trained with the gates, for the plan is judged with the model's own: so gates learn at a smaller
  mu0, which grows while the widths exceed a budget, and from the model's own scores (gate_training.py).
- Widths are repaired to keep the budgets (hybrid_widths.py). Where the 8-bit model does not keep them, four plans are
  made: of the gates' widths, repaired; of 8 bits, repaired, so that only the budgets lower anything, by the gates'
  order or first what makes the core faster; and of memory_driven's widths with free bits, a safeguard. Of those not
  behind that one in accuracy, nor in likeness to the int8 model's scores, the one of the fewest cycles is taken.
"""

from __future__ import annotations

import dataclasses
import functools
import operator
from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType

import numpy as np

from tflm_quantmcu.base.errors import BudgetError
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.graph.types import BIT_WIDTHS
from tflm_quantmcu.search.budget import BudgetKeeper
from tflm_quantmcu.search.evaluator import fidelity_of
from tflm_quantmcu.search.free_bits import timed_layers
from tflm_quantmcu.search.hybrid_widths import GateRepair, Kept, first_bounds, is_within
from tflm_quantmcu.search.memory_driven import search_memory_driven
from tflm_quantmcu.search.network import Network
from tflm_quantmcu.search.problem import SearchProblem
from tflm_quantmcu.search.settings.hybrid import HybridSettings
from tflm_quantmcu.search.widths import Widths


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
    keeper = BudgetKeeper(network, functools.partial(network.plan, method="hybrid"))
    layers, bounds, uncut = timed_layers(network), first_bounds(keeper), network.uncut

    def widths_of(logits: Mapping[int, np.ndarray]) -> Widths:
        return uncut.with_bits({t: chosen_width(values, widths) for t, values in logits.items()})

    logits = train_gates(network, layers, widths, exceeds=lambda found: not is_within(keeper, widths_of(found), bounds))
    probabilities = {
        problem.graph.tensors[t].name: [round(float(q), 3) for q in np.asarray(open_probabilities(values))]
        for t, values in logits.items()
    }

    def make_plan(kept: Kept, tries: Mapping[str, Sequence[float]] = MappingProxyType({})) -> PrecisionPlan:
        scores = {
            "cycles": {"before_free_bits": kept.cycles_before, "after_free_bits": kept.cycles},
            "gate_probabilities": probabilities,
            "tries": dict(tries),
        }
        return network.plan(kept.bits, method="hybrid", scores=scores)

    repair = GateRepair(keeper, bounds, layers, logits, widths)
    whole = repair.keep(uncut)
    if whole is None or whole.bits != uncut:
        fast = dataclasses.replace(repair, by_speed=True)
        tries = {"gates": (repair, widths_of(logits)), "budgets": (repair, uncut), "speed": (fast, uncut)}
        return _best_plan(problem, tries, make_plan)
    return make_plan(repair.keep(widths_of(logits)) or whole)


def _best_plan(
    problem: SearchProblem, tries: Mapping[str, tuple[GateRepair, Widths]], make_plan: Callable[..., PrecisionPlan]
) -> PrecisionPlan:
    """The fastest plan of all tries that is not behind memory_driven's, or without that the best one.

    Args:
      problem: the search's.
      tries: name -> who repairs, and the widths to begin with.
      make_plan: of what the repair kept, and of what the tries are worth.

    Raises:
      BudgetError: none keeps the budgets.
    """
    repair = next(iter(tries.values()))[0]
    refusal: BudgetError | None = None
    try:
        safe = repair.keeper.network.widths_of(search_memory_driven(problem))
        tries = {**tries, "memory_driven": (repair, safe)}
    except BudgetError as error:
        refusal = error
    kept = {name: found for name, (by, start) in tries.items() if (found := by.keep(start))}
    if not kept:
        attempt = f"search hybrid, down to {repair.widths[0]} bits, found no plan within"
        raise refusal or problem.out_of_reach(make_plan(repair.smallest()), attempt)
    # Without labels what a plan is worth is its fidelity.
    judges: list[Callable[[PrecisionPlan], float]] = [problem.evaluate]
    if problem.labelled:
        judges.append(fidelity_of(problem))
    widths = {name: found.bits for name, found in kept.items()}
    plans = {widths[name]: problem.compensated(make_plan(found)) for name, found in kept.items()}
    judged = {bits: [round(judge(plan), 4) for judge in judges] for bits, plan in plans.items()}
    scores = {name: judged[bits] for name, bits in widths.items()}
    least = scores.get("memory_driven", max(scores.values(), key=operator.itemgetter(-1)))
    able = [name for name, score in scores.items() if all(map(operator.ge, score, least))]
    fastest = min(able, key=lambda name: (kept[name].cycles, [-score for score in scores[name]]))
    return make_plan(kept[fastest], scores)
