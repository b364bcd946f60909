"""What a whole network at few bits loses: every map and every weights that may be lowered, none chosen by a search.

    python -m experiments.judging.whole --folders build/judging/mobilenet_v2_224 --widths W4A4 --output build/whole.csv

Folders are those of `train.py` and `public.py`. W8A4 has maps of 4 bits, W4A8 weights, W4A4 both. With `--published`
what keeps 8 bits in published results (BRECQ, arXiv 2102.05426) does: weights of the first and the last layer, what the
first one writes and the last one reads, and maps that an ADD alone reads, which no product is made with. Points are
percent of `judge.npz` that are right no more, less those that became right, by the exact simulation; `limit` is their
one-sided 90 % limit. `seconds` are CPU seconds of compensation alone. With `--choose` the images of `evaluation.npz`
judge, by which methods are chosen.
"""

from __future__ import annotations

import argparse
import dataclasses
import pathlib
import time

from experiments.judging.judged import JudgedNetwork
from experiments.rows import csv_of
from tflm_quantmcu.base.files import write_atomically
from tflm_quantmcu.calibration.methods import narrow_format
from tflm_quantmcu.compensation.compensate import compensate
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.graph.types import ModelGraph
from tflm_quantmcu.search.widths import free_maps, free_weights, weighted_ops

WIDTHS = {"W4A8": (4, 8), "W8A4": (8, 4), "W4A4": (4, 4)}  # of weights and of maps


@dataclasses.dataclass(frozen=True)
class WholeRow:
    """A network at one width of maps and one of weights."""

    network: str
    widths: str
    int8: float
    points: float
    limit: float
    num_judged: int
    seconds: float


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m experiments.judging.whole")
    parser.add_argument("--folders", nargs="+", type=pathlib.Path, required=True, help="of the networks")
    parser.add_argument("--widths", nargs="+", choices=WIDTHS, default=list(WIDTHS), help="of weights and maps")
    parser.add_argument("--published", action="store_true", help="keep 8 bits where published results do")
    parser.add_argument("--compensation", default="weights", help="as of convert")
    parser.add_argument("--choose", action="store_true", help="judge by evaluation.npz")
    parser.add_argument("--max_judge", type=int, help="judging samples at most, for a quick look")
    parser.add_argument("--output", help="where to write the table (.csv)")
    asked = parser.parse_args()
    rows: list[WholeRow] = []
    for folder in asked.folders:
        network = JudgedNetwork(folder, asked.max_judge, part="evaluation" if asked.choose else "judge")
        for widths in asked.widths:
            rows.append(row(folder.name, network, widths, published=asked.published, mode=asked.compensation))
            print(rows[-1], flush=True)
            if asked.output:
                write_atomically(asked.output, csv_of(WholeRow, rows))


def row(name: str, network: JudgedNetwork, widths: str, *, published: bool, mode: str) -> WholeRow:
    """The row of a network; `mode` as of `compensate`."""
    plan, calibration = whole_plan(network, *WIDTHS[widths], published=published), network.calibration
    start = time.process_time()
    plan = compensate(network.graph, plan, calibration.samples, mode=mode)
    seconds = time.process_time() - start
    loss = network.loss_of(plan)
    return WholeRow(
        network=name,
        widths=widths + "*" * published,
        int8=round(100 * network.accuracy, 2),
        points=round(loss.points, 2),
        limit=round(loss.upper_points, 2),
        num_judged=loss.num_samples,
        seconds=round(seconds, 1),
    )


def whole_plan(network: JudgedNetwork, weight_bits: int, map_bits: int, *, published: bool) -> PrecisionPlan:
    """The plan of an unsplit network."""
    graph = network.graph
    kept = kept_maps(graph) if published else set()
    maps = [name for name in free_maps(graph) if map_bits < 8 and name not in kept]
    weights = free_weights(graph, "both" if published else "none") if weight_bits < 8 else []
    return PrecisionPlan(
        graph.sha256,
        {},
        formats={name: narrow_format(network.calibration.stats[name], map_bits) for name in maps},
        weight_bits=dict.fromkeys(weights, weight_bits),
    )


def kept_maps(graph: ModelGraph) -> set[str]:
    """Maps that keep 8 bits in published results."""
    ops = weighted_ops(graph)
    alone = [t for t, readers in graph.consumers.items() if readers and all(op.kind == "ADD" for op in readers)]
    return {graph.tensors[t].name for t in (ops[0].outputs[0], ops[-1].inputs[0], *alone)}


if __name__ == "__main__":
    main()
