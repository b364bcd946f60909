"""The memory-driven rules: published policies to the byte, both bounds kept on any network, what is refused."""

from __future__ import annotations

import numpy as np
import pytest

from tests.support.mobilenet_v1 import mobilenet_v1
from tflm_quantmcu.search.memory_rules import (
    Extent,
    Layer,
    Scheme,
    UnreachableError,
    cut_activations,
    cut_largest,
    cut_weights,
    read_only_bytes,
    static_bytes,
    weight_cuts,
)

ENDS = {0: 8, 28: 8}
# alpha, resolution, activations and weights below 8 bits by layer, peak RAM, read-only bytes per layer and per channel,
# at 512,000 and 2,048,000 bytes.
PUBLISHED = (
    (0.5, 224, {2: 4}, {}, 401_408, 1_346_096, 1_381_588),
    (0.75, 224, {1: 4, 2: 4, 5: 4}, {26: 4, 27: 4}, 451_584, 1_931_272, 1_978_532),
)


@pytest.mark.parametrize("alpha, resolution, activations, weights, peak, per_layer, per_channel", PUBLISHED)
def test_published_policies_to_the_byte(alpha, resolution, activations, weights, peak, per_layer, per_channel):
    layers = mobilenet_v1(alpha, resolution)
    bits = cut_activations(layers, 512_000, fixed=ENDS)
    assert {m - 1: b for m, b in bits.items() if b < 8} == activations
    assert max(layer.working_bytes(bits) for layer in layers) == peak
    for scheme, total in ((Scheme.MIX_PL, per_layer), (Scheme.MIX_PC, per_channel)):
        chosen = cut_weights(layers, 2_048_000, activation_bits=bits, scheme=scheme)
        assert {i: b for i, b in chosen.items() if b < 8} == weights
        assert read_only_bytes(layers, chosen, bits, scheme) == total


@pytest.mark.parametrize("scheme", Scheme)
@pytest.mark.parametrize("alpha", (0.25, 0.5, 0.75, 1.0))
@pytest.mark.parametrize("resolution", (128, 160, 192, 224))
def test_any_width_resolution_and_budget_keeps_both_bounds_or_is_refused(alpha, resolution, scheme):
    layers = mobilenet_v1(alpha, resolution)
    for ram_bytes, flash_bytes in ((512_000, 2_048_000), (256_000, 1_024_000), (128_000, 512_000)):
        try:
            bits = cut_activations(layers, ram_bytes, fixed=ENDS)
            assert all(layer.working_bytes(bits) <= ram_bytes for layer in layers)
            chosen = cut_weights(layers, flash_bytes, activation_bits=bits, scheme=scheme)
            assert read_only_bytes(layers, chosen, bits, scheme) <= flash_bytes
        except UnreachableError as error:
            smallest = {m: ENDS.get(m, 2) for m in range(29)}
            if error.layer:
                assert error.layer.working_bytes(smallest) > ram_bytes
            else:
                assert read_only_bytes(layers, dict.fromkeys(range(28), 2), bits, scheme) > flash_bytes


def _chain(*sizes: tuple[int, int], num_weights: int = 0) -> list[Layer]:
    """Layer i reads map i and writes map i + 1, of so many pixels and channels."""
    extents = [Extent(*size) for size in sizes]
    return [
        Layer(f"layer {i}", {i: source}, i + 1, written, num_weights, written.channels)
        for i, (source, written) in enumerate(zip(extents, extents[1:], strict=False))
    ]


def test_equal_widths_cut_the_larger_side_and_the_output_where_both_are_equal():
    ends = {0: 8, 3: 8}
    larger_input = _chain((1, 8), (1, 64), (1, 32), (1, 8))
    assert cut_activations(larger_input, 72, fixed=ends) == {0: 8, 1: 4, 2: 8, 3: 8}
    equal = _chain((1, 8), (1, 64), (1, 64), (1, 8))
    assert cut_activations(equal, 96, fixed=ends) == {0: 8, 1: 8, 2: 4, 3: 8}


def test_a_map_of_more_bits_is_cut_before_a_larger_one():
    layers = _chain((1, 8), (1, 256), (1, 64), (1, 8))
    # Layer 0 takes map 1 to 4 bits; for layer 1 the 8-bit map 2 is cut then, though it is the smaller.
    assert cut_activations(layers, 160, fixed={0: 8, 3: 8}) == {0: 8, 1: 4, 2: 4, 3: 8}


def test_the_input_side_holds_what_a_later_layer_reads():
    big, small = Extent(1, 64), Extent(1, 16)
    skip = [
        Layer("stem", {0: small}, 1, big),
        Layer("branch", {1: big}, 2, small),
        Layer("next", {1: big, 2: small}, 3, small),
        Layer("add", {1: big, 3: small}, 4, small),
    ]
    assert cut_activations(skip, 88, fixed={0: 8, 4: 8}) == {0: 8, 1: 4, 2: 8, 3: 8, 4: 8}


def test_fixed_maps_and_weights_keep_their_bits():
    layers = mobilenet_v1(0.75, 224)
    bits = cut_activations(layers, 512_000, fixed={**ENDS, 6: 2})
    assert bits[6] == 2
    with pytest.raises(UnreachableError, match="layer 1"):
        cut_activations(layers, 512_000, fixed={**ENDS, 1: 8, 2: 8})
    chosen = cut_weights(layers, 2_048_000, activation_bits=bits, scheme=Scheme.MIX_PC, fixed={27: 8})
    assert chosen[27] == 8 and chosen[26] < 8


def test_bounds_out_of_reach_name_the_layer():
    layers = mobilenet_v1(0.5, 224)
    with pytest.raises(UnreachableError, match="layer 0"):
        cut_activations(layers, 150_528, fixed=ENDS)
    bits = cut_activations(layers, 512_000, fixed=ENDS)
    with pytest.raises(UnreachableError, match="all weights"):
        cut_weights(layers, 300_000, activation_bits=bits, scheme=Scheme.MIX_PC)


def test_smallest_width_is_kept():
    layers = mobilenet_v1(0.75, 224)
    assert min(cut_activations(layers, 512_000, fixed=ENDS, min_bits=4).values()) == 4
    with pytest.raises(UnreachableError):
        cut_activations(layers, 256_000, fixed=ENDS, min_bits=4)


def test_margin_prefers_the_earliest_of_the_near_largest():
    layers = _chain((1, 1), (1, 1), (1, 1), num_weights=1000)
    layers[1] = Layer("layer 1", layers[1].held, 2, layers[1].written, 1080, 1)
    needs_one_cut = 2 * 26 + 2080 - 400
    for margin, cut in ((0.05, 0), (0.01, 1)):
        bits = cut_weights(layers, needs_one_cut, activation_bits={1: 8, 2: 8}, scheme=Scheme.MIX_PC, margin=margin)
        assert [i for i, b in bits.items() if b == 4] == [cut]


def test_static_bytes_of_each_scheme():
    count = [
        static_bytes(10, scheme, is_folded=is_folded, is_last=is_last)
        for scheme, is_folded, is_last in (
            (Scheme.MIX_PL, True, False),
            (Scheme.MIX_PL, False, False),
            (Scheme.MIX_PC, False, False),
            (Scheme.MIX_PL, False, True),
            (Scheme.MIX_PC, False, True),
        )
    ]
    np.testing.assert_array_equal(count, [60, 102, 108, 60, 74])


def test_the_largest_map_of_a_layer_is_cut_until_it_fits():
    layers = _chain((16, 4), (16, 8), (16, 8), (4, 8))
    assert cut_largest(layers, 192, dict.fromkeys(range(4), 8), fixed={0: 8}) == {0: 8, 1: 4, 2: 8, 3: 8}
    assert cut_largest(layers, 100, dict.fromkeys(range(4), 8), fixed={0: 8}) == {0: 8, 1: 2, 2: 4, 3: 8}
    assert cut_largest(layers, 1, {0: 8, 1: 4, 2: 8, 3: 2}, fixed={0: 8}, min_bits=4) == {0: 8, 1: 4, 2: 4, 3: 2}


def test_weight_cuts_go_on_from_any_widths():
    layers = _chain((1, 4), (1, 8), (1, 8), num_weights=64)
    all_cuts = list(weight_cuts(layers))
    for i, cut in enumerate(all_cuts):
        assert list(weight_cuts(layers, start=cut)) == all_cuts[i:]
    assert list(weight_cuts(layers, start={0: 2}, fixed={1: 4})) == [{0: 2, 1: 4}]
