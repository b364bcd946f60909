"""Values of files become our types or one sentence that names their place."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Mapping

import pytest

from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.base.fields import MAX_DEPTH, parse_json, read_as, require_depth


@dataclasses.dataclass(frozen=True)
class Inner:
    bits: int
    scale: float = 1.0


@dataclasses.dataclass(frozen=True)
class Outer:
    name: str
    is_on: bool
    rows: tuple[tuple[int, ...], ...]
    inner: Mapping[str, Inner]
    pair: tuple[float, float] = (0.0, 1.0)
    maybe: Inner | None = None


GOOD = {"name": "n", "is_on": True, "rows": [[1, -2], []], "inner": {"a": {"bits": 4, "scale": 2}}}


def test_a_value_is_read_whole():
    read = read_as(Outer, {**GOOD, "pair": [1, 2.5], "maybe": {"bits": 8}}, "it")
    assert read == Outer("n", True, ((1, -2), ()), {"a": Inner(4, 2.0)}, (1.0, 2.5), Inner(8))
    assert read_as(Outer, {**GOOD, "maybe": None}, "it").maybe is None


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"name": 5}, "it.name is 5; needed is a text"),
        ({"is_on": 1}, "it.is_on is 1; needed is true or false"),
        ({"rows": [[1.0]]}, r"it.rows\[0\]\[0\] is 1.0; needed is an integer"),
        ({"rows": [[True]]}, r"it.rows\[0\]\[0\] is True; needed is an integer"),
        ({"rows": [[2**63]]}, "supported are 64-bit integers"),
        ({"rows": {"a": 1}}, "it.rows is .*; needed is a list"),
        ({"inner": []}, r"it.inner is \[\]; needed is an object"),
        ({"inner": {"a": {}}}, "it.inner.a lacks the key 'bits'"),
        ({"inner": {"a": {"bits": 4, "bit": 4}}}, "it.inner.a has the unknown key 'bit'; did you mean bits"),
        ({"inner": {"a": {"bits": 4, "scale": 10**400}}}, "it.inner.a.scale is inf; it must be finite"),
        ({"inner": {"a": {"bits": None}}}, "it.inner.a.bits is None"),
        ({"pair": [1]}, "it.pair has 1 entries; needed are 2"),
        ({"maybe": []}, r"it.maybe is \[\]; needed is an object"),
        ({"name": "x" * 10_000, "is_on": "y" * 10_000}, "it.is_on is 'yyy.{,80}; needed"),
    ],
)
def test_what_does_not_fit_is_named(changes, sentence):
    with pytest.raises(UsageError, match=sentence):
        read_as(Outer, {**GOOD, **changes}, "it")


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("{]", "not JSON"),
        ('{"a": NaN}', "NaN is no number of JSON"),
        ('{"a": -Infinity}', "-Infinity is no number"),
        ('{"a": 1, "a": 2}', "the key 'a' stands twice"),
        ("[" * 100_000, "not JSON"),
        ("[" * (MAX_DEPTH + 1) + "]" * (MAX_DEPTH + 1), "nested deeper than 32"),
        ("1" * 5000, "not JSON"),
    ],
)
def test_texts_that_are_no_plain_json_are_refused(text, sentence):
    with pytest.raises(UsageError, match=sentence):
        parse_json(text)


def test_what_refers_to_itself_ends():
    cycle: list[object] = []
    cycle.append(cycle)
    with pytest.raises(UsageError, match="nested deeper"):
        require_depth(cycle)
    laughs: list[object] = ["lol"]
    for _ in range(20):
        laughs = [laughs] * 10
    require_depth(laughs)
    assert parse_json(json.dumps(GOOD)) == GOOD
