"""What fewer bytes of arena cost in time, over all ways to split a model."""

from __future__ import annotations

from tflm_quantmcu.cost.boards import board_of, milliseconds
from tflm_quantmcu.cost.instructions import load_table
from tflm_quantmcu.cost.network_cost import cost_of
from tflm_quantmcu.graph.types import ModelGraph
from tflm_quantmcu.patches.pareto import Point
from tflm_quantmcu.patches.stage_planner import StagePlanner
from tflm_quantmcu.patches.work_bound import planning_table
from tflm_quantmcu.search.options import Options
from tflm_quantmcu.search.widths import free_maps


def front_of(graph: ModelGraph, options: Options) -> list[Point]:
    """The front of a model; maps have 8 bits, of search uniform `activation_bits`; bounds do not count.

    Args:
      graph: the model in its canonical form.
      options: its target, its input, and what is minimised beside bytes.
    """
    bits = options.activation_bits if options.search == "uniform" else 8
    widths = dict.fromkeys(free_maps(graph), bits) if bits < 8 else {}
    target, table = options.target, load_table(options.target.timed_core)
    planner = StagePlanner(
        graph,
        table=planning_table(table, options.max_macs_ratio),
        bits=widths,
        input_mode=options.input,
        variants=target.variants,
        stock_kernels=target.stock_kernels,
    )
    whole, board = cost_of(graph, map_bits=widths, table=table), board_of(target.timed_core, target.board)
    points = []
    for split in planner.front():
        work = planner.cost_of(split, table)
        points.append(
            Point(
                arena_bytes=split.arena_bytes,
                milliseconds=milliseconds(target.timed_core, target.board, work),
                milliseconds_error=board.relative_error if board else None,
                cycles=work.cycles,
                instructions=work.instructions,
                slowdown=work.cycles / max(whole.cycles, 1),
                macs=split.macs,
                macs_ratio=split.macs_ratio,
                num_stages=len(split.stages),
                binding=split.binding,
            )
        )
    return points
