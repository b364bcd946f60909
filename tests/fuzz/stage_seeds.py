"""Writes the kept inputs of the stage_program target: programs of stages of many kinds, as the fuzzer reads them."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from flatbuffers import flexbuffers

from tests.random_networks.generator import family_of, random_network
from tests.support.networks import inverted_residual, over_time
from tests.support.plans import mixed, split
from tests.support.streamed import streamed_plan
from tflm_quantmcu.converter.convert import convert_model
from tflm_quantmcu.graph.precision_plan import CHOSEN_AT_RUN_TIME, OutlierRule, PrecisionPlan
from tflm_quantmcu.graph.types import ModelGraph
from tflm_quantmcu.patches.planner import plan_stages
from tflm_quantmcu.tflite.canonical.canonical import canonical
from tflm_quantmcu.tflite.model_file import ModelFile

FOLDER = Path(__file__).parent / "corpus" / "stage_program"
MAX_BYTES = 3000
# PatchStageHeader's words, by the options that they are read from.
_HEADER = ("tile_height", "tile_width", "num_ops", "num_maps", "num_classes", "cache_mode", "primed")
_RULE = ("outlier_low", "outlier_high", "outlier_share")
_CACHE_MODES = ("recompute", "rows", "full", "ahead")


def programs(model: bytes) -> Iterator[bytes]:
    """The inputs of the stages of a converted model."""
    tree = ModelFile(model).tree
    graph = tree.subgraphs[0]
    for op in graph.operators:
        if tree.operatorCodes[op.opcodeIndex].customCode != b"QMCU_PATCH_STAGE":
            continue
        options = flexbuffers.Loads(bytes(op.customOptions))
        options["cache_mode"] = _CACHE_MODES.index(options["cache_mode"])
        filters, program = (bytes(tree.buffers[graph.tensors[t].buffer].data) for t in op.inputs[1:3])
        head = np.array([options[name] for name in (*_HEADER, *_RULE)] + [len(program) // 4], "<i4")
        yield head.tobytes() + program + filters


def _dynamic(graph: ModelGraph) -> PrecisionPlan:
    plan = mixed(graph, 3)
    (stage,) = plan.stages
    grid = tuple((CHOSEN_AT_RUN_TIME,) * len(row) for row in stage.patch_classes)
    stage = dataclasses.replace(stage, patch_classes=grid, vdpc="dynamic", outliers=OutlierRule(-20, 20, 900))
    return dataclasses.replace(plan, stages=(stage,))


def seeds() -> Iterator[tuple[str, bytes]]:
    """(name, input)."""
    for size in (6, 9):
        data = inverted_residual(size=size, channels=2)
        graph = ModelFile(data).graph
        plans = {"split": split(graph), "dynamic": _dynamic(graph)} | {f"mixed{i}": mixed(graph, i) for i in range(3)}
        for mode in _CACHE_MODES:
            plans[f"streamed_{mode}"] = streamed_plan(graph, tile_height=2, tile_width=3, cache_mode=mode)
            primed = streamed_plan(graph, tile_height=2, tile_width=2, cache_mode=mode, primed=mode != "recompute")
            plans[f"primed_{mode}"] = primed
        for name, plan in plans.items():
            for i, found in enumerate(programs(convert_model(data, plan))):
                yield f"residual{size}_{name}_{i}", found
    for name, data in [("row", over_time()), *((family_of(s), random_network(s)) for s in range(24))]:
        file = canonical(ModelFile(data))
        best = plan_stages(file.graph, max_slowdown=4.0).best
        plan = PrecisionPlan(file.sha256, {}, stages=best.plans(file.graph) if best else ())
        for i, found in enumerate(programs(convert_model(file, plan))):
            yield f"{name}_{i}", found


def main() -> None:
    FOLDER.mkdir(parents=True, exist_ok=True)
    kept = {name: data for name, data in seeds() if len(data) <= MAX_BYTES}
    for name, data in kept.items():
        (FOLDER / name).write_bytes(data)
    print(f"wrote {len(kept)} inputs, {sum(map(len, kept.values()))} bytes, to {FOLDER}")


if __name__ == "__main__":
    main()
