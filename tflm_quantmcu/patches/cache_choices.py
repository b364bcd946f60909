"""Which maps of a stage keep their halos from tile to tile: the choices worth trying."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from tflm_quantmcu.patches.planned_stage import AHEAD, FULL, RECOMPUTE, ROWS

NEVER = -2.0  # MACs of a value whose halo is never kept


def cache_choices(
    value_macs: np.ndarray, num_entries: int, shortcuts: Sequence[int] = ()
) -> list[tuple[np.ndarray, bool]]:
    """(cache modes [maps], primed) worth trying: halos are kept in full, or recomputed where that costs few MACs.

    Of two halos of as many bytes the one whose values cost fewer MACs is cheaper to recompute, and the one before the
    other, since computing a value again takes others before it again that are not kept. A map that is not kept in full
    keeps at most its columns, which take little where tiles are narrow and nothing where they are not. The first maps
    alone are not kept in full where bytes are scarcest, and so with warm-up tiles and columns.

    Args:
      value_macs: float64 [maps] of one value; `NEVER` where its halo is never kept, infinite where it always is.
      num_entries: how many of the maps, the first, are inputs.
      shortcuts: maps that may be computed ahead where they are kept in full.
    """
    inner = range(num_entries, len(value_macs) - 1)
    may_keep = value_macs >= 0

    def below(is_full: np.ndarray, least: int) -> tuple[int, ...]:
        return tuple(np.where(is_full, FULL, np.where(may_keep, least, RECOMPUTE)).tolist())

    by_macs = [value_macs > threshold for threshold in (-1.0, *np.unique(value_macs[inner]))]
    modes = {below(is_full, least) for is_full in by_macs for least in (RECOMPUTE, ROWS)}
    choices = {(choice, primed) for choice in modes for primed in (False, True)}
    choices |= {(below(may_keep & (np.arange(len(value_macs)) > m), ROWS), True) for m in inner}
    choices |= {(_ahead(choice, shortcuts), primed) for choice, primed in choices}
    return [(np.array(choice), primed) for choice, primed in sorted(choices) if any(choice) or not primed]


def _ahead(modes: tuple[int, ...], shortcuts: Sequence[int]) -> tuple[int, ...]:
    return tuple(AHEAD if mode == FULL and m in shortcuts else mode for m, mode in enumerate(modes))
