"""Writes docs/reference/ops.md: which TFLite ops run where, as the code says. `python -m tools.ops_table [--check]`."""

from __future__ import annotations

import argparse
from pathlib import Path

from tflm_quantmcu.graph.op_kind import OpKind
from tflm_quantmcu.graph.op_kinds import OP_KINDS, RESHAPES, STAGE_KINDS, op_kind
from tflm_quantmcu.law.constant_operands import KINDS as CONSTANT_KINDS
from tflm_quantmcu.lowering.stock_ops import KINDS as AOT_KINDS
from tflm_quantmcu.stage.custom_ops import PREFIX
from tflm_quantmcu.tflite import schema

TARGET = Path(__file__).resolve().parents[1] / "docs/reference/ops.md"
_HEAD = """# Which ops run where

Written by `python -m tools.ops_table`. Ops that are not here, or that this table leaves empty, run as stock TFLM runs
them, at 8 bits and outside of patch stages; what TFLM does not run is refused in its words. What an op must look like
besides says `tflm_quantmcu/lowering/support.py`, with a sentence for each refusal.

| TFLite op | in patch stages, at 8, 4 and 2 bits | outside, at 8, 4 and 2 bits | in AOT code, at 8 bits |
|---|---|---|---|
"""


# What an op that runs as ours in stages alone must look like.
_FORMS = {
    "DEPTH_TO_SPACE": "yes",
    "GATHER_CHANNELS": "along channels",
    "MUL": "of two maps, or with a constant",
    "RESIZE_BILINEAR": "by whole factors",
    "RESIZE_NEAREST": "by whole factors",
    "SUB": "of two maps, or with a constant",
}


_CROPS = dict.fromkeys(("SLICE", "STRIDED_SLICE"), "along channels, or rows and columns")
# Ops that are written as others before planning (tflite/canonical), so that these tables hold for them.
_REWRITTEN = {
    "SELECT": "as SELECT_V2",
    "SPLIT": "as SLICE",
    "SPLIT_V": "as SLICE",
    "TRANSPOSE_CONV": "as CONV_2D and DEPTH_TO_SPACE",
}


def table() -> str:
    """The page."""
    builtins = {name for name in vars(schema.BuiltinOperator) if not name.startswith("_")}
    kinds = sorted(({*OP_KINDS} & builtins) | {*AOT_KINDS})
    rows = [
        (kind, *[_REWRITTEN[kind]] * 2, _ahead(op_kind(kind)))
        if kind in _REWRITTEN
        else (kind, _in_stage(op_kind(kind)), _outside(op_kind(kind)), _ahead(op_kind(kind)))
        for kind in kinds
    ]
    return _HEAD + "".join(f"| {' | '.join(row)} |\n" for row in rows if any(row[1:]))


def _in_stage(kind: OpKind) -> str:
    places = []
    carried = op_kind(kind.becomes) if kind.becomes else kind
    if carried.stage is not None and not carried.is_reduction and not kind.in_stage:
        places.append("yes")
    if kind.in_stage:
        places.append(_CROPS.get(kind.name, _FORMS[kind.in_stage]))
    if any(row.is_reduction and row.name == kind.name for row in STAGE_KINDS):
        places.append("at the end")
    if kind.name in CONSTANT_KINDS and not places:
        places.append("with a constant")
    if kind.name == "REDUCE_MAX":
        places.append("but for the last pixels")
    return ", ".join(places)


def _outside(kind: OpKind) -> str:
    if kind.becomes:
        return f"`{PREFIX}{kind.becomes}`"
    return f"`{PREFIX}LUT`, `{PREFIX}CHANNEL_LUT` with a constant" if kind.name in CONSTANT_KINDS else ""


def _ahead(kind: OpKind) -> str:
    if kind.name == "SELECT":  # the one that is written so in emitted code too: TFLM lacks it
        return _REWRITTEN[kind.name]
    return "yes" if kind.name in (*AOT_KINDS, *RESHAPES) or kind.has_filter or kind.is_pool else ""


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tools.ops_table", description=__doc__)
    parser.add_argument("--check", action="store_true", help="fails if the page is not what the code says")
    if parser.parse_args().check:
        raise SystemExit(TARGET.read_text() != table())
    TARGET.parent.mkdir(parents=True, exist_ok=True)
    TARGET.write_text(table())


if __name__ == "__main__":
    main()
