"""Changes of JSON values as people and attackers make them: odd numbers, other types, missing and doubled entries."""

from __future__ import annotations

import copy
import random
from typing import Any

ODD = (
    None, True, False, 0, 1, -1, 2, 3, 4, 8, 16, 127, -129, 32768, 2**31, 2**63, 10**400, 0.5, -0.0, 1e-45, 1e39, 1e308,
    float("nan"), float("inf"), -float("inf"), "", "x", "\x1b[31m", "\u202e", "é", "a" * 5000, [], {}, [[]], [[[[]]]],
    {"bits": 4}, "recompute", "rows", "full", "ahead", "streamed", "dynamic", "outlier", "ordinary",
)  # fmt: skip


def changed(value: Any, rng: random.Random) -> Any:
    """A copy with one to three changes at random places."""
    value = copy.deepcopy(value)
    for _ in range(rng.randint(1, 3)):
        value = _change(value, rng)
    return value


def _change(value: Any, rng: random.Random) -> Any:
    places = list(_places(value))
    if not places:
        return rng.choice(ODD)
    holder, key = rng.choice(places)
    action = rng.randrange(6)
    if action == 0:
        del holder[key]
    elif action == 1:
        other, other_key = rng.choice(places)
        holder[key] = copy.deepcopy(other[other_key])
    elif action == 2 and isinstance(holder, dict):
        holder[rng.choice([str(odd) for odd in ODD[:30]])] = copy.deepcopy(holder[key])
    elif action == 3 and isinstance(holder, list):
        holder.insert(key, copy.deepcopy(holder[key]))
    elif action == 4 and isinstance(holder[key], (int, float)) and not isinstance(holder[key], bool):
        holder[key] = holder[key] * rng.choice([-1, 0.5, 2, 1e9]) + rng.randint(-2, 2)
    else:
        holder[key] = copy.deepcopy(rng.choice(ODD))
    return value


def _places(value: Any) -> Any:
    """(holder, key) of all entries below a value."""
    keys = list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    for key in keys:
        yield value, key
        yield from _places(value[key])
