"""Bytes of flash that our code takes on a core, as tools/code_table.py read them from compiled libraries.

In: the units that a model links: `kernels::Conv2D` (the core's own), `kernels::Conv2DOf<8x8>` (of these widths alone),
`reference::Softmax`, the patch stage, the glue to TFLM of an op of ours (`Register_QMCU_LUT`, `AddOp` without its
kernel) or of TFLite's own (`FastAdd`, `FastConv2DOp` without its kernel). Out: bytes of code and of the constants in
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
from tflm_quantmcu.native.linked import fast_kernels, own_kernels, regular_on_tflm, stage_units
from tflm_quantmcu.stage.custom_ops import PATCH_STAGE, PREFIX

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


def tflm_units(graph: ModelGraph, variant: str, stock_kernels: str) -> set[str]:
    """What a model links of ours on TFLM: the glue of its ops, and the kernels for the widths that it runs.

    Args:
      graph: the model.
      variant: of our kernels.
      stock_kernels: of the ops that stay TFLite's own, one of STOCK_KERNELS.
    """
    regular = regular_on_tflm(graph, variant)
    own = own_kernels(graph, variant, regular)
    fast = fast_kernels(graph, variant, regular) if stock_kernels == QUANTMCU else {}
    units = {unit for kernel in (*own.values(), *fast.values()) for unit in kernel.units}
    units |= stage_units(graph, variant, regular)
    for kind in {op.kind for op in graph.ops}:
        if kind == PATCH_STAGE:
            units.add(PATCH_STAGE_TFLM)
        elif kind in own:
            units.add(f"{op_kind(kind.removeprefix(PREFIX)).kernel}Op")
        elif kind.startswith(PREFIX):
            units.add(f"Register_{kind}")
        elif kind in fast:
            units.add(f"Fast{op_kind(kind).kernel}Op")
        elif kind in FAST_OPS and stock_kernels == QUANTMCU:
            units.add(f"Fast{op_kind(kind).kernel}")
    return units


@functools.cache
def _load(core: str) -> Rows:
    text = (resources.files("tflm_quantmcu.cost") / "data" / table_path(core)).read_text()
    return {frozenset(cells["units"].split()): int(cells["bytes"]) for cells in csv.DictReader(io.StringIO(text))}


def to_csv(rows: Rows) -> str:
    """The rows as text with a header, in a fixed order."""
    lines = sorted((" ".join(sorted(units)), num_bytes) for units, num_bytes in rows.items())
    return "units,bytes\n" + "".join(f"{units},{num_bytes}\n" for units, num_bytes in lines)
