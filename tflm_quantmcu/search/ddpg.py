"""The agent of search rl: deep deterministic policy gradient (DDPG) on one action from 0 to 1, in numpy.

In: the states, actions and rewards of episodes. Out: the action for a state, ever better ones. It knows nothing of
networks or widths.

Source: Lillicrap et al., arXiv 1509.02971, with what HAQ (arXiv 1811.08886) and its authors' code make of it: actions
are explored by a truncated normal distribution that narrows, and rewards count above their moving average.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

_ADAM_DECAYS = (0.9, 0.999)
_ADAM_EPSILON = 1e-8


@dataclasses.dataclass(frozen=True)
class Settings:
    """Hyper-parameters, by default HAQ's.

    Attributes:
      hidden_units: of both hidden layers of actor and critic.
      actor_rate, critic_rate: learning rates of Adam.
      discount: of the value of what follows a step.
      target_rate: share of the learned weights that the target networks take over at a time (tau).
      batch_size: transitions that are learned from at a time.
      warmup_episodes: with random actions, from which nothing is learned yet.
      exploration, exploration_decay: standard deviation of actions around the actor's own, and its factor an episode.
      baseline_rate: weight of the latest batch in the moving average of rewards.
    """

    hidden_units: int = 300
    actor_rate: float = 1e-4
    critic_rate: float = 1e-3
    discount: float = 1.0
    target_rate: float = 0.01
    batch_size: int = 64
    warmup_episodes: int = 20
    exploration: float = 0.5
    exploration_decay: float = 0.99
    baseline_rate: float = 0.5


class Agent:
    """Actor and critic with targets that follow them, and the transitions that they learn from.

    Args:
      num_features: of a state.
      capacity: transitions that are kept; the oldest go first.
      seed: of all that is random.
      settings: see there.
    """

    def __init__(self, num_features: int, *, capacity: int, seed: int, settings: Settings | None = None) -> None:
        self._settings = settings or Settings()
        self._random = np.random.default_rng(seed)
        hidden = self._settings.hidden_units
        self._actor = _Network((num_features, hidden, hidden, 1), self._random)
        self._critic = _Network((num_features + 1, hidden, hidden, 1), self._random)
        self._kept = {
            "states": np.zeros((capacity, num_features)),
            "next_states": np.zeros((capacity, num_features)),
            "actions": np.zeros((capacity, 1)),
            "rewards": np.zeros((capacity, 1)),
            "continues": np.zeros((capacity, 1)),
        }
        self._num_observed = 0
        self._num_learned = 0
        self._baseline: float | None = None

    def act(self, state: np.ndarray, *, episode: int) -> float:
        """The action in [0, 1] to try for a state, float [num_features]; episodes count from 0."""
        age = episode - self._settings.warmup_episodes
        if age < 0:
            return float(self._random.random())
        mean = float(_sigmoid(_forward(self._actor.layers, state[None])[-1])[0, 0])
        return self._truncated_normal(mean, self._settings.exploration * self._settings.exploration_decay**age)

    def _truncated_normal(self, mean: float, deviation: float) -> float:
        """Tries again until the value is in [0, 1]; the mean is in there, so that about every second try is."""
        while not 0 <= (action := float(self._random.normal(mean, deviation))) <= 1:
            pass
        return action

    def observe(
        self, state: np.ndarray, action: float, reward: float, next_state: np.ndarray, *, is_last: bool
    ) -> None:
        """Keeps a transition.

        Args:
          state, next_state: float [num_features], before and after.
          action: 0 to 1.
          reward: for it.
          is_last: whether the episode ends with it; what follows has no value then.
        """
        place = self._num_observed % len(self._kept["states"])
        found = (state, next_state, action, reward, not is_last)
        for kept, value in zip(self._kept.values(), found, strict=True):
            kept[place] = value
        self._num_observed += 1

    def learn(self) -> None:
        """One step of critic and actor on a random batch of the transitions."""
        settings = self._settings
        size = min(self._num_observed, len(self._kept["states"]))
        chosen = self._random.choice(size, settings.batch_size, replace=size < settings.batch_size)
        states, next_states, actions, rewards, continues = (kept[chosen] for kept in self._kept.values())
        mean_reward = float(rewards.mean())
        if self._baseline is None:
            self._baseline = mean_reward
        self._baseline += settings.baseline_rate * (mean_reward - self._baseline)

        next_actions = _sigmoid(_forward(self._actor.target, next_states)[-1])
        next_values = _forward(self._critic.target, np.hstack([next_states, next_actions]))[-1]
        wanted = rewards - self._baseline + settings.discount * continues * next_values
        self._num_learned += 1
        found = _forward(self._critic.layers, np.hstack([states, actions]))
        slopes, _ = _backward(self._critic.layers, found, 2 * (found[-1] - wanted) / len(states))
        self._critic.step(slopes, settings.critic_rate, self._num_learned)

        found = _forward(self._actor.layers, states)
        own = _sigmoid(found[-1])
        judged = _forward(self._critic.layers, np.hstack([states, own]))
        _, input_slope = _backward(self._critic.layers, judged, np.full_like(own, -1 / len(states)))
        slopes, _ = _backward(self._actor.layers, found, input_slope[:, -1:] * own * (1 - own))
        self._actor.step(slopes, settings.actor_rate, self._num_learned)
        for network in (self._actor, self._critic):
            network.follow(settings.target_rate)

    def values(self) -> dict[str, Any]:
        """All that an agent is beside `arrays`: what JSON can hold."""
        return {
            "random": self._random.bit_generator.state,
            "num_observed": self._num_observed,
            "num_learned": self._num_learned,
            "baseline": self._baseline,
        }

    def arrays(self) -> dict[str, np.ndarray]:
        """The agent's own arrays by name, not copies: float64, of the shapes that the agent was made with."""
        networks = {**self._actor.arrays("actor"), **self._critic.arrays("critic")}
        return networks | {f"kept/{name}": array for name, array in self._kept.items()}

    def restore(self, values: Mapping[str, Any], arrays: Mapping[str, np.ndarray]) -> None:
        """Becomes what `values` and `arrays` were of; that agent was made with the same arguments, so shapes and dtypes
        are the same."""
        self._random.bit_generator.state = values["random"]
        self._num_observed, self._num_learned = values["num_observed"], values["num_learned"]
        self._baseline = values["baseline"]
        for name, array in self.arrays().items():
            array[...] = arrays[name]


class _Network:
    """A network's layers [weights, bias, weights, ...], the target that follows them, and Adam's two moments."""

    def __init__(self, sizes: tuple[int, ...], random: np.random.Generator) -> None:
        last = len(sizes) - 2
        self.layers = []
        for i, (inputs, outputs) in enumerate(zip(sizes, sizes[1:], strict=False)):
            bound = 3e-3 if i == last else inputs**-0.5  # Lillicrap et al.: the first outputs are near 0
            self.layers += [random.uniform(-bound, bound, shape) for shape in ((inputs, outputs), (outputs,))]
        self.target = [layer.copy() for layer in self.layers]
        self._moments = [[np.zeros_like(layer) for layer in self.layers] for _ in _ADAM_DECAYS]

    def step(self, slopes: list[np.ndarray], rate: float, count: int) -> None:
        """The `count`th step of Adam, from 1."""
        (first, second), (decay1, decay2) = self._moments, _ADAM_DECAYS
        for layer, slope, m, v in zip(self.layers, slopes, first, second, strict=True):
            m += (1 - decay1) * (slope - m)
            v += (1 - decay2) * (slope * slope - v)
            layer -= rate * (m / (1 - decay1**count)) / (np.sqrt(v / (1 - decay2**count)) + _ADAM_EPSILON)

    def follow(self, rate: float) -> None:
        for target, layer in zip(self.target, self.layers, strict=True):
            target += rate * (layer - target)

    def arrays(self, name: str) -> dict[str, np.ndarray]:
        parts = {"layers": self.layers, "target": self.target, "mean": self._moments[0], "square": self._moments[1]}
        return {f"{name}/{part}/{i}": array for part, arrays in parts.items() for i, array in enumerate(arrays)}


def _forward(layers: list[np.ndarray], x: np.ndarray) -> list[np.ndarray]:
    """What each layer reads, the first one's being x [N, inputs], and at the end what the last one gives [N, 1]."""
    found = [x]
    for i in range(0, len(layers), 2):
        sums = found[-1] @ layers[i] + layers[i + 1]
        found.append(np.maximum(sums, 0) if i + 2 < len(layers) else sums)
    return found


def _backward(
    layers: list[np.ndarray], found: list[np.ndarray], slope: np.ndarray
) -> tuple[list[np.ndarray], np.ndarray]:
    """(slopes of the layers, slope of the input), from that of the output [N, 1] and what `_forward` found."""
    slopes: list[np.ndarray] = []
    for i in reversed(range(0, len(layers), 2)):
        read = found[i // 2]
        slopes[:0] = [read.T @ slope, slope.sum(axis=0)]
        slope = slope @ layers[i].T
        if i:
            slope = slope * (read > 0)
    return slopes, slope


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 0.5 * (1 + np.tanh(0.5 * x))
