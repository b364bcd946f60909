"""docs/reference/ops.md is what the code says."""

from __future__ import annotations

from tools import ops_table


def test_the_page_is_what_the_code_says():
    assert ops_table.TARGET.read_text() == ops_table.table(), "run python -m tools.ops_table"


def test_rows_say_what_is_known_of_some_ops():
    rows = {line.split(" | ")[0].strip("| "): line for line in ops_table.table().splitlines()}
    assert "| yes | `QMCU_CONV_2D` | yes |" in rows["CONV_2D"]
    assert "with a constant" in rows["MINIMUM"] and rows["MINIMUM"].endswith("| yes |")
    assert rows["UNPACK"].endswith("|  |  | yes |")
    assert (
        rows["SPLIT_V"] == "| SPLIT_V | as SLICE | as SLICE | yes |"
    )  # written so before planning, not in emitted code
    assert "WHILE" not in rows
