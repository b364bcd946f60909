"""experiments.kind_shares: shares of one network, split or not, add up, and the table says what has a fast variant."""

from __future__ import annotations

import math

import pytest

from experiments.kind_shares import TILES, Share, fast_kernels, shares_of, table_of
from tests.support.networks import inverted_residual
from tflm_quantmcu.graph.target import KERNEL_VARIANTS, REFERENCE


def test_shares_of_a_network_and_of_what_it_is_converted_to() -> None:
    shares = shares_of("blocks", inverted_residual(), "cortex-m4")
    for is_split in (False, True):
        found = [share for share in shares if share.is_split == is_split]
        assert math.isclose(sum(share.part for share in found), 1.0)
        assert {"Conv2D", "DepthwiseConv2D"} <= {share.kernel for share in found}
        assert (TILES in {share.kernel for share in found}) == is_split
    assert not any(share.num_unknown for share in shares)


@pytest.mark.parametrize("variant", sorted({*KERNEL_VARIANTS} - {REFERENCE}))
def test_a_variants_kernels_are_those_that_its_header_declares(variant: str) -> None:
    fast = fast_kernels(variant)
    assert {"Conv2D", "Add", "Lut", "MaxPool2D"} <= fast
    assert not {"Softmax", "ResizeBilinear", "Product"} & fast


def test_the_table_has_the_largest_share_first() -> None:
    shares = [
        Share("a", False, "Conv2D", "CONV_2D", 0.5, 0),
        Share("a", True, "Conv2D", "QMCU_CONV_2D", 0.4, 0),
        Share("a", True, "Softmax", "SOFTMAX", 0.6, 0),
        Share("b", True, "Softmax", "SOFTMAX", 0.04, 2),
    ]
    lines = table_of(shares, "cortex-m4").splitlines()
    assert lines[2:4] == [
        "| Softmax | SOFTMAX | 60.0% | a, converted | 1 | no |",
        "| Conv2D | CONV_2D, QMCU_CONV_2D | 50.0% | a, as it is | 1 | yes |",
    ]
    assert lines[-1] == "2 networks; with calls that no table knows: b"
