"""C++ = numpy oracle, in every byte: each op, all widths of input, output and weights, edge shapes."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

import numpy as np
import pytest

from tests.support.kernels import PackedMap, address, clamp_words, kernels, run_kernel, window_words
from tflm_quantmcu.graph.types import BIT_WIDTHS, Window
from tflm_quantmcu.law import arithmetic
from tflm_quantmcu.law.packing import pack

SEED = 20240129
CHANNELS = (1, 2, 3, 7, 8, 9, 15, 16, 17, 31, 32, 33)


@dataclasses.dataclass(frozen=True)
class Geometry:
    """Input height x width x channels, output height x width x channels, and the window."""

    input: tuple[int, int, int]
    output: tuple[int, int, int]
    window: Window = Window()


SAME_3X3 = Window(3, 3, pad_top=1, pad_left=1)
# Windows that both convolutions and pools take: each has a tap inside the map.
PLACES = [
    ((1, 1), (1, 1), Window()),
    ((1, 1), (1, 1), SAME_3X3),
    ((5, 6), (5, 6), SAME_3X3),
    ((6, 5), (3, 3), Window(3, 3, 2, 2, pad_left=1)),
    ((6, 7), (4, 5), Window(3, 3)),
    ((2, 3), (2, 3), Window(5, 7, pad_top=2, pad_left=3)),
    ((4, 9), (4, 6), Window(1, 4)),
    ((9, 4), (3, 4), Window(4, 1, 3, 1, pad_top=1)),
    ((7, 7), (3, 3), Window(1, 1, 3, 3)),
    ((7, 8), (3, 4), Window(2, 2, 1, 1, pad_top=-2, pad_left=-3)),
]
CONVOLUTION_PLACES = [
    *PLACES,
    ((9, 9), (9, 9), Window(3, 3, 1, 1, 2, 2, 2, 2)),
    ((9, 8), (3, 4), Window(2, 3, 2, 1, 3, 2)),
    ((2, 2), (6, 5), Window(2, 2, pad_top=3, pad_left=3)),
    ((0, 3), (2, 2), Window(2, 2, pad_top=1, pad_left=1)),
    ((3, 0), (1, 3), Window(1, 3, pad_left=1)),
]


# Padding and cropping, of ops that read one pixel.
MOVES = [
    ((4, 5), (4, 5), Window()),
    ((4, 5), (7, 9), Window(pad_top=2, pad_left=1)),
    ((6, 7), (2, 3), Window(pad_top=-3, pad_left=-2)),
    ((2, 2), (3, 3), Window(pad_top=5, pad_left=-4)),
    ((0, 0), (2, 3), Window(pad_top=1)),
]


def geometries(places: Sequence, *, equal_channels: bool) -> list[Geometry]:
    """Every place with few channels, and every count of channels at one place."""
    listed = [(place, 3, 3 if equal_channels else 5) for place in places]
    ends = CHANNELS if equal_channels else CHANNELS[::-1]
    listed += [(((3, 4), (3, 4), SAME_3X3), i, o) for i, o in zip(CHANNELS, ends, strict=True)]
    return [Geometry((*source, i), (*size, o), w) for (source, size, w), i, o in listed]


@dataclasses.dataclass
class Case:
    """Random numbers for one call, extremes among them; the same seed makes the same case."""

    tag: str
    geometry: Geometry
    input_bits: int
    output_bits: int
    seed: int

    def __post_init__(self) -> None:
        self.rng = np.random.default_rng(self.seed)
        self.zero_in = self.zero_point(self.input_bits)
        self.clamp_min, self.clamp_max = sorted(self.values((2,), self.output_bits).tolist())
        if self.rng.random() < 0.5:
            self.clamp_min, self.clamp_max = _limits(self.output_bits)
        self.zero_point_out = self.zero_point(self.output_bits)

    def zero_point(self, bits: int) -> int:
        return int(self.rng.choice([*_limits(bits), 0, *self.values((3,), bits)]))

    def values(self, shape: tuple[int, ...], bits: int) -> np.ndarray:
        """Noise, or now and then the lowest or highest value throughout."""
        low, high = _limits(bits)
        kind = self.rng.integers(0, 12)
        if kind < 2 and len(shape) > 1:
            return np.full(shape, (low, high)[kind], np.int8)
        return self.rng.integers(low, high + 1, shape).astype(np.int8)

    def input_map(self, bits: int | None = None) -> PackedMap:
        gap = int(self.rng.integers(0, 3))
        return PackedMap(*self.geometry.input, bits or self.input_bits, self.zero_in, gap)

    @property
    def output_map(self) -> PackedMap:
        return PackedMap(*self.geometry.output, self.output_bits, self.zero_point_out, self.seed % 3)

    @property
    def output(self) -> _Output:
        return _Output(self.zero_point_out, self.clamp_min, self.clamp_max)

    def factors(self, count: int, spread: float) -> tuple[np.ndarray, np.ndarray]:
        """Multipliers and shifts that bring sums of this spread into the output's range, and
        extremes."""
        ratio = (1 << self.output_bits) / spread * self.rng.uniform(0.2, 2, count)
        pairs = [arithmetic.quantize_multiplier(r) for r in ratio]
        for i in np.flatnonzero(self.rng.random(count) < 0.25):
            pairs[i] = (
                int(self.rng.choice([0, 1, 1 << 30, (1 << 31) - 1, self.rng.integers(1 << 31)])),
                int(self.rng.choice([-31, -30, -1, 0, 1, 30, self.rng.integers(-31, 31)])),
            )
        multipliers, shifts = np.array(pairs, np.int32).T
        return multipliers, shifts

    def table(self, num_taps: int, weight_bits: int) -> np.ndarray:
        """int32 [3 * O]: bias, multiplier, shift."""
        outputs = self.geometry.output[2]
        spread = np.sqrt(num_taps) * (1 << self.input_bits) * (1 << weight_bits) / 4
        bias = np.round(self.rng.normal(0, spread, outputs)).astype(np.int32)
        # The accumulator must stay in int32 whatever the values are.
        largest = (1 << 31) - 1 - num_taps * 255 * 128
        bias[self.rng.random(outputs) < 0.1] = self.rng.choice([-largest, largest])
        return np.concatenate([bias, *self.factors(outputs, spread)])

    def check(self, actual: np.ndarray, expected: np.ndarray) -> None:
        """Fails with all that is needed to see the case again."""
        wrong = np.argwhere(actual != expected)
        if len(wrong):
            index = tuple(wrong[0].tolist())
            pytest.fail(
                f"{self.tag} {self.geometry} seed {self.seed}: at {index} expected "
                f"{expected[index]}, actual {actual[index]}; {len(wrong)} of {actual.size} differ"
            )


@dataclasses.dataclass(frozen=True)
class _Output:
    zero_point: int
    clamp_min: int
    clamp_max: int


def _limits(bits: int) -> tuple[int, int]:
    return -(1 << (bits - 1)), (1 << (bits - 1)) - 1


def cases(name: str, listed: Sequence[Geometry], input_bits: int, output_bits: int) -> list[Case]:
    return [
        Case(name, geometry, input_bits, output_bits, SEED + 10 * i + k)
        for i, geometry in enumerate(listed)
        for k in range(2)
    ]


def tags(*axes: Sequence[int]) -> list[tuple[int, ...]]:
    return list(itertools.product(*axes))


WEIGHTED = pytest.mark.parametrize(
    ("input_bits", "output_bits", "weight_bits"),
    tags(BIT_WIDTHS, BIT_WIDTHS, BIT_WIDTHS),
    ids=lambda bits: str(bits),
)
UNWEIGHTED = pytest.mark.parametrize(
    ("input_bits", "output_bits"), tags(BIT_WIDTHS, BIT_WIDTHS), ids=lambda bits: str(bits)
)


@WEIGHTED
def test_conv2d(input_bits, output_bits, weight_bits):
    listed = geometries(CONVOLUTION_PLACES, equal_channels=False)
    for case in cases(f"a{input_bits}w{weight_bits} conv2d", listed, input_bits, output_bits):
        window, size = case.geometry.window, case.geometry.output[:2]
        channels, outputs = case.geometry.input[2], case.geometry.output[2]
        shape = (outputs, window.kernel_height, window.kernel_width, channels)
        x = case.values(case.geometry.input, input_bits)
        filter = case.values(shape, weight_bits)
        table = case.table(filter[0].size, weight_bits)
        expected = arithmetic.conv2d(
            x[None],
            filter,
            table,
            window=window,
            size=size,
            zero_in=case.zero_in,
            output=case.output,
        )
        actual = run_kernel(
            "QuantMcuConv2D",
            [case.input_map(), case.output_map],
            [x],
            [*window_words(window), *clamp_words(case.output), weight_bits],
            pack(filter, weight_bits),
            table,
        )
        case.check(actual, expected[0])


@WEIGHTED
@pytest.mark.parametrize("multiplier", (1, 2, 3))
def test_depthwise_conv2d(input_bits, output_bits, weight_bits, multiplier):
    listed = [
        dataclasses.replace(g, output=(*g.output[:2], g.input[2] * multiplier))
        for g in geometries(CONVOLUTION_PLACES, equal_channels=True)
    ]
    for case in cases(f"a{input_bits}w{weight_bits} depthwise", listed, input_bits, output_bits):
        window, size = case.geometry.window, case.geometry.output[:2]
        x = case.values(case.geometry.input, input_bits)
        shape = (window.kernel_height, window.kernel_width, case.geometry.output[2])
        filter = case.values(shape, weight_bits)
        table = case.table(window.kernel_height * window.kernel_width, weight_bits)
        expected = arithmetic.depthwise_conv2d(
            x[None],
            filter,
            table,
            window=window,
            size=size,
            zero_in=case.zero_in,
            depth_multiplier=multiplier,
            output=case.output,
        )
        actual = run_kernel(
            "QuantMcuDepthwiseConv2D",
            [case.input_map(), case.output_map],
            [x],
            [*window_words(window), *clamp_words(case.output), weight_bits, multiplier],
            pack(filter, weight_bits),
            table,
        )
        case.check(actual, expected[0])


@WEIGHTED
def test_fully_connected(input_bits, output_bits, weight_bits):
    widths = (*CHANNELS, 63, 64, 65, 1000)
    listed = [Geometry((1, 1, i), (1, 1, o)) for i, o in zip(widths, widths[::-1], strict=True)]
    for case in cases(f"a{input_bits}w{weight_bits} fully", listed, input_bits, output_bits):
        x = case.values(case.geometry.input, input_bits)
        filter = case.values((case.geometry.output[2], case.geometry.input[2]), weight_bits)
        table = case.table(filter.shape[1], weight_bits)
        expected = arithmetic.fully_connected(x.reshape(1, -1), filter, table, zero_in=case.zero_in, output=case.output)
        actual = run_kernel(
            "QuantMcuFullyConnected",
            [case.input_map(), case.output_map],
            [x],
            [*clamp_words(case.output), weight_bits],
            pack(filter, weight_bits),
            table,
        )
        case.check(actual, expected.reshape(actual.shape))


@pytest.mark.parametrize("input1_bits", BIT_WIDTHS)
@UNWEIGHTED
def test_add(input_bits, output_bits, input1_bits):
    sizes = [(1, 1, 1), (3, 4, 3), (0, 2, 4), *((2, 3, c) for c in CHANNELS)]
    listed = [Geometry(size, size) for size in sizes]
    for case in cases(f"a{input_bits}+a{input1_bits} add", listed, input_bits, output_bits):
        x0 = case.values(case.geometry.input, input_bits)
        x1 = case.values(case.geometry.input, input1_bits)
        zero1 = case.zero_point(input1_bits)
        in_factors = np.stack(case.factors(2, (1 << output_bits) * 2.0), axis=1)
        out_factor = np.stack(case.factors(1, float(1 << (20 + input_bits))), axis=1)
        table = np.concatenate([in_factors.ravel(), out_factor.ravel()])
        expected = arithmetic.add(x0, x1, table, zero_in=(case.zero_in, zero1), output=case.output)
        map1 = dataclasses.replace(case.input_map(input1_bits), zero_point=zero1)
        actual = run_kernel(
            "QuantMcuAdd",
            [case.input_map(), map1, case.output_map],
            [x0, x1],
            [*clamp_words(case.output), *table.tolist()],
        )
        case.check(actual, expected)


@UNWEIGHTED
@pytest.mark.parametrize("pool", ("AveragePool2D", "MaxPool2D"))
def test_pool2d(input_bits, output_bits, pool):
    oracle = {"AveragePool2D": arithmetic.average_pool2d, "MaxPool2D": arithmetic.max_pool2d}[pool]
    listed = geometries(PLACES, equal_channels=True)
    for case in cases(f"a{input_bits} {pool}", listed, input_bits, output_bits):
        window, size = case.geometry.window, case.geometry.output[:2]
        x = case.values(case.geometry.input, input_bits)
        table = np.concatenate(case.factors(1, float(1 << input_bits)))
        expected = oracle(x[None], table, window=window, size=size, zero_in=case.zero_in, output=case.output)
        actual = run_kernel(
            f"QuantMcu{pool}",
            [case.input_map(), case.output_map],
            [x],
            [*window_words(window), *clamp_words(case.output), *table.tolist()],
        )
        case.check(actual, expected[0])


@UNWEIGHTED
def test_requantize(input_bits, output_bits):
    for case in cases(
        f"a{input_bits} requantize",
        geometries(MOVES, equal_channels=True),
        input_bits,
        output_bits,
    ):
        window, size = case.geometry.window, case.geometry.output[:2]
        x = case.values(case.geometry.input, input_bits)
        table = np.concatenate(case.factors(1, float(1 << input_bits)))
        expected = arithmetic.requantize(
            x[None], table, window=window, size=size, zero_in=case.zero_in, output=case.output
        )
        actual = run_kernel(
            "QuantMcuRequantize",
            [case.input_map(), case.output_map],
            [x],
            [window.pad_top, window.pad_left, *clamp_words(case.output), *table.tolist()],
        )
        case.check(actual, expected[0])


@UNWEIGHTED
@pytest.mark.parametrize("is_per_channel", [False, True])
def test_lut(input_bits, output_bits, is_per_channel):
    listed = geometries(MOVES, equal_channels=True)
    for case in cases(f"a{input_bits} lut", listed, input_bits, output_bits):
        window, size = case.geometry.window, case.geometry.output[:2]
        x = case.values(case.geometry.input, input_bits)
        size_of = (x.shape[-1] if is_per_channel else 1, 1 << input_bits)
        entries = case.rng.integers(case.clamp_min, case.clamp_max + 1, size_of).astype(np.int8)
        expected = arithmetic.lut(x[None], entries.view("<i4"), window=window, size=size, output=case.output)
        maps = [case.input_map(), case.output_map]
        step = size_of[1] if is_per_channel else 0
        actual = run_kernel("QuantMcuLut", maps, [x], [window.pad_top, window.pad_left, step], entries)
        case.check(actual, expected[0])


def test_multiply():
    rng = np.random.default_rng(SEED)
    extremes = [-(2**31), 1 - 2**31, -(2**30), -3, -2, -1, 0, 1, 2, 3, 2**30, 2**31 - 1]
    x = np.concatenate([extremes, rng.integers(-(2**31), 2**31, 500)]).astype(np.int32)
    y = np.empty_like(x)
    for multiplier in (0, 1, 2, 1 << 30, (1 << 30) + 1, (1 << 31) - 1, *rng.integers(1 << 31, size=9)):
        for shift in range(-31, 31):
            kernels().QuantMcuMultiply(address(x), x.size, int(multiplier), shift, address(y))
            expected = arithmetic.multiply(x, multiplier, shift)
            np.testing.assert_array_equal(y, expected, f"multiplier {multiplier} shift {shift}")
