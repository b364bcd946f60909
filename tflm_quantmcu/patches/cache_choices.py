"""Which maps of a stage keep their halos from tile to tile: the choices worth trying."""

from __future__ import annotations

import numpy as np

from tflm_quantmcu.patches.planned_stage import FULL, RECOMPUTE, ROWS

NEVER = -2.0  # MACs of a value whose halo is never kept


def cache_choices(value_macs: np.ndarray, num_entries: int) -> list[tuple[np.ndarray, bool]]:
    """(cache modes [maps], primed) worth trying: halos are kept in full, or recomputed where values cost few MACs.

    Of two halos of as many bytes the one whose values cost fewer MACs is cheaper to recompute. Below the threshold
    a map keeps at most its columns, which take little where tiles are narrow and nothing where they are not.

    Args:
      value_macs: float64 [maps] of one value; `NEVER` where its halo is never kept, infinite where it always is.
      num_entries: how many of the maps, the first, are inputs.
    """
    thresholds = [-1.0, *np.unique(value_macs[num_entries:-1])]
    choices = {
        tuple(np.where(value_macs > threshold, FULL, np.where(value_macs >= 0, below, RECOMPUTE)).tolist())
        for threshold in thresholds
        for below in (RECOMPUTE, ROWS)
    }
    return [
        (np.array(choice), primed)
        for choice in sorted(choices)
        for primed in (False, True)
        if any(choice) or not primed
    ]
