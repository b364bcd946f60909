"""FlexBuffer options: the same bytes every time, and a sentence for what is no map."""

from __future__ import annotations

import pytest

from tflm_quantmcu.custom_ops import decode_options, encode_options
from tflm_quantmcu.errors import UnsupportedModelError

OPTIONS = {"version": 1, "clamp_min": -128, "multiplier": 2**31 - 1, "cache_mode": "recompute", "shift": -31}


def test_options_come_back():
    assert decode_options(encode_options(OPTIONS)) == OPTIONS


def test_the_order_of_keys_does_not_matter():
    assert encode_options(dict(reversed(OPTIONS.items()))) == encode_options(OPTIONS)


@pytest.mark.parametrize(
    ("data", "why"),
    [(b"", "not a FlexBuffer map"), (b"\xff" * 9, "not a FlexBuffer map"), (b"\x05\x04\x01", "are a int, not a map")],
)
def test_refuses_what_is_no_map(data, why):
    with pytest.raises(UnsupportedModelError, match=why):
        decode_options(data)
