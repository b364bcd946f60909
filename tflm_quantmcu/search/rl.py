"""Widths by reinforcement learning: an agent plays the network tensor by tensor and is rewarded by accuracy.

Source: Rusci et al., arXiv 2008.05124, that is HAQ (arXiv 1811.08886) under a microcontroller's bounds; HAQ's states,
rewards and agent (ddpg.py) from its authors' code. Our reading of the former, of which only the abstract tells:

- A layer is an op; its steps are its weights and the map that it writes, as far as they are free (network.py). Ops
  without weights have the features of fully connected ones. Equal parts of [0, 1] are the widths, the smallest first.
- Budget repair (rl_widths.py) makes widths of the actions that keep all budgets on the converted model. What it cannot
  make fit counts as accuracy 0.
- Nothing is trained, but widths are compensated (`problem.compensated`), as a search's result is; accuracy is
  `problem.evaluate` of that, of widths that were tried before the one found then.
- The first episode plays what search memory_driven finds, so that the result is never behind it on these samples.
- Accuracies on few samples differ by chance. Of the plans within a standard error of the best one the result is that
  whose scores are most like the int8 model's on all samples, which says more about others; but memory_driven's where
  these do not tell the two apart.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterable, Sequence

import numpy as np

from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.graph.types import ModelGraph, Op, Window
from tflm_quantmcu.search.budget import BudgetKeeper
from tflm_quantmcu.search.ddpg import Agent, Settings
from tflm_quantmcu.search.evaluator import fidelity_of
from tflm_quantmcu.search.memory_driven import search_memory_driven
from tflm_quantmcu.search.network import Network
from tflm_quantmcu.search.problem import SearchProblem
from tflm_quantmcu.search.rl_widths import Choice, Repair, choices_of
from tflm_quantmcu.search.settings.rl import RlSettings
from tflm_quantmcu.search.widths import Widths, weighted_ops

REWARD_SCALE = 0.1  # of percent
CAPACITY_A_LAYER = 128  # transitions that the agent keeps
CHECKPOINT_EPISODES = 5
MAX_NEAR = 16  # plans that are compared by more than their accuracy
APART = 2  # standard errors of what one is nearer: as the nearest of several it is so by chance too


def search_rl(problem: SearchProblem) -> PrecisionPlan:
    """The best plan of all episodes: see above; without labels that of the highest `evaluate`, of equal ones that of
    fewer cycles, then that of more bytes.

    Parameters:
      rl_episodes: how many are played.
      rl_warmup_episodes: the first of them, with random actions.
      rl_min_bits: smallest width of maps and weights.
      memory_driven_margin, pinned_layers: as of search memory_driven.

    Raises:
      BudgetError: memory_driven does not reach a byte budget with these widths, or no episode met the others.
    """
    run = _Run(problem)
    run.load()
    for _ in problem.track(range(run.episode, run.settings.rl_episodes), "rl"):
        run.play()
        run.episode += 1
        if run.episode % CHECKPOINT_EPISODES == 0:
            run.save()
    return run.best_plan()


class _Run:
    """What is known of a search between two episodes.

    Attributes:
      memory_driven: what the rules find with the same smallest width.
      plan: widths -> their plan, compensated.
      episode: how many were played.
      found: accuracy of the widths that were evaluated.
      best: the best of these.
      reference: accuracy of the model as it is.
    """

    def __init__(self, problem: SearchProblem) -> None:
        self.problem = problem
        self.network = Network.of(problem)
        self.settings = problem.settings.part(RlSettings)
        self.choices = choices_of(self.network)
        min_bits = self.settings.rl_min_bits
        found = search_memory_driven(problem.changed(memory_driven_min_bits=min_bits))
        self.memory_driven = self._of_policy(self._policy(self.network.widths_of(found)))
        self.keeper = BudgetKeeper(self.network, functools.partial(self.network.plan, method="rl"))
        self.repair = Repair(self.keeper, self.choices, min_bits=min_bits, like=self.memory_driven)
        self.bits = self.repair.bits
        self.plan = functools.lru_cache(maxsize=1)(lambda widths: problem.compensated(self.keeper.plan_of(widths)))
        self.features = state_features(problem.graph, self.choices)
        self.agent = Agent(
            self.features.shape[1] + 1,  # the action before
            capacity=CAPACITY_A_LAYER * max(len({choice.layer for choice in self.choices}), 1),
            seed=problem.seed,
            settings=Settings(warmup_episodes=self.settings.rl_warmup_episodes),
        )
        self.episode = 0
        self.found: dict[Widths, float] = {}
        self.best: Widths | None = None
        self.reference = 0.0

    def load(self) -> None:
        """Goes on where the checkpoint is, if there is one."""
        state = self.problem.checkpoint.load() if self.problem.checkpoint else None
        if state is None:
            self.reference = self.problem.evaluate(PrecisionPlan(self.problem.graph.sha256, {}))
            return
        self.episode, self.reference = state.values["episode"], state.values["reference"]
        self.found = {self._of_policy(map(int, key)): accuracy for key, accuracy in state.values["found"].items()}
        self.best = max(self.found, key=self._rank, default=None)
        self.agent.restore(state.values["agent"], state.arrays)

    def save(self) -> None:
        if self.problem.checkpoint is None:
            return
        values = {
            "episode": self.episode,
            "reference": self.reference,
            "found": {"".join(map(str, self._policy(widths))): accuracy for widths, accuracy in self.found.items()},
            "agent": self.agent.values(),
        }
        self.problem.checkpoint.save(values, self.agent.arrays())

    def play(self) -> None:
        """One episode, and what the agent learns of it."""
        actions, states = self._actions()
        wish = self._of_policy(self._width(action) for action in actions)
        if self.episode == 0 and self.keeper.keeps(wish):
            widths: Widths | None = wish
        else:
            widths = self.repair.enforce(wish, actions)
        accuracy = 0.0 if widths is None else self._accuracy(widths)
        reward = REWARD_SCALE * 100 * (accuracy - self.reference)
        for step, action in enumerate(actions):
            is_last = step + 1 == len(actions)
            self.agent.observe(states[step], action, reward, states[step + (not is_last)], is_last=is_last)
            if self.episode >= self.settings.rl_warmup_episodes:
                self.agent.learn()

    def _actions(self) -> tuple[list[float], list[np.ndarray]]:
        """The episode's actions and the states in which they were chosen."""
        actions: list[float] = []
        states: list[np.ndarray] = []
        previous = 1.0
        for step, features in enumerate(self.features):
            states.append(np.concatenate([features, [previous]]))
            if self.episode == 0:
                action = (self.bits.index(self.memory_driven[self.choices[step].tensor]) + 0.5) / len(self.bits)
            else:
                action = self.agent.act(states[-1], episode=self.episode)
            actions.append(action)
            previous = self._width(action) / self.bits[-1]
        return actions, states

    def _width(self, action: float) -> int:
        return self.bits[min(int(action * len(self.bits)), len(self.bits) - 1)]

    def _policy(self, widths: Widths) -> tuple[int, ...]:
        """The widths of the choices."""
        return tuple(widths[choice.tensor] for choice in self.choices)

    def _of_policy(self, policy: Iterable[int]) -> Widths:
        return self.network.uncut.with_bits(dict(zip((c.tensor for c in self.choices), policy, strict=True)))

    def _accuracy(self, widths: Widths) -> float:
        if widths not in self.found:
            self.found[widths] = self.problem.evaluate(self.plan(widths))
            self.best = max((w for w in (self.best, widths) if w is not None), key=self._rank)
        return self.found[widths]

    def _rank(self, widths: Widths) -> tuple[float, int, int, tuple[int, ...]]:
        """The widths themselves decide what nothing else does, so that the order of the episodes does not."""
        saved, num_bytes = -self.network.work(widths).cycles, int(self.keeper.counted(widths).sum())
        return self.found[widths], saved, num_bytes, self._policy(widths)

    def best_plan(self) -> PrecisionPlan:
        """The best one, with how it came about."""
        if self.best is None:
            nearest = self.plan(self.repair.lower_work(self.memory_driven))
            raise self.problem.out_of_reach(nearest, f"none of search rl's {self.episode} episodes kept to")
        chosen = self._most_like_int8() if self.problem.labelled else self.best
        judged = {"accuracy": self.found[chosen], "int8": self.reference}
        if self.memory_driven in self.found:  # else it does not keep a bound on work
            judged["memory_driven"] = self.found[self.memory_driven]
        scores = {name: round(value, 4) for name, value in judged.items()} | {"evaluations": len(self.found)}
        return self.network.plan(chosen, method="rl", scores=scores)

    def _most_like_int8(self) -> Widths:
        """The widths most like int8 of those whose accuracy is within a standard error of the best; or memory_driven's,
        see above."""
        assert self.best
        best = self.found[self.best]
        least = best - self.problem.standard_error(best)
        least = max(least, self.found.get(self.memory_driven, least))
        near = sorted((w for w, accuracy in self.found.items() if accuracy >= least), key=self._rank, reverse=True)
        fidelity = fidelity_of(self.problem)
        kept = {*near[:MAX_NEAR], *({self.memory_driven} & self.found.keys())}
        errors = {
            w: fidelity.errors(self.plan(w)) for w in self.problem.track(sorted(kept, key=self._policy), "rl: the best")
        }
        likest = max(errors, key=lambda widths: (-errors[widths].sum(), self._rank(widths)))
        if self.memory_driven not in errors:
            return likest
        gains = errors[self.memory_driven] - errors[likest]
        is_apart = gains.sum() > APART * gains.std() * math.sqrt(len(gains))
        return likest if is_apart else self.memory_driven


def state_features(graph: ModelGraph, choices: Sequence[Choice]) -> np.ndarray:
    """What the agent sees of each choice beside its previous action: float64 [choices, 9], each feature from 0 to 1.

    They are: depthwise or not, input and output channels, stride, kernel, weights, pixels of the input, layer, and
    whether the weights (1) or the map (0) is chosen.
    """
    rows = [(*_op_features(graph, graph.ops[choice.layer]), choice.layer, not choice.is_map) for choice in choices]
    table = np.array(rows, np.float64).reshape(len(rows), 9)
    if not rows:
        return table
    least, span = table.min(axis=0), np.ptp(table, axis=0)
    return (table - least) / np.where(span > 0, span, 1)


def _op_features(graph: ModelGraph, op: Op) -> tuple[float, ...]:
    source, output = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    window = op.window or Window(stride_height=0)
    weights = graph.tensors[op.inputs[1]].num_elements if op in weighted_ops(graph) else 0
    return (
        op.traits.is_depthwise,
        source.shape[-1],
        output.shape[-1],
        window.stride_height,
        max(window.kernel_height, window.kernel_width),
        weights,
        source.num_elements // source.shape[-1],
    )
