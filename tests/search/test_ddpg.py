"""The agent: its slopes, that it learns, what it explores, and that a restored agent goes on as the first one."""

from __future__ import annotations

import json

import numpy as np
import pytest

from tflm_quantmcu.search import ddpg
from tflm_quantmcu.search.ddpg import Agent, Settings

SMALL = Settings(hidden_units=16, actor_rate=3e-3, critic_rate=1e-2, warmup_episodes=2, target_rate=0.1)


def _agent(*, capacity: int = 512, settings: Settings = SMALL, seed: int = 1) -> Agent:
    return Agent(2, capacity=capacity, seed=seed, settings=settings)


def _play(agent: Agent, episodes: range) -> list[float]:
    """Episodes of two steps; the reward says how close the actions come to 0.9 and 0.2. All actions."""
    states = np.array([[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]])
    actions = []
    for episode in episodes:
        tried = [agent.act(state, episode=episode) for state in states[:2]]
        reward = 1 - abs(tried[0] - 0.9) - abs(tried[1] - 0.2)
        for step, action in enumerate(tried):
            agent.observe(states[step], action, reward, states[step + 1], is_last=step == 1)
        if episode > SMALL.warmup_episodes:
            agent.learn()
            agent.learn()
        actions += tried
    return actions


def test_slopes_are_those_of_the_loss():
    random = np.random.default_rng(0)
    network = ddpg._Network((3, 8, 8, 1), random)
    x = random.normal(size=(5, 3))

    def loss() -> float:
        return float((ddpg._forward(network.layers, x)[-1] ** 2).sum())

    found = ddpg._forward(network.layers, x)
    slopes, input_slope = ddpg._backward(network.layers, found, 2 * found[-1])
    for array, slope in zip([*network.layers, x], [*slopes, input_slope], strict=True):
        place = tuple(random.integers(n) for n in array.shape)
        array[place] += 1e-6
        above = loss()
        array[place] -= 2e-6
        below = loss()
        array[place] += 1e-6
        assert slope[place] == pytest.approx((above - below) / 2e-6, rel=1e-4, abs=1e-9)


def test_actions_become_those_of_high_rewards():
    agent = _agent()
    _play(agent, range(600))
    first, second = (np.mean(actions) for actions in np.reshape(_play(agent, range(600, 620)), (-1, 2)).T)
    assert first > 0.75 and second < 0.35


def test_warm_up_is_uniform_and_exploration_narrows_around_the_actor():
    agent, state = _agent(), np.zeros(2)
    early = [agent.act(state, episode=1) for _ in range(2000)]
    assert np.histogram(early, bins=4, range=(0, 1))[0].min() > 400
    spread = [np.std([agent.act(state, episode=e) for _ in range(200)]) for e in (2, 100, 300)]
    assert 0.2 < spread[0] < 0.3 and spread[0] > spread[1] > spread[2] > 0


@pytest.mark.parametrize("cut", (1, 40))
def test_a_restored_agent_goes_on_as_if_nothing_had_happened(cut):
    straight, stopped = _agent(capacity=50), _agent(capacity=50)
    _play(straight, range(cut))
    _play(stopped, range(cut))
    values = json.loads(json.dumps(stopped.values()))
    arrays = {name: array.copy() for name, array in stopped.arrays().items()}
    resumed = _agent(capacity=50, seed=99)
    resumed.restore(values, arrays)
    assert _play(straight, range(cut, 80)) == _play(resumed, range(cut, 80))
    assert all(np.array_equal(a, b) for a, b in zip(straight.arrays().values(), resumed.arrays().values(), strict=True))


def test_seeds_decide_what_is_tried():
    assert _play(_agent(), range(30)) == _play(_agent(), range(30)) != _play(_agent(seed=2), range(30))


def test_the_oldest_transitions_go_first():
    agent = _agent(capacity=3)
    for i in range(5):
        agent.observe(np.zeros(2), 0.5, float(i), np.zeros(2), is_last=False)
    assert sorted(agent.arrays()["kept/rewards"].ravel()) == [2, 3, 4]


def test_the_value_of_what_follows_the_last_step_does_not_count():
    """Where rewards equal their average, all that a critic can learn of a lone last step is 0."""
    agent = _agent()
    for _ in range(64):
        agent.observe(np.zeros(2), 0.5, 7.0, np.ones(2), is_last=True)
    for _ in range(300):
        agent.learn()
    x = np.array([[0, 0, 0.5]])
    assert abs(ddpg._forward(agent._critic.layers, x)[-1][0, 0]) < 0.05
