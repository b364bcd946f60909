"""Settings of the searches that the accuracy guard may choose, where the user left them at their defaults.

What a user set stays: it is a limit, or a width set by hand.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import Any

from tflm_quantmcu.search.options import Options
from tflm_quantmcu.search.problem import SearchProblem
from tflm_quantmcu.search.settings.common import StageSettings
from tflm_quantmcu.search.settings.vdqs import VdqsSettings

LAMBDAS = (0.4, 0.44, 0.5, 0.6, 0.75, 1.0)  # of objective bit_ops
SAVED_SHARES = (0.6, 0.7, 0.8, 0.85, 0.9, 0.95)  # of the BitOPs that can be saved, of objective bit_ops
MIXED_SPLITS = (0, 1, 3)  # of those that keep the bound below 8 bits, the fastest first
PINNED = ("both", "last", "first")
_BY_HAND = {"uniform": ("activation_bits", "weight_bits"), "vdqs": ("vdqs_lambda",)}

_Settings = Mapping[str, Any]


def no_knobs(problem: SearchProblem) -> Sequence[_Settings]:
    """None: its settings are the widths themselves."""
    del problem
    return ()


def split_knobs(problem: SearchProblem) -> Sequence[_Settings]:
    """Other splits, whose patches have fewer bits: they may be larger within the bound, and so take less time."""
    is_split = problem.settings.part(StageSettings).split == "on"
    if problem.budget.sram_bytes is None or problem.calibration is None or not is_split:
        return ()
    return [{"mixed_split": number} for number in MIXED_SPLITS]


def vdqs_knobs(problem: SearchProblem) -> Sequence[_Settings]:
    """The settings to try: of objective bit_ops lambda, or how much is lowered by error, and the width of weights; else
    other splits, and which weights stay at 8 bits."""
    if problem.settings.part(VdqsSettings).trade is not None:
        lambdas = _open(problem, "vdqs_lambda", LAMBDAS)
        widths = _open(problem, "vdqs_min_weight_bits", (4, 8))
        by_error = [{"saved_share": share} for share in SAVED_SHARES] if _is_open(problem, "vdqs_lambda") else []
        return [{**a, **b} for a, b in (*itertools.product(lambdas, widths), *itertools.product(by_error, widths[:1]))]
    found = list(split_knobs(problem))
    if problem.budget.flash_bytes is not None:
        found += _pinned(problem)
    return found


def memory_driven_knobs(problem: SearchProblem) -> Sequence[_Settings]:
    """Nothing below 4 bits, which weights stay at 8, and other splits."""
    least = _open(problem, "memory_driven_min_bits", (4,))
    pinned = _pinned(problem) if problem.budget.flash_bytes is not None else []
    return [
        *(s for s in least if s),
        *(s for s in pinned if s),
        *({**a, **b} for a in least for b in pinned if a and b),
        *split_knobs(problem),
    ]


def has_widths_by_hand(problem: SearchProblem, search: str) -> bool:
    """Whether the user set widths, or the trade that decides them, and did not leave them to the search."""
    names = _BY_HAND.get(search, ())
    fixed = problem.fixed
    by_rule = any(b < 8 for bits in (fixed.activation_bits, fixed.weight_bits) for b in bits.values())
    return by_rule or any(not _is_open(problem, name) for name in names)


def _pinned(problem: SearchProblem) -> Sequence[_Settings]:
    return _open(problem, "pinned_layers", PINNED)


def _open(problem: SearchProblem, name: str, values: Sequence[Any]) -> Sequence[_Settings]:
    """One for each value of an open setting, one that changes nothing of another."""
    return [{name: value} for value in values] if _is_open(problem, name) else [{}]


def _is_open(problem: SearchProblem, name: str) -> bool:
    return getattr(problem.settings, name) == getattr(Options(), name)
