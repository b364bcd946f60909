"""A hypothesis strategy for small int8 CNNs that TFLM runs, and for regions and tiles to split them by.

Hypothesis draws the structure, which it can shrink; a drawn seed makes the numbers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from hypothesis import strategies as st

from tests.support.edit_model import StockModel
from tests.support.tiny_models import Handle
from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.graph.precision_plan import CHOSEN_AT_RUN_TIME, OutlierRule, PatchClass, StagePlan
from tflm_quantmcu.graph.types import Format, ModelGraph, Op, Tensor
from tflm_quantmcu.lowering.network import LoweredNetwork
from tflm_quantmcu.lowering.regions import lower_region
from tflm_quantmcu.stage.geometry import map_shape, stage_ops, tiled_tensor
from tflm_quantmcu.stage.layout import CACHE_MODES
from tflm_quantmcu.stage.program import MAX_INPUTS
from tflm_quantmcu.tflite import schema

MAX_EXTENT, MAX_CHANNELS = 14, 9
ACTIVATIONS = ("NONE", "RELU", "RELU", "RELU6", "NONE", "RELU_N1_TO_1")


@dataclasses.dataclass(frozen=True, repr=False)
class RandomCnn:
    """A model, and what it consists of, for messages.

    Attributes:
      model: the `.tflite`.
      ops: one line an op.
      seed: of the numbers in it.
    """

    model: bytes
    ops: tuple[str, ...]
    seed: int

    def __repr__(self) -> str:
        return "\n".join([f"seed {self.seed}", *self.ops])

    def inputs(self, shape: tuple[int, ...]) -> np.ndarray:
        """int8 [4, ...]: noise, a ramp, and the two extremes."""
        noise = np.random.default_rng(self.seed).integers(-128, 128, shape)
        ramp = np.linspace(-128, 127, noise.size).reshape(shape)
        extremes = [np.full(shape, q) for q in (-128, 127)]
        return np.concatenate([noise, ramp, *extremes]).astype(np.int8)


@st.composite
def random_cnns(draw: st.DrawFn, *, max_ops: int = 7, has_tail: bool = True, has_moves: bool = True) -> RandomCnn:
    """Small CNNs: a chain with branches, perhaps with moves of channels, then perhaps a classifier."""
    growth = _Growth(draw, has_moves=has_moves)
    for _ in range(draw(st.integers(1, max_ops))):
        growth.add_op()
    if has_tail:
        growth.add_tail()
    return RandomCnn(growth.build(), tuple(growth.ops), growth.seed)


@st.composite
def random_stages(
    draw: st.DrawFn,
    graph: ModelGraph,
    *,
    bits: tuple[int, ...] = (8,),
    input_modes: Sequence[str] = ("resident",),
    regions: Sequence[tuple[str, ...]] = (),
) -> StagePlan:
    """A region of the graph that can become a stage, with any tile size, caches, classes and widths.

    Args:
      graph: a model of `random_cnns`.
      bits: widths that maps may have; with 8 alone every map keeps the model's format.
      input_modes: what the stage's input may be.
      regions: of which it is one; empty stands for `stage_regions`.
    """
    # The larger of two, for a region of one op shows little.
    regions = regions or stage_regions(graph)
    number = max(draw(st.integers(0, len(regions) - 1)) for _ in range(2))
    source, target, *others = regions[number]
    ops = _ops_of(graph, source, target, *others)
    lowered = lower_region(graph, ops, {})
    height, width, _ = map_shape(graph, tiled_tensor(lowered))
    tile_height, tile_width = draw(st.integers(1, height)), draw(st.integers(1, width))
    rows, cols = -(-height // tile_height), -(-width // tile_width)
    num_classes = 1 if bits == (8,) else draw(st.integers(1, 3))
    maps = [t for t in graph.tensors if not t.is_constant and t.dtype == "int8"]
    formats = [draw(random_formats(maps, bits=bits)) for _ in range(num_classes)]
    cache_mode = draw(st.sampled_from([*CACHE_MODES, "mixed"]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    caches = {t.name: cache_mode if cache_mode != "mixed" else str(rng.choice(CACHE_MODES)) for t in maps}
    # Tiles of all classes share what is kept, and what a reduction is taken over.
    tiled = graph.tensors[tiled_tensor(lowered)].name
    shared = {tiled, *(name for name, mode in caches.items() if mode != "recompute")}
    common = {name: format for name, format in formats[0].items() if name in shared}
    classes = [
        PatchClass(f"class{k}", {**{n: f for n, f in own.items() if n not in shared}, **common})
        for k, own in enumerate(formats)
    ]
    is_dynamic = num_classes > 1 and draw(st.booleans())
    grid = rng.integers(CHOSEN_AT_RUN_TIME if is_dynamic else 0, num_classes, (rows, cols))
    low, high = sorted(rng.integers(-128, 128, 2).tolist())
    rule = OutlierRule(low, high, int(rng.integers(0, 1 << 16))) if is_dynamic else None
    return StagePlan(
        input=source,
        output=target,
        tile_height=tile_height,
        tile_width=tile_width,
        patch_classes=tuple(tuple(row) for row in grid.tolist()),
        classes=tuple(classes),
        map_caches=caches,
        primed=draw(st.booleans()),
        input_mode=draw(st.sampled_from(input_modes)),
        outliers=rule,
        other_inputs=tuple(others),
    )


def stage_regions(graph: ModelGraph) -> list[tuple[str, str]]:
    """(input, output) names of every region that can be a stage, those of fewest ops first."""
    maps = [t for t in graph.tensors if not t.is_constant and t.dtype == "int8"]
    pairs = [(a, b, _num_stage_ops(graph, a, b)) for a in maps if len(a.shape) == 4 for b in maps]
    return [(a.name, b.name) for a, b, num in sorted(pairs, key=lambda p: p[2]) if num]


def streamable_regions(graph: ModelGraph) -> list[tuple[str, str]]:
    """Those of `stage_regions` that are all that reads the model's input."""
    source = graph.tensors[graph.inputs[0]]
    readers = {op.index for op in graph.consumers[source.index]}
    found = []
    for first, last in stage_regions(graph):
        inside = {op.index for op in _ops_of(graph, first, last)}
        if first == source.name and readers <= inside and source.index not in graph.outputs:
            found.append((first, last))
    return found


def wide_regions(graph: ModelGraph) -> list[tuple[str, ...]]:
    """(input, output, further inputs) names of runs of ops that read several maps and can be a stage."""
    found, folded = [], LoweredNetwork.of(graph).folded
    for end in range(1, len(graph.ops) + 1):
        needed: set[int] = set()
        for op in reversed(graph.ops[:end]):
            needed = (needed - {*op.outputs}) | {*graph.feature_maps(op)}
            sources = [graph.tensors[t] for t in sorted(needed)]
            target = graph.tensors[graph.ops[end - 1].outputs[0]]
            is_wide = 1 < len(sources) <= MAX_INPUTS and all(len(t.shape) == 4 for t in sources)
            is_wide = is_wide and folded.isdisjoint({*needed, target.index})
            if is_wide and _num_stage_ops(graph, sources[0], target, *sources[1:]) == end - op.index:
                found.append((sources[0].name, target.name, *(t.name for t in sources[1:])))
    return found


def _ops_of(graph: ModelGraph, source: str, target: str, *others: str) -> tuple[Op, ...]:
    return stage_ops(graph, [graph.by_name[name].index for name in (source, *others)], graph.by_name[target].index)


def _num_stage_ops(graph: ModelGraph, source: Tensor, target: Tensor, *others: Tensor) -> int:
    """0 for what cannot be a stage."""
    try:
        return len(lower_region(graph, stage_ops(graph, [t.index for t in (source, *others)], target.index), {}))
    except UnsupportedModelError:
        return 0


@st.composite
def random_formats(draw: st.DrawFn, maps: Sequence[Tensor], *, bits: tuple[int, ...]) -> dict[str, Format]:
    """Tensor name -> a format near the map's own range: few values saturate, but some do."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    formats = {}
    for tensor in maps:
        width = int(rng.choice(bits))
        if width != 8:
            half = 1 << (width - 1)
            scale = tensor.scales[0] * 2 ** (8 - width) * rng.uniform(0.3, 1.5)
            zero_point = int(rng.integers(-half, half))
            formats[tensor.name] = Format(width, float(np.float32(scale)), zero_point)
    return formats


class _Growth:
    """A model that grows op by op from the maps that it has."""

    def __init__(self, draw: st.DrawFn, *, has_moves: bool) -> None:
        self._draw = draw
        self._has_moves = has_moves
        self.seed = draw(st.integers(0, 2**32 - 1))
        self._rng = np.random.default_rng(self.seed)
        self._net = StockModel()
        shape = (1, self._int(1, MAX_EXTENT), self._int(1, MAX_EXTENT), self._int(1, 5))
        self._maps = [self._net.input(shape, **self._format())]
        self.ops = [f"input {shape}"]

    def build(self) -> bytes:
        outputs = [self._maps[-1]]
        if self._int(0, 7) == 7 and len(self._maps) > 2:
            outputs.append(self._maps[-2])
        return self._net.build(*outputs)

    def add_op(self) -> None:
        steps: list[Callable[[Handle], Handle]] = [
            self._conv2d,
            self._depthwise_conv2d,
            self._residual,
            self._pad,
            self._pool2d,
            self._add,
            self._elementwise,
            self._lookup,
        ]
        moves = [self._concatenation, self._channels, self._resize, self._crop]
        steps += moves if self._has_moves else []
        self._extend(self._draw(st.sampled_from(steps))(self._maps[-1]))

    def add_tail(self) -> None:
        """Nothing, a mean, or a classifier with or without softmax."""
        kind = self._draw(st.sampled_from(("none", "mean", "flatten", "softmax")))
        if kind == "none":
            return
        x = self._maps[-1]
        if kind == "flatten":
            x = self._extend(self._net.reshape(x, (1, int(np.prod(x.shape)))))
        else:
            x = self._extend(self._net.mean(x, **self._format(x.scale)))
        if kind == "mean":
            return
        filter, options = self._weights((self._int(1, 6), x.shape[1]), 0, x, x.shape[1])
        x = self._extend(self._net.fully_connected(x, filter, **options))
        if kind == "softmax":
            self._extend(self._net.softmax(x))

    def _extend(self, y: Handle) -> Handle:
        self._maps.append(y)
        return y

    def _conv2d(self, x: Handle) -> Handle:
        kernel, place = self._window(x)
        shape = (self._int(1, MAX_CHANNELS), *kernel, x.shape[3])
        filter, options = self._weights(shape, 0, x, kernel[0] * kernel[1] * x.shape[3])
        return self._note("conv2d", self._net.conv2d, x, filter, **place, **options)

    def _depthwise_conv2d(self, x: Handle) -> Handle:
        kernel, place = self._window(x)
        multiplier = self._int(1, max(1, min(3, MAX_CHANNELS // x.shape[3])))
        shape = (*kernel, x.shape[3] * multiplier)
        filter, options = self._weights(shape, 2, x, kernel[0] * kernel[1])
        return self._note("depthwise", self._net.depthwise_conv2d, x, filter, **place, **options)

    def _residual(self, x: Handle) -> Handle:
        """x plus a branch of one or two convolutions that keep its shape."""
        y = x
        for _ in range(self._int(1, 2)):
            kernel = (self._int(1, 3), self._int(1, 3))
            shape = (x.shape[3], *kernel, x.shape[3])
            filter, options = self._weights(shape, 0, y, kernel[0] * kernel[1] * x.shape[3])
            y = self._note("branch conv2d", self._net.conv2d, y, filter, **options)
        return self._sum(*self._shuffled(x, y))

    def _add(self, x: Handle) -> Handle:
        """x plus, minus or times any map of its shape, itself included."""
        same = [m for m in self._maps if m.shape == x.shape]
        x0, x1 = self._shuffled(x, self._draw(st.sampled_from(same)))
        kind = self._draw(st.sampled_from(("add", "add", "mul", "sub")))
        if kind == "add":
            return self._sum(x0, x1)
        if kind == "mul":
            return self._note(kind, self._net.mul, x0, x1, **self._format(16 * x0.scale * x1.scale))
        format = self._format(x0.scale + x1.scale)
        return self._note(kind, self._net.stock, "SUB", [x0, x1], schema.SubOptionsT(), x.shape, **format)

    def _sum(self, x0: Handle, x1: Handle) -> Handle:
        near = x0.scale + x1.scale
        activation = self._draw(st.sampled_from(ACTIVATIONS))
        format = self._format(near, activation)
        return self._note("add", self._net.add, x0, x1, activation=activation, **format)

    def _shuffled(self, x0: Handle, x1: Handle) -> tuple[Handle, Handle]:
        return (x0, x1) if self._draw(st.booleans()) else (x1, x0)

    def _pad(self, x: Handle) -> Handle:
        """An explicit PAD, most often before a convolution, which then absorbs it."""
        top, bottom, left, right = (self._int(0, 3) for _ in range(4))
        pads = ((0, 0), (top, bottom), (left, right), (0, 0))
        value = self._draw(st.sampled_from((None, x.zero_point)))
        y = self._note("pad", self._net.pad, x, pads, value=value)
        return self._conv2d(self._extend(y)) if self._int(0, 3) else y

    def _pool2d(self, x: Handle) -> Handle:
        kernel, place = self._window(x)
        del place["dilation"]
        if place["padding"] == "VALID":
            kernel = (min(kernel[0], x.shape[1]), min(kernel[1], x.shape[2]))
        pool = self._draw(st.sampled_from((self._net.average_pool2d, self._net.max_pool2d)))
        place["activation"] = self._draw(st.sampled_from(ACTIVATIONS))
        return self._note(pool.__name__, pool, x, kernel, **place)

    def _elementwise(self, x: Handle) -> Handle:
        kind = self._draw(st.sampled_from(("relu", "relu6", "quantize")))
        if kind == "relu6":
            return self._note(kind, self._net.relu6, x)
        method = self._net.relu if kind == "relu" else self._net.quantize
        return self._note(kind, method, x, **self._format(x.scale))

    def _lookup(self, x: Handle) -> Handle:
        """An activation that is a table, or SiLU, which becomes one; now and then another op reads its gate."""
        kind = self._draw(
            st.sampled_from(("logistic", "tanh", "hard_swish", "leaky_relu", "silu", "gated", "abs", "square"))
        )
        if kind in ("logistic", "tanh"):
            return self._note(kind, getattr(self._net, kind), x)
        if kind == "abs":
            return self._note(kind, self._net.stock, "ABS", [x], schema.AbsOptionsT(), x.shape, **self._format(x.scale))
        if kind == "square":
            return self._note(kind, self._net.mul, x, x, **self._format(16 * x.scale**2))
        if kind == "leaky_relu":
            return self._note(
                kind, self._net.leaky_relu, x, float(self._rng.uniform(-0.2, 1.2)), **self._format(x.scale)
            )
        if kind == "hard_swish":
            return self._note(kind, self._net.hard_swish, x, **self._format(x.scale))
        gate = self._note("gate", self._net.logistic, x)
        if kind == "gated":
            self._extend(gate)
        activation = self._draw(st.sampled_from(ACTIVATIONS))
        factors = self._shuffled(x, gate)
        return self._note("silu", self._net.mul, *factors, activation=activation, **self._format(x.scale))

    def _concatenation(self, x: Handle) -> Handle:
        """x and maps of its height and width in any order, repeats too, in x's format, which TFLM wants."""
        alike = [m for m in self._maps if m.shape[:3] == x.shape[:3] and len(m.shape) == 4]
        chosen = [x, *(self._draw(st.sampled_from(alike)) for _ in range(self._int(0, 3)))]
        parts = [m if self._is_like(m, x) else self._requantized(m, x) for m in self._draw(st.permutations(chosen))]
        return self._note("concatenation", self._net.concatenation, parts, 3)

    def _is_like(self, x: Handle, y: Handle) -> bool:
        return (x.scale, x.zero_point) == (y.scale, y.zero_point)

    def _requantized(self, x: Handle, like: Handle) -> Handle:
        return self._net.quantize(x, scale=like.scale, zero_point=like.zero_point)

    def _channels(self, x: Handle) -> Handle:
        """Some channels of x, in a row or in any order."""
        depth = x.shape[3]
        if self._draw(st.booleans()):
            indices = self._rng.integers(0, depth, self._int(1, MAX_CHANNELS)).astype(np.int32)
            options = schema.GatherOptionsT(axis=self._draw(st.sampled_from((3, -1))))
            inputs, shape = [x, self._net.constant(indices)], (*x.shape[:3], len(indices))
            return self._note("gather", self._net.stock, "GATHER", inputs, options, shape)
        first = self._int(0, depth - 1)
        shape = (*x.shape[:3], self._int(1, depth - first))
        ends = [self._net.constant(np.array(ends, np.int32)) for ends in ((0, 0, 0, first), shape)]
        return self._note("slice", self._net.stock, "SLICE", [x, *ends], schema.SliceOptionsT(), shape)

    def _resize(self, x: Handle) -> Handle:
        """Each pixel repeated, or mixed with its neighbours."""
        size = (x.shape[1] * self._int(1, 3), x.shape[2] * self._int(1, 3))
        if self._draw(st.booleans()):
            flag = self._draw(st.sampled_from(("alignCorners", "halfPixelCenters")))
            flags = schema.ResizeBilinearOptionsT(**{flag: self._draw(st.booleans())})
            wanted = self._net.constant(np.array(size, np.int32))
            shape = (1, *size, x.shape[3])
            return self._note("bilinear", self._net.stock, "RESIZE_BILINEAR", [x, wanted], flags, shape)
        options = {"half_pixel_centers": self._draw(st.booleans())}
        return self._note("resize", self._net.resize_nearest, x, size, **options)

    def _crop(self, x: Handle) -> Handle:
        """Some rows and columns, each or every second."""
        begin = (0, self._int(0, x.shape[1] - 1), self._int(0, x.shape[2] - 1), 0)
        stride = (1, self._int(1, 2), self._int(1, 2), 1)
        left = [n - b for n, b in zip(x.shape[1:3], begin[1:3], strict=True)]
        shape = (1, *(self._int(1, -(-n // s)) for n, s in zip(left, stride[1:3], strict=True)), x.shape[3])
        end = [b + (n - 1) * s + 1 for b, n, s in zip(begin, shape, stride, strict=True)]
        ends = [self._net.constant(np.array(values, np.int32)) for values in (begin, end, stride)]
        return self._note("crop", self._net.stock, "STRIDED_SLICE", [x, *ends], schema.StridedSliceOptionsT(), shape)

    def _window(self, x: Handle) -> tuple[tuple[int, int], dict]:
        """A kernel, and stride, dilation and padding with which it fits the map."""
        kernel = (self._int(1, 5), self._int(1, 5))
        dilation = (self._int(1, 3), self._int(1, 3)) if self._int(0, 3) == 3 else (1, 1)
        stride = (self._int(1, 3), self._int(1, 3))
        fits = all((k - 1) * d < n for k, d, n in zip(kernel, dilation, x.shape[1:3], strict=True))
        padding = "VALID" if fits and self._draw(st.booleans()) else "SAME"
        return kernel, {"stride": stride, "dilation": dilation, "padding": padding}

    def _weights(self, shape: tuple[int, ...], axis: int, x: Handle, num_taps: int) -> tuple:
        """(int8 filter, the options that go with it), of scales that spread the output."""
        rng = self._rng
        filter = rng.integers(-127, 128, shape).astype(np.int8)
        scales = rng.uniform(0.002, 0.02, shape[axis] if self._int(0, 3) else 1)
        if axis == 2 or not self._int(0, 3):
            scales = np.broadcast_to(scales, shape[axis])
        spread = 70 * 70 * np.sqrt(num_taps)
        activation = self._draw(st.sampled_from(ACTIVATIONS))
        near = x.scale * float(np.mean(scales)) * spread / 60
        top = {"RELU6": 6.0, "RELU_N1_TO_1": 1.0}.get(activation)
        if top is not None and self._int(0, 3):
            # Sums around the clamp's own range, lest all of them saturate.
            scales = scales * (top / 100 / near)
            near = top / 100
        bias = None
        if self._int(0, 3):
            bias = np.round(rng.normal(0, spread, shape[axis])).astype(np.int32)
        return filter, {
            "bias": bias,
            "filter_scales": [float(s) for s in scales],
            "activation": activation,
            **self._format(near, activation),
        }

    def _format(self, near: float = 0.05, activation: str = "NONE") -> dict[str, Any]:
        scale = float(np.float32(near * self._rng.uniform(0.5, 2)))
        zero_point = int(self._rng.integers(-128, 128))
        if activation in ("RELU", "RELU6") and self._int(0, 3):
            zero_point = -128
        return {"scale": scale, "zero_point": zero_point}

    def _note(self, name: str, method: Callable, *args, **options) -> Handle:
        y = method(*args, **options)
        shown = {k: v for k, v in options.items() if k not in ("bias", "filter_scales")}
        sources = [a for a in args if isinstance(a, Handle)]
        shapes = [a.shape for a in args if isinstance(a, np.ndarray)]
        self.ops.append(f"{y.index}: {name} of {[s.index for s in sources]} {shapes} {shown}")
        return y

    def _int(self, low: int, high: int) -> int:
        return self._draw(st.integers(low, high))
