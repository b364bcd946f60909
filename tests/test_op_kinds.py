"""Every place that must know a kind of op knows it: for each row of the table, each place that its attributes ask of.

Who adds a row sees here, by name, what is still to do.
"""

from __future__ import annotations

import ast
import dataclasses
import functools
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.test_laws import table_rows
from tflm_quantmcu.arena.machine import CORTEX_M, HOST
from tflm_quantmcu.converter.emit.calls import PARAMS
from tflm_quantmcu.cost.instructions import load_table
from tflm_quantmcu.graph.op_kind import Formats, OpKind, Table
from tflm_quantmcu.graph.op_kinds import OP_KINDS, STAGE_KINDS, op_kind
from tflm_quantmcu.law import lookups, stage_kernels
from tflm_quantmcu.lowering import stock_ops
from tflm_quantmcu.oracle import own_kernels, run_stage
from tflm_quantmcu.stage.custom_ops import PREFIX

ROOT = Path(__file__).resolve().parent.parent
KERNELS = ROOT / "tflm_kernels"


@dataclasses.dataclass(frozen=True)
class Place:
    """A place that knows kinds.

    Attributes:
      concerns: whether it must know a kind.
      knows: whether it does.
    """

    concerns: Callable[[OpKind], bool]
    knows: Callable[[OpKind], bool]


@functools.cache
def text(path: str) -> str:
    return (ROOT / path).read_text()


def has_word(path: str, word: str) -> bool:
    return re.search(rf"\b{re.escape(word)}\b", text(path)) is not None


def is_ours(kind: OpKind) -> bool:
    return bool(kind.kernel)


def is_in_stages(kind: OpKind) -> bool:
    return kind.stage is not None


def is_stock_too(kind: OpKind) -> bool:
    """A builtin that is computed as the model has it where no op of ours takes its place."""
    return bool(kind.becomes) and not kind.has_filter and not kind.is_pool


def options_table(kind: OpKind) -> bool:
    rows = table_rows("format.md", "op", "inputs", "keys beside `version`")
    return any(f"`{PREFIX}{kind.name}`" in row[0] for row in rows)


def cpp_test(kind: OpKind) -> bool:
    include = f"portable/ops/{kind.snake_name}.h"
    return any(include in path.read_text() for path in (ROOT / "tests/kernels").glob("*_test.cc"))


def parity_test(kind: OpKind) -> bool:
    return has_word("tests/parity/test_op_parity.py", kind.snake_name)


def stage_enum(kind: OpKind) -> bool:
    camel = "".join(part if part[0].isdigit() else part.capitalize() for part in kind.name.split("_"))
    return f"kStage{camel} = {kind.stage}," in text("tflm_kernels/portable/stage/program.h")


def fields_of_kernels(kind: OpKind) -> bool:
    fields = {field.name for field in dataclasses.fields(stage_kernels.Kernels)}
    header = text("tflm_kernels/portable/ops/kernels.h")
    return fields.issuperset(kind.stage_kernels) and all(f" {field};" in header for field in kind.stage_kernels)


def format_number(kind: OpKind) -> bool:
    return f"{kind.stage} {kind.name.lower()}" in " ".join(text("docs/format.md").split())


def core_variants(kind: OpKind) -> bool:
    return all(has_word(f"tflm_kernels/cortex_m/{core}/kernels.h", kind.kernel) for core in ("dsp", "mve"))


PLACES = {
    "tflm_quantmcu/converter/emit/calls.py, PARAMS": Place(is_ours, lambda kind: kind.name in PARAMS),
    "tflm_quantmcu/oracle/own_kernels.py, LAWS": Place(is_ours, lambda kind: kind.name in own_kernels.LAWS),
    "tflm_quantmcu/oracle/run_stage.py, REDUCTIONS": Place(
        lambda kind: kind.is_reduction, lambda kind: kind.name in run_stage.REDUCTIONS
    ),
    "tflm_quantmcu/arena/persistent.py, op_data": Place(
        is_ours, lambda kind: all(PREFIX + kind.name in machine.op_data for machine in (HOST, CORTEX_M))
    ),
    "tflm_quantmcu/cost/data/, a measured row": Place(
        is_ours, lambda kind: any(kind.snake_name == row.shape.op for row in load_table("m4").rows)
    ),
    "tflm_quantmcu/law/lookups.py, _STOCK": Place(lambda k: k.is_lookup, lambda k: k.name in lookups._STOCK),
    "tflm_quantmcu/law/lookups.py, _FUNCTIONS": Place(lambda k: k.is_lookup, lambda k: k.name in lookups._FUNCTIONS),
    "tflm_quantmcu/lowering/stock_ops.py, _LOWER": Place(is_stock_too, lambda kind: kind.name in stock_ops._LOWER),
    "docs/format.md, table F3": Place(is_ours, options_table),
    "docs/format.md, numbers of F4": Place(is_in_stages, format_number),
    "tflm_kernels/portable/ops/": Place(is_ours, lambda k: (KERNELS / f"portable/ops/{k.snake_name}.cc").is_file()),
    "tflm_kernels/portable/ops/kernels.h, Kernels": Place(is_in_stages, fields_of_kernels),
    "tflm_kernels/portable/stage/program.h, StageOpKind": Place(is_in_stages, stage_enum),
    "tflm_kernels/micro/register.h": Place(
        is_ours, lambda kind: has_word("tflm_kernels/micro/register.h", f"Register_{PREFIX}{kind.name}")
    ),
    "tflm_kernels/cortex_m/, kernels.h of dsp and mve": Place(is_ours, core_variants),
    "tests/kernels/": Place(is_ours, cpp_test),
    "tests/parity/test_op_parity.py": Place(is_ours, parity_test),
}
CASES = [(kind, name) for kind in OP_KINDS for name, place in PLACES.items() if place.concerns(OP_KINDS[kind])]


@pytest.mark.parametrize(("kind", "place"), CASES)
def test_each_place_knows_each_kind_that_it_must(kind: str, place: str) -> None:
    assert PLACES[place].knows(OP_KINDS[kind]), f"{place} lacks {kind}"


NEW = (
    OpKind("NEW_OP", kernel="NewOp", table=Table.FACTOR, stage=99, stage_kernels=("new_op",), is_reduction=True),
    OpKind("NEW_LOOKUP", becomes="LUT"),
)


@pytest.mark.parametrize("place", PLACES)
def test_a_new_kind_is_missed_by_each_place(place: str) -> None:
    concerned = [kind for kind in NEW if PLACES[place].concerns(kind)]
    assert concerned and not any(map(PLACES[place].knows, concerned))


@pytest.mark.parametrize("kind", OP_KINDS.values(), ids=list(OP_KINDS))
def test_rows_agree_with_themselves(kind: OpKind) -> None:
    assert op_kind(kind.name) is kind
    assert not kind.becomes or op_kind(kind.becomes).kernel
    assert bool(kind.kernel) <= (kind.table is not None)
    assert kind.has_filter == (kind.products is not None) <= bool(kind.bias_input)
    assert bool(kind.stage_kernels) == (kind.stage is not None)
    assert not kind.activation or kind.becomes == "REQUANTIZE"


def test_stages_number_their_kinds_without_gaps() -> None:
    assert [kind.stage for kind in STAGE_KINDS] == list(range(len(STAGE_KINDS)))


def test_of_a_kind_without_a_row_nothing_is_known() -> None:
    assert op_kind("SOME_CUSTOM_OP") == OpKind("SOME_CUSTOM_OP")
    assert op_kind("SOME_CUSTOM_OP").formats is Formats.KEPT


def test_no_member_of_an_enumeration_is_an_empty_tuple() -> None:
    """Python 3.11.2 takes it for no value, and gives the member an object() instead."""
    for path in sorted((ROOT / "tflm_quantmcu").rglob("*.py")):
        classes = (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.ClassDef))
        for made in (c for c in classes if any(ast.unparse(base) in ("enum.Enum", "Enum") for base in c.bases)):
            values = [node.value for node in made.body if isinstance(node, ast.Assign)]
            assert not any(isinstance(value, ast.Tuple) and not value.elts for value in values), f"{path}: {made.name}"
