"""Plans patch stages: which parts of the network run tile by tile, with which tiles, and what they keep between tiles.

In: an int8 ModelGraph and bounds on the arena or on the work. Out: the split to use, or the reasons, with numbers, why
splitting does not help. Every path from input to output of single ops and stages is considered (stage_path.py), each
stage in all its ways (stage_costs.py).
Work is the estimated cycles of a core, or MACs with recomputed halos and borders clipped where these are bounded;
memory is the arena that TFLM will record with the kernels that take the most, of those that may run.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence

from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.cost.instructions import InstructionTable
from tflm_quantmcu.graph.subgraphs import why_whole
from tflm_quantmcu.graph.target import KERNEL_VARIANTS, QUANTMCU
from tflm_quantmcu.graph.types import ModelGraph
from tflm_quantmcu.patches.reasons import too_large
from tflm_quantmcu.patches.split import StageSearch
from tflm_quantmcu.patches.stage_planner import NOT_STREAMED, StagePlanner
from tflm_quantmcu.patches.work_bound import planning_table, work_ratio
from tflm_quantmcu.stage.program import MAX_INPUTS


def plan_stages(
    graph: ModelGraph,
    *,
    sram_bytes: int | None = None,
    max_macs_ratio: float | None = None,
    max_slowdown: float | None = None,
    table: InstructionTable | None = None,
    bits: Mapping[str, int] | None = None,
    inner_bits: Mapping[str, int] | None = None,
    input_mode: str = "resident",
    variants: Sequence[str] = KERNEL_VARIANTS,
    stock_kernels: str = QUANTMCU,
    max_inputs: int = MAX_INPUTS,
    make: Callable[..., StagePlanner] = StagePlanner,
) -> StageSearch:
    """Chooses the stages.

    Args:
      graph: the int8 model.
      sram_bytes: bound on the non-persistent arena. With it: the least work that meets it, unsplit if that does.
        Without it: the smallest arena, and of equal ones the least work.
      max_macs_ratio: bound on MACs over those of the unsplit network. With it work is MACs, else cycles.
      max_slowdown: bound on cycles, and on instructions, over those of the unsplit network on our kernels. None is
        `DEFAULT_MAX_SLOWDOWN`, or with `sram_bytes` whatever it takes.
      table: of the core whose time is estimated, with its cycles; None is the Cortex-M4's.
      bits: tensor name -> width of maps outside stages and at their ends; absent is 8.
      inner_bits: the same inside stages; None is `bits`.
      input_mode: `resident`, or `streamed`: the first stage pulls the input from a reader.
      variants: of our kernels, those that may run; the bound holds with all of them.
      stock_kernels: what runs the ops outside of stages, one of STOCK_KERNELS.
      max_inputs: of a stage. With more than 1, stages of up to 8 inputs are taken where those of one meet no bound on
        the arena, or without a bound where the arena is smaller with them.
      make: the planner of a graph and options; one that is asked again knows what it found.

    Returns:
      The search's result; `best` is None where the unsplit network is the answer or a bound cannot be met.

    Raises:
      UnsupportedModelError: the input is to be streamed and no stage can read it.
    """
    if graph.subgraphs and input_mode == "streamed":
        raise UnsupportedModelError(f"the input cannot be streamed: {why_whole(graph)}")
    table = planning_table(table, max_macs_ratio)
    ratio = work_ratio(sram_bytes, table, max_macs_ratio, max_slowdown)
    planner = make(
        graph,
        table=table,
        bits=bits,
        inner_bits=inner_bits,
        input_mode=input_mode,
        variants=variants,
        stock_kernels=stock_kernels,
        is_work_bounded=ratio is not None,
    )
    if planner.is_streamed and planner.is_whole:
        raise UnsupportedModelError(NOT_STREAMED)
    search = _smallest if sram_bytes is None else functools.partial(_within, sram_bytes=sram_bytes)
    found = search(planner, ratio)
    return found if max_inputs == 1 else _of_several_inputs(planner, ratio, sram_bytes, found)


def _smallest(planner: StagePlanner, ratio: float | None) -> StageSearch:
    """The best split without a bound on the arena."""
    smallest, baseline = planner.smallest(ratio), planner.baseline_arena_bytes
    if smallest is None and planner.is_streamed:
        smallest = next(planner.within(baseline), None)  # it is asked for whatever it takes
    if smallest is None or smallest.arena_bytes >= baseline and not planner.is_streamed:
        return StageSearch(baseline, None, smallest, planner.refusal(smallest, ratio))
    best = planner.relaxed(smallest, smallest.arena_bytes)
    return StageSearch(baseline, best, smallest, planner.gain(best))


def _within(planner: StagePlanner, ratio: float | None, sram_bytes: int) -> StageSearch:
    """The best split within a bound on the arena."""
    baseline = planner.baseline_arena_bytes
    if baseline <= sram_bytes and not planner.is_streamed:
        reason = f"the unsplit arena of {baseline:,} bytes meets {sram_bytes:,}; splitting would only add work"
        return StageSearch(baseline, None, None, reason)
    cheapest = planner.cheapest(sram_bytes, ratio)
    smallest = cheapest or planner.smallest(ratio)
    if smallest is None or smallest.arena_bytes >= baseline and not planner.is_streamed:
        return StageSearch(baseline, None, smallest, planner.refusal(smallest, ratio))
    if smallest.arena_bytes > sram_bytes:  # its places may be found the better for it
        smallest = planner.relaxed(smallest, smallest.arena_bytes)
    if smallest.arena_bytes > sram_bytes:
        return StageSearch(baseline, None, smallest, too_large(smallest, baseline))
    best = planner.relaxed(smallest, sram_bytes)
    return StageSearch(baseline, best, smallest, planner.gain(best))


def _of_several_inputs(
    planner: StagePlanner, ratio: float | None, sram_bytes: int | None, found: StageSearch
) -> StageSearch:
    """What stages of several inputs make of a search: itself where they do not help."""
    known = found.best.arena_bytes if found.best else found.smallest_arena_bytes
    if known <= (sram_bytes or 0):
        return found
    smallest = planner.smaller(known, ratio, sram_bytes or 0)
    if smallest is None:
        return found
    if sram_bytes and smallest.arena_bytes > sram_bytes:
        return StageSearch(found.baseline_arena_bytes, None, smallest, too_large(smallest, found.baseline_arena_bytes))
    return StageSearch(found.baseline_arena_bytes, smallest, smallest, planner.gain(smallest))
