"""Region arithmetic against a pixel-by-pixel trace of what each op reads."""

from __future__ import annotations

import dataclasses

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from tests.support.property_settings import examples
from tflm_quantmcu.stage import tiles


def _reads(op: tiles.AxisOp, pixels: set[int], extent: int) -> set[int]:
    taps = {(o * op.stride - op.pad + k * op.dilation) // op.upsampling for o in pixels for k in range(op.kernel)}
    return {t for t in taps if 0 <= t < extent}


def _pixels(span: np.ndarray, first: int) -> set[int]:
    return set(range(span[first], span[tiles.END]))


@examples(500)
@given(
    windows=st.lists(
        st.tuples(st.integers(1, 5), st.integers(1, 3), st.integers(1, 3), st.integers(-2, 6)), min_size=1, max_size=4
    ),
    extents=st.lists(st.integers(1, 20), min_size=5, max_size=5),
    tile=st.integers(1, 6),
    skips=st.booleans(),
    primed=st.booleans(),
    kept=st.lists(st.sampled_from((tiles.RECOMPUTED, tiles.KEPT, tiles.AHEAD)), min_size=5, max_size=5),
)
def test_every_pixel_that_is_read_was_computed_and_kept(
    windows: list[tuple[int, int, int, int]],
    extents: list[int],
    tile: int,
    skips: bool,
    primed: bool,
    kept: list[int],
) -> None:
    """A chain, whose last op may read the first map too."""
    ops = [tiles.AxisOp((m,), m + 1, *window) for m, window in enumerate(windows)]
    if skips and len(ops) > 1:
        ops[-1] = dataclasses.replace(ops[-1], inputs=(0, len(ops) - 1))
    _follow(ops, extents[: len(ops) + 1], tile, [*kept[: len(ops)], tiles.RECOMPUTED], primed=primed)


@examples(500)
@given(
    windows=st.lists(
        st.tuples(st.integers(1, 4), st.integers(1, 3), st.integers(1, 2), st.integers(-1, 3)), min_size=3, max_size=3
    ),
    extents=st.lists(st.integers(1, 20), min_size=3, max_size=3),
    tile=st.integers(1, 6),
    factor=st.integers(1, 2),
    primed=st.booleans(),
    kept=st.lists(st.sampled_from((tiles.RECOMPUTED, tiles.KEPT, tiles.AHEAD)), min_size=4, max_size=4),
)
def test_a_shortcut_may_be_computed_ahead(
    windows: list[tuple[int, int, int, int]],
    extents: list[int],
    tile: int,
    factor: int,
    primed: bool,
    kept: list[int],
) -> None:
    """A block of two ops, and the op of its shortcut before them, all of any windows."""
    aside = dataclasses.replace(tiles.AxisOp((0,), 1, *windows[0]), upsampling=factor)
    if factor > 1:
        aside = dataclasses.replace(aside, stride=1, dilation=1)
    ops = [aside, tiles.AxisOp((0,), 2, *windows[1]), tiles.AxisOp((2,), 3, *windows[2]), tiles.AxisOp((1, 3), 4)]
    first, inner, last = extents
    _follow(ops, [first, last, inner, last, last], tile, [*kept, tiles.RECOMPUTED], primed=primed)


def _follow(ops: list[tiles.AxisOp], extents: list[int], tile: int, is_cached: list[int], *, primed: bool) -> None:
    """Follows the tiles pixel by pixel: what is there to be read is what is fresh, and of cached maps what was read."""
    before = tiles.priming_tiles(ops, extents, tile, is_cached) if primed else []
    spans = tiles.axis_spans(ops, extents, before + tiles.split_axis(extents[-1], tile), is_cached)
    held: list[set[int]] = [set() for _ in extents]
    for number, row in enumerate(spans):
        for m, span in enumerate(row):
            kept = held[m] if is_cached[m] and number else set()
            assert _pixels(span, tiles.BEGIN) - _pixels(span, tiles.FRESH) <= kept
            held[m] = _pixels(span, tiles.BEGIN)
        for op in ops:
            for m in op.inputs:
                assert _reads(op, _pixels(row[op.output], tiles.FRESH), extents[m]) <= held[m]
    computed = [p for row in spans for p in sorted(_pixels(row[-1], tiles.FRESH))]
    assert computed == list(range(extents[-1]))


def test_a_cached_map_computes_no_pixel_twice() -> None:
    ops = [tiles.AxisOp((m,), m + 1, kernel=3, stride=1 + m % 2, pad=1) for m in range(4)]
    spans = tiles.axis_spans(ops, [17, 17, 9, 9, 5], tiles.split_axis(5, 1), [True] * 4 + [False])
    for m, extent in enumerate([17, 17, 9, 9, 5]):
        assert [p for row in spans for p in sorted(_pixels(row[m], tiles.FRESH))] == list(range(extent))


def test_spans_of_the_worked_example() -> None:
    """docs/format.md F4, "Regions"."""
    ops = (tiles.AxisOp((0,), 1, kernel=3, pad=1), tiles.AxisOp((1,), 2, kernel=3, pad=1))
    cuts = tiles.split_axis(6, 2)
    full = tiles.axis_spans(ops, [6, 6, 6], cuts, [False, True, False])
    assert full[:, 1].tolist() == [[0, 0, 3], [1, 3, 5], [3, 5, 6]]
    assert full[:, 0].tolist() == [[0, 0, 4], [2, 2, 6], [4, 4, 6]]
    before = tiles.priming_tiles(ops, [6, 6, 6], 2, [False, True, False])
    primed = tiles.axis_spans(ops, [6, 6, 6], before + cuts, [False, True, False])
    assert before == [(-2, 0)]
    assert primed[:2, 1].tolist() == [[0, 0, 1], [0, 1, 3]]
    assert primed[:2, 0].tolist() == [[0, 0, 2], [0, 0, 4]]
    again = tiles.axis_spans(ops, [6, 6, 6], cuts, [False] * 3)
    assert again[1, :2].tolist() == [[0, 0, 6], [1, 1, 5]]


def test_nothing_is_needed_where_the_window_lies_in_padding() -> None:
    spans = tiles.axis_spans((tiles.AxisOp((0,), 1, kernel=2, pad=4),), [10, 13], [(0, 1)], [False, False])
    assert spans[0, 0, tiles.BEGIN] == spans[0, 0, tiles.END]


def test_what_a_shortcut_is_made_of_is_not_kept_for_it() -> None:
    """docs/format.md F4, "Regions": a 1x1 op of stride 2 beside a 3x3 one of stride 2 and a 3x3 one."""
    ops = (
        tiles.AxisOp((0,), 1, stride=2),
        tiles.AxisOp((0,), 2, kernel=3, stride=2),
        tiles.AxisOp((2,), 3, kernel=3, pad=1),
        tiles.AxisOp((1, 3), 4),
    )
    cuts = tiles.split_axis(6, 1)
    late, ahead = (
        tiles.axis_spans(ops, [12, 6, 6, 6, 6], cuts, [tiles.KEPT, mode, tiles.KEPT, tiles.KEPT, tiles.RECOMPUTED])
        for mode in (tiles.KEPT, tiles.AHEAD)
    )
    assert late[2, :3].tolist() == [[4, 7, 9], [2, 2, 3], [1, 3, 4]]
    assert ahead[2, :3].tolist() == [[6, 7, 9], [2, 3, 4], [1, 3, 4]]
    for spans in (late, ahead):
        assert [p for row in spans for p in sorted(_pixels(row[1], tiles.FRESH))] == list(range(6))


def test_spans_join_both_readers_of_a_skip() -> None:
    ops = (
        tiles.AxisOp((0,), 1, kernel=3, pad=1),
        tiles.AxisOp((1,), 2, kernel=3, pad=1),
        tiles.AxisOp((1, 2), 3),
    )
    spans = tiles.axis_spans(ops, [8, 8, 8, 8], [(2, 4)], [False] * 4)
    assert spans[0, :, ::2].tolist() == [[0, 6], [1, 5], [2, 4], [2, 4]]


def test_mobilenet_v2_front_has_the_tile_sides_of_mcunet_v2() -> None:
    """Stem and four bottlenecks of MobileNetV2 at 224, 4x4 tiles of 7x7: the paper's 75x75 patches."""
    windows = [
        (3, 2),
        (3, 1),
        (1, 1),
        (1, 1),
        (3, 2),
        (1, 1),
        (1, 1),
        (3, 1),
        (1, 1),
        (1, 1),
        (3, 2),
        (1, 1),
    ]
    ops = [tiles.AxisOp((m,), m + 1, kernel=k, stride=s) for m, (k, s) in enumerate(windows)]
    spans = tiles.axis_spans(ops, [10_000] * (len(ops) + 1), [(700, 707)], [False] * (len(ops) + 1))
    intervals = spans[0, :, ::2].tolist()
    assert [end - start for start, end in intervals] == [
        75,
        37,
        35,
        35,
        35,
        17,
        17,
        17,
        15,
        15,
        15,
        7,
        7,
    ]


@given(st.integers(1, 300))
def test_tile_sizes_give_every_number_of_tiles_once(extent: int) -> None:
    sizes = tiles.tile_sizes(extent)
    counts = [len(tiles.split_axis(extent, size)) for size in sizes]
    assert len(set(counts)) == len(counts)
    assert {1, extent} <= set(counts)
    assert {-(-extent // s) for s in range(1, extent + 1)} == set(counts)
