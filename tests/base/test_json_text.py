"""Readable JSON: the same values, short things on one line."""

from __future__ import annotations

import json

from tflm_quantmcu.base.json_text import readable_json


def test_flat_values_stand_on_one_line_and_others_on_a_line_an_entry():
    value = {"grid": [[0, 1], [1, 0]], "formats": {"map": {"bits": 4, "scale": 0.5}}, "empty": {}, "none": None}
    assert readable_json(value).splitlines() == [
        "{",
        ' "grid": [',
        "  [0, 1],",
        "  [1, 0]",
        " ],",
        ' "formats": {',
        '  "map": {"bits": 4, "scale": 0.5}',
        " },",
        ' "empty": {},',
        ' "none": null',
        "}",
    ]


def test_long_rows_of_numbers_stay_rows_and_long_texts_get_lines():
    row, texts = list(range(100)), ["x" * 80, "y" * 80]
    assert "\n" not in readable_json(row)
    assert len(readable_json(texts).splitlines()) == 4
    assert json.loads(readable_json({"row": row, "texts": texts})) == {"row": row, "texts": texts}
