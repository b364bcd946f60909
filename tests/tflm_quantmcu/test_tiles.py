"""Region arithmetic against a pixel-by-pixel trace of what each op reads."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tflm_quantmcu import tiles


def _reads(op: tiles.AxisOp, pixels: set[int], extent: int) -> set[int]:
    taps = {o * op.stride - op.pad + k * op.dilation for o in pixels for k in range(op.kernel)}
    return {t for t in taps if 0 <= t < extent}


@given(
    kernel=st.integers(1, 5),
    stride=st.integers(1, 3),
    dilation=st.integers(1, 3),
    pad=st.integers(-2, 6),
    extent=st.integers(1, 20),
    start=st.integers(0, 10),
    length=st.integers(1, 6),
)
def test_needs_spans_exactly_the_pixels_that_taps_reach(
    kernel: int, stride: int, dilation: int, pad: int, extent: int, start: int, length: int
) -> None:
    op = tiles.AxisOp((0,), 1, kernel, stride, dilation, pad)
    read = _reads(op, set(range(start, start + length)), extent)
    first, end = op.needs((start, start + length), extent)
    assert read <= set(range(first, end))
    if read and stride <= kernel and dilation == 1:
        assert (min(read), max(read) + 1) == (first, end)


def test_needs_nothing_where_the_window_lies_in_padding() -> None:
    assert tiles.AxisOp((0,), 1, kernel=2, pad=4).needs((0, 1), 10) == tiles.EMPTY
    assert tiles.AxisOp((0,), 1, kernel=3).needs(tiles.EMPTY, 10) == tiles.EMPTY


def test_backward_intervals_join_both_readers_of_a_skip() -> None:
    ops = (
        tiles.AxisOp((0,), 1, kernel=3, pad=1),
        tiles.AxisOp((1,), 2, kernel=3, pad=1),
        tiles.AxisOp((1, 2), 3),
    )
    assert tiles.backward_intervals(ops, [8, 8, 8, 8], (2, 4)) == [(0, 6), (1, 5), (2, 4), (2, 4)]


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
    intervals = tiles.backward_intervals(ops, [10_000] * (len(ops) + 1), (700, 707))
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
