"""plan.json is checked as a whole before any of it is used."""

from __future__ import annotations

import json

import pytest

from tests.graph.test_precision_plan import PLAN
from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.graph.precision_plan import PrecisionPlan

FIELDS = json.loads(PLAN.to_json())


def changed(path: str, value: object) -> str:
    """The plan with one entry changed; `...` takes it out."""
    fields = json.loads(PLAN.to_json())
    *parents, last = [int(key) if key.isdigit() else key for key in path.split("/")]
    holder = fields
    for key in parents:
        holder = holder[key]
    if value is ...:
        del holder[last]
    else:
        holder[last] = value
    return json.dumps(fields)


@pytest.mark.parametrize("key", FIELDS)
def test_each_key_is_needed(key):
    with pytest.raises(UsageError, match=f"the plan cannot be read: .*lacks the key '{key}'; write it anew"):
        PrecisionPlan.from_json(changed(key, ...))


@pytest.mark.parametrize(
    ("path", "value", "sentence"),
    [
        ("version", 2, "the plan has version 2; supported is 1"),
        ("version", "1", "version is '1'; needed is an integer"),
        ("color", 1, "unknown key 'color'"),
        ("model_sha256", "abc", "needed are 64 hexadecimal digits"),
        ("search", [], "the file.search is .*; needed is an object"),
        ("search/method", 5, "search.method is 5; needed is a text"),
        ("search/scores", [], "search.scores is"),
        ("search/scores", {"accuracy_loss": {}}, "accuracy_loss lacks the key"),
        ("search/scores", {"front": [{}]}, r"search.scores.front\[0\] lacks the key 'points'"),
        ("search/vdpc_phi", 2, "search.vdpc_phi is 2.0; it must be between 0 and 1"),
        ("notes", "a", "the file.notes is 'a'; needed is a list"),
        ("notes/0", None, r"the file.notes\[0\] is None"),
        ("formats/a", [], "formats.a is"),
        ("formats/a/bits", 3, "supported are 8, 4 and 2"),
        ("formats/a/bits", True, "formats.a.bits is True; needed is an integer"),
        ("formats/a/scale", float("nan"), "NaN is no number of JSON"),
        ("formats/a/scale", 1e300, "must be a positive float32 number"),
        ("formats/a/scale", -1, "must be a positive float32 number"),
        ("formats/a/zero_point", 8, "does not fit 4 bits"),
        ("formats/a/scales", 1, "unknown key 'scales'; did you mean scale"),
        ("formats/a/layer", 1, "formats.a.layer is 1; needed is a text"),
        ("weight_bits/w", 3, "weight_bits.w is 3; supported are 8, 4 and 2"),
        ("weight_bits/w", 4.0, "weight_bits.w is 4.0; needed is an integer"),
        ("stages", {}, "stages is"),
        ("stages/0/tile_height", 0, r"stages\[0\].tile_height is 0; it must be from 1 to 32767"),
        ("stages/0/tile_width", 1 << 40, r"stages\[0\].tile_width is 1099511627776"),
        ("stages/0/tile_width", ..., r"stages\[0\] lacks the key 'tile_width'"),
        ("stages/0/cache_mode", "some", r"cache_mode is 'some'; supported are recompute, rows, full, ahead"),
        ("stages/0/map_caches", {"b": "x"}, r"map_caches.b is 'x'"),
        ("stages/0/input_mode", "", "supported are resident, streamed"),
        ("stages/0/vdpc", "on", "supported are static, dynamic, off"),
        ("stages/0/patch_classes", [[0, 1], [1]], "patch_classes in rows of one length"),
        ("stages/0/patch_classes", [], "patch_classes in rows of one length"),
        ("stages/0/patch_classes/0/0", 2, "patch_classes has 2; its classes are 0 to 1"),
        ("stages/0/patch_classes/0/0", -1, "patch_classes has -1; its classes are 0 to 1"),
        ("stages/0/classes", [], "needs classes"),
        ("stages/0/classes/1/name", 1, r"classes\[1\].name is 1"),
        ("stages/0/classes/1/bias_corrections", {"b": [1e400]}, "not JSON|Infinity"),
        ("stages/0/outliers", {"low": 0, "high": 0, "share": 1 << 20}, "values outside int8 or a share outside"),
    ],
)
def test_what_is_wrong_is_named_by_its_place(path, value, sentence):
    with pytest.raises(UsageError, match=sentence):
        PrecisionPlan.from_json(changed(path, value))
