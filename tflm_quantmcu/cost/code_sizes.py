"""Bytes of flash that our code takes on a core, as tools/code_table.py read them from compiled libraries.

In: the units that a model links: `kernels::Conv2D` (the core's own), `reference::Softmax`, the patch stage, the glue to
TFLM of an op of ours (`Register_QMCU_ADD`) or of TFLite's own (`FastAdd`). Out: bytes of code and of the constants in
it. A piece of code that several units link counts once.
"""

from __future__ import annotations

import csv
import functools
import io
from collections.abc import Iterable, Mapping
from importlib import resources

from tflm_quantmcu.arena.fast_ops import FAST_OPS
from tflm_quantmcu.graph.op_kinds import op_kind
from tflm_quantmcu.graph.target import QUANTMCU, short_core
from tflm_quantmcu.graph.types import ModelGraph
from tflm_quantmcu.stage.custom_ops import PATCH_STAGE, PREFIX, stage_kernels

PATCH_STAGE_AOT, PATCH_STAGE_TFLM = "PatchStage", "QMCU_PATCH_STAGE"
Rows = Mapping[frozenset[str], int]


def table_path(core: str) -> str:
    """File name of a core's table."""
    return f"code_{short_core(core)}.csv"


def code_bytes_of(core: str, units: Iterable[str]) -> int | None:
    """The bytes of all units together, each piece of code once; None where the core's table lacks a unit."""
    linked = frozenset(units)
    rows = _load(short_core(core))
    if not linked <= frozenset().union(*rows):
        return None
    return sum(num_bytes for names, num_bytes in rows.items() if names & linked)


def tflm_units(graph: ModelGraph, stock_kernels: str) -> set[str]:
    """What a model links of ours on TFLM: the glue of its ops, and what its patch stages run.

    Args:
      graph: the model.
      stock_kernels: of the ops that stay TFLite's own, one of STOCK_KERNELS.
    """
    kinds = {op.kind for op in graph.ops}
    ours = {kind for kind in kinds if kind.startswith(PREFIX)}
    glue = {PATCH_STAGE_TFLM if kind == PATCH_STAGE else f"Register_{kind}" for kind in ours}
    fast = {f"Fast{op_kind(kind).kernel}" for kind in kinds if kind in FAST_OPS} if stock_kernels == QUANTMCU else set()
    return glue | fast | stage_units(graph)


def stage_units(graph: ModelGraph) -> set[str]:
    """The kernels that the patch stages of a model run."""
    table = stage_kernels(graph, "kernels")
    return set(vars(table).values()) - {"nullptr"} if table else set()


@functools.cache
def _load(core: str) -> Rows:
    text = (resources.files("tflm_quantmcu.cost") / "data" / table_path(core)).read_text()
    return {frozenset(cells["units"].split()): int(cells["bytes"]) for cells in csv.DictReader(io.StringIO(text))}


def to_csv(rows: Rows) -> str:
    """The rows as text with a header, in a fixed order."""
    lines = sorted((" ".join(sorted(units)), num_bytes) for units, num_bytes in rows.items())
    return "units,bytes\n" + "".join(f"{units},{num_bytes}\n" for units, num_bytes in lines)
