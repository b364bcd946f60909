"""One random network a seed: blocks that people train, with the corners that break kernels.

Blocks: inverted residuals, gates, Inception, dense blocks, U-Nets, temporal convolutions, ops value by value that work
in place, convolutions in groups, attention, dilated convolutions by images, normalisation, choices. Corners: asymmetric
pads, odd strides, zero points at the ends of their range, channels whose weights are all zero, constants a channel,
inputs of other types, an end that is flattened.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np

from tests.support.edit_model import StockModel
from tests.support.tiny_models import Handle, TinyModel
from tflm_quantmcu.tflite import schema

_ACTIVATIONS = ("NONE", "RELU", "RELU6", "NONE")


def random_network(seed: int) -> bytes:
    """The `.tflite` of a seed; the same on every machine."""
    return _Network(seed).build()


def family_of(seed: int) -> str:
    """The name of the blocks that a seed's network has."""
    return list(_FAMILIES)[seed % len(_FAMILIES)]


class _Network:
    def __init__(self, seed: int) -> None:
        self.rng = np.random.default_rng(seed)
        self.net = StockModel()
        self._family = family_of(seed)

    def build(self) -> bytes:
        size = int(self.rng.integers(9, 25))
        is_row = self._family == "temporal"
        shape = (1, 1, 2 * size, 3) if is_row else (1, size, size + int(self.rng.integers(0, 4)), 3)
        x = self.conv(self.input(shape), self.channels(), (1, 3) if is_row else self.kernel())
        for _ in range(int(self.rng.integers(1, 4))):
            x = _FAMILIES[self._family](self, x)
        if self.one_in(3):
            x = self.net.reshape(x, (1, int(np.prod(x.shape))))
        else:
            x = self.net.mean(x, scale=x.scale, zero_point=x.zero_point)
        weights = self.rng.integers(-127, 128, (5, x.shape[1]), dtype=np.int8)
        return self.net.build(self.net.fully_connected(x, weights, scale=0.1))

    def input(self, shape: tuple[int, ...]) -> Handle:
        """An int8 one, or one of another type and what a QUANTIZE makes of it."""
        dtype = str(self.rng.choice(["int8", "int8", "uint8", "float32"]))
        x = self.net.input(shape, scale=0.05, zero_point=self.zero_point() + 128 * (dtype == "uint8"), dtype=dtype)
        return x if dtype == "int8" else self.net.quantize(x, scale=0.05, zero_point=self.zero_point())

    def one_in(self, count: int) -> bool:
        return bool(self.rng.integers(0, count) == 0)

    def zero_point(self) -> int:
        """A zero point, at an end of its range as often as inside."""
        return int(self.rng.choice([-128, 127, int(self.rng.integers(-128, 128)), int(self.rng.integers(-20, 20))]))

    def channels(self) -> int:
        return int(self.rng.integers(2, 9))

    def kernel(self) -> tuple[int, int]:
        return int(self.rng.integers(1, 4)), int(self.rng.integers(1, 4))

    def format(self, activation: str) -> dict[str, float | int]:
        """An output's format; behind a RELU its zero point is most often the lowest value."""
        at_end = activation in ("RELU", "RELU6") and not self.one_in(3)
        scale = float(np.float32(self.rng.uniform(0.02, 0.2)))
        return {"scale": scale, "zero_point": -128 if at_end else self.zero_point()}

    def weights(self, shape: tuple[int, ...], axis: int) -> tuple[np.ndarray, dict[str, object]]:
        """Filter, and bias and scales; now and then a channel is dead: of zeros, with any bias."""
        values = self.rng.integers(-127, 128, shape, dtype=np.int8)
        outputs = shape[axis]
        bias = self.rng.integers(-3000, 3000, outputs, dtype=np.int32)
        if self.one_in(3):
            dead = self.rng.random(outputs) < 0.4
            values[tuple(dead if a == axis % len(shape) else slice(None) for a in range(len(shape)))] = 0
            bias[dead] *= int(self.rng.choice([0, 1, 100]))
        taps = int(np.prod(shape)) // outputs
        scales = self.rng.uniform(0.2, 1.0, outputs) / (127 * np.sqrt(taps))
        return values, {"bias": bias, "filter_scales": [float(np.float32(s)) for s in scales]}

    def conv(self, x: Handle, outputs: int, kernel: tuple[int, int], *, stride: tuple[int, int] = (1, 1)) -> Handle:
        """A CONV_2D, sometimes behind an explicit, lopsided PAD."""
        padding = "SAME"
        if self.one_in(4):
            pads = ((0, 0), *((int(a), int(b)) for a, b in self.rng.integers(0, 3, (2, 2))), (0, 0))
            x = self.net.pad(x, pads if x.shape[1] > 1 else (pads[0], (0, 0), *pads[2:]))
            fits = all(k <= n for k, n in zip(kernel, x.shape[1:3], strict=True))
            padding = "VALID" if fits else "SAME"
        values, options = self.weights((outputs, *kernel, x.shape[3]), 0)
        activation = str(self.rng.choice(_ACTIVATIONS))
        options |= {"stride": stride, "padding": padding, "activation": activation, **self.format(activation)}
        return self.net.conv2d(x, values, **options)  # type: ignore[arg-type]

    def depthwise(self, x: Handle, *, stride: tuple[int, int] = (1, 1)) -> Handle:
        kernel = (1, 3) if x.shape[1] == 1 else self.kernel()
        values, options = self.weights((*kernel, x.shape[3]), -1)
        activation = str(self.rng.choice(_ACTIVATIONS))
        options |= {"stride": stride, "activation": activation, **self.format(activation)}
        return self.net.depthwise_conv2d(x, values, **options)  # type: ignore[arg-type]

    def stride(self, x: Handle) -> tuple[int, int]:
        """1 to 3 along each axis, as far as pixels are left."""
        height, width = (int(self.rng.integers(1, 4)) if n > 6 else 1 for n in x.shape[1:3])
        return height, width

    def alike(self, x: Handle) -> Handle:
        """A convolution of the same format and shape, for what TFLite gives one format."""
        values, options = self.weights((x.shape[3], 1, 1, x.shape[3]), 0)
        return self.net.conv2d(x, values, scale=x.scale, zero_point=x.zero_point, **options)  # type: ignore[arg-type]

    def rows(self, x: Handle) -> Handle:
        """A fully connected op of each row of [1, rows, C], to as many channels."""
        values, options = self.weights((x.shape[2], x.shape[2]), 0)
        scales = [x.scale * s for s in options["filter_scales"]]  # type: ignore[attr-defined]
        inputs = [self.net.weights(values, options["filter_scales"]), self.net.weights(options["bias"], scales)]  # type: ignore[arg-type]
        made = schema.FullyConnectedOptionsT(keepNumDims=True)
        return self.net.stock("FULLY_CONNECTED", [x, *inputs], made, x.shape, **self.format("NONE"))

    def product(self, x: Handle, y: Handle, *, transposes: bool) -> Handle:
        """BATCH_MATMUL of [1, rows, K] and [1, K, columns], or of that transposed."""
        options = schema.BatchMatMulOptionsT(adjY=transposes)
        shape = (1, x.shape[1], y.shape[1 if transposes else 2])
        scale = float(np.float32(x.scale * y.scale * 20 * np.sqrt(x.shape[2])))
        return self.net.stock("BATCH_MATMUL", [x, y], options, shape, scale=scale, zero_point=self.zero_point())

    def indices(self, values: Sequence[int] | Sequence[tuple[int, int]]) -> Handle:
        """Amounts, int32."""
        return self.net.constant(np.array(values, np.int32))

    def constant(self, x: Handle) -> Handle:
        """ADD, SUB or MUL of a constant, one value or one a channel."""
        kind = str(self.rng.choice(["ADD", "SUB", "MUL"]))
        options = {"ADD": schema.AddOptionsT, "SUB": schema.SubOptionsT, "MUL": schema.MulOptionsT}[kind]()
        shape = () if self.one_in(3) else (x.shape[3],)
        values = np.asarray(self.rng.integers(-128, 128, shape), np.int8)
        other = TinyModel.constant(self.net, values, scale=0.01, zero_point=self.zero_point())
        return self.net.stock(kind, [x, other], options, x.shape, **self.format("NONE"))

    def upsampled(self, x: Handle, size: tuple[int, int]) -> Handle:
        """Twice as large in x's format: by nearest neighbours, mixed ones, or a transposed convolution."""
        kind = int(self.rng.integers(0, 3))
        if kind == 0:
            return self.net.resize_nearest(x, size)
        if kind == 1:
            options = schema.ResizeBilinearOptionsT(
                **{str(self.rng.choice(["alignCorners", "halfPixelCenters"])): self.one_in(2)}
            )
            wanted = self.net.constant(np.array(size, np.int32))
            return self.net.stock("RESIZE_BILINEAR", [x, wanted], options, (1, *size, x.shape[3]))
        values, weights = self.weights((x.shape[3], *self.kernel(), x.shape[3]), 0)
        return self.net.transpose_conv(x, values, size=size, scale=x.scale, zero_point=x.zero_point, **weights)  # type: ignore[arg-type]

    def concatenated(self, x: Handle, parts: list[Handle]) -> Handle:
        """Along channels; TFLM wants one format."""
        requantized = [p if p is x else self.net.quantize(p, scale=x.scale, zero_point=x.zero_point) for p in parts]
        return self.net.concatenation(requantized, 3)


def _inverted_residual(net: _Network, x: Handle) -> Handle:
    y = net.depthwise(net.conv(x, 3 * x.shape[3], (1, 1)))
    y = net.conv(y, x.shape[3], (1, 1))
    if y.shape == x.shape:
        x = net.net.add(x, y, **net.format("NONE"))
    return net.depthwise(x, stride=net.stride(x))


def _gate(net: _Network, x: Handle) -> Handle:
    """SiLU, hard swish, or squeeze-and-excite, before a convolution with stride."""
    kind = int(net.rng.integers(0, 3))
    if kind == 0:
        x = net.net.silu(x, **net.format("NONE"))
    elif kind == 1:
        x = net.net.hard_swish(x, **net.format("NONE"))
    else:
        pooled = net.net.mean(x, keep_dims=True, scale=x.scale, zero_point=x.zero_point)
        gate = net.net.logistic(net.conv(pooled, x.shape[3], (1, 1)))
        if gate.shape[1:3] == (1, 1):
            x = net.net.mul(x, gate, **net.format("NONE"))
    return net.constant(net.conv(x, net.channels(), net.kernel(), stride=net.stride(x)))


def _inception(net: _Network, x: Handle) -> Handle:
    pooled = net.net.max_pool2d(x, (3, 3), padding="SAME")
    parts = [net.alike(x), net.alike(net.alike(x)), net.alike(pooled)]
    return net.conv(net.concatenated(x, parts), net.channels(), net.kernel(), stride=net.stride(x))


def _dense(net: _Network, x: Handle) -> Handle:
    for _ in range(2):
        x = net.concatenated(x, [x, net.alike(x)])
    return net.conv(x, net.channels(), (1, 1))


def _u_net(net: _Network, x: Handle) -> Handle:
    if min(x.shape[1:3]) < 4:
        return net.conv(x, net.channels(), net.kernel())
    even = net.net.pad(x, ((0, 0), (0, x.shape[1] % 2), (0, x.shape[2] % 2), (0, 0)))
    y = net.alike(net.net.average_pool2d(even, (2, 2), stride=(2, 2)))
    y = net.upsampled(y, (even.shape[1], even.shape[2]))
    return net.conv(net.concatenated(even, [even, y]), net.channels(), net.kernel())


def _temporal(net: _Network, x: Handle) -> Handle:
    """A dilated causal convolution [1, 1, W, C] with a skip."""
    dilation = int(net.rng.integers(1, 4))
    padded = net.net.pad(x, ((0, 0), (0, 0), (2 * dilation, 0), (0, 0)))
    values, options = net.weights((x.shape[3], 1, 3, x.shape[3]), 0)
    options |= {"dilation": (1, dilation), "padding": "VALID", **net.format("NONE")}
    y = net.net.conv2d(padded, values, **options)  # type: ignore[arg-type]
    return net.net.add(x, y, activation="RELU", **net.format("RELU"))


def _value_by_value(net: _Network, x: Handle) -> Handle:
    """Activations, products of two maps, a map less its mean, and a softmax, none of which needs a map of its own."""
    y = net.net.tanh(x) if net.one_in(2) else net.net.relu6(x)
    y = net.net.mul(y, net.alike(x) if net.one_in(2) else x, **net.format("NONE"))
    if net.one_in(2):
        mean = net.net.mean(y, keep_dims=True, scale=y.scale, zero_point=y.zero_point)
        y = net.net.stock("SUB", [y, mean], schema.SubOptionsT(), y.shape, **net.format("NONE"))
    y = net.net.softmax(y) if net.one_in(3) else net.net.add(y, x, **net.format("NONE"))
    return net.conv(y, net.channels(), (1, 1), stride=net.stride(y))


def _written_out(net: _Network, x: Handle) -> Handle:
    """Functions of one value in several ops, and a skip with channels of zeros, as BlazeFace has them."""
    if net.one_in(2):
        gate = net.net.relu6(net.net.quantize(x, **net.format("NONE")))
        x = net.net.mul(x, net.net.tanh(gate) if net.one_in(2) else gate, **net.format("NONE"))
    else:
        options = schema.MaximumMinimumOptionsT()
        slopes = net.net.constant(net.rng.integers(-99, 99, x.shape[3], dtype=np.int8), scale=0.01)
        scaled = net.net.mul(x, slopes, scale=x.scale, zero_point=x.zero_point)
        kind = str(net.rng.choice(["MAXIMUM", "MINIMUM"]))
        x = net.net.stock(kind, [x, scaled], options, x.shape, scale=x.scale, zero_point=x.zero_point)
    more = (int(net.rng.integers(0, 3)), int(net.rng.integers(0, 7)))
    padded = net.net.pad(x, ((0, 0), (0, 0), (0, 0), more))
    y = net.conv(x, padded.shape[3], net.kernel())
    x = net.net.add(padded, y, **net.format("NONE")) if y.shape == padded.shape else y
    return net.conv(x, net.channels(), net.kernel(), stride=net.stride(x))


def _groups(net: _Network, x: Handle) -> Handle:
    """A convolution in groups, whose outputs a shuffle of channels may mix."""
    groups, depth, outputs = (int(n) for n in net.rng.integers((2, 1, 1), (6, 4, 4)))
    x = net.conv(x, groups * depth, (1, 1))
    values, options = net.weights((groups * outputs, *net.kernel(), depth), 0)
    activation = str(net.rng.choice(_ACTIVATIONS))
    options |= {"stride": net.stride(x), "activation": activation, **net.format(activation)}
    y = net.net.conv2d(x, values, **options)  # type: ignore[arg-type]
    if net.one_in(2):
        spread = net.net.transpose(net.net.reshape(y, (*y.shape[:3], groups, outputs)), (0, 1, 2, 4, 3))
        y = net.net.reshape(spread, y.shape)
    return net.conv(y, net.channels(), (1, 1))


def _attention(net: _Network, x: Handle) -> Handle:
    """Attention of the pixels of a map that strides have made small, now and then of their differences to a mean."""
    while x.shape[1] * x.shape[2] > 80:
        height, width = (3 if n > 3 else 1 for n in x.shape[1:3])
        x = net.conv(x, net.channels(), (1, 1), stride=(height, width))
    tokens = net.net.reshape(x, (1, x.shape[1] * x.shape[2], x.shape[3]))
    if net.one_in(2):
        mean = net.net.mean(tokens, (2,), keep_dims=True, scale=x.scale, zero_point=x.zero_point)
        format = net.format("NONE")
        tokens = net.net.stock("SQUARED_DIFFERENCE", [tokens, mean], None, tokens.shape, **format)
    query, key, value = (net.rows(tokens) for _ in range(3))
    scores = net.net.softmax(net.product(query, key, transposes=True))
    made = net.net.add(net.product(scores, value, transposes=False), tokens, **net.format("NONE"))
    return net.net.reshape(made, x.shape)


def _dilated(net: _Network, x: Handle) -> Handle:
    """A dilated convolution as one of the images that SPACE_TO_BATCH_ND makes, behind a PAD that may mirror."""
    blocks = [int(net.rng.integers(1, 4)) if n > 3 else 1 for n in x.shape[1:3]]
    befores = [int(b) for b in net.rng.integers(0, 3, 2)]
    pads = [(before, -(n + before) % block) for n, before, block in zip(x.shape[1:3], befores, blocks, strict=True)]
    pads = [(0, 0), *((a, b) if n > 3 else (0, 0) for (a, b), n in zip(pads, x.shape[1:3], strict=True)), (0, 0)]
    shape = tuple(n + a + b for n, (a, b) in zip(x.shape, pads, strict=True))
    if net.one_in(2):
        x = net.net.pad(x, pads)
    else:
        options = schema.MirrorPadOptionsT(mode=int(net.rng.integers(0, 2)))
        x = net.net.stock("MIRROR_PAD", [x, net.indices(pads)], options, shape)
    shape = (blocks[0] * blocks[1], x.shape[1] // blocks[0], x.shape[2] // blocks[1], x.shape[3])
    nothing = net.indices([(0, 0), (0, 0)])
    options = schema.SpaceToBatchNDOptionsT()
    y = net.net.stock("SPACE_TO_BATCH_ND", [x, net.indices(blocks), nothing], options, shape)
    y = net.conv(y, net.channels(), (1, 2)) if net.one_in(2) else net.depthwise(y)
    extents = [n * block for n, block in zip(y.shape[1:3], blocks, strict=True)]
    crops = [(0, int(net.rng.integers(0, min(n, 3)))) for n in extents]
    shape = (1, *(n - crop for n, (_, crop) in zip(extents, crops, strict=True)), y.shape[3])
    inputs = [y, net.indices(blocks), net.indices(crops)]
    y = net.net.stock("BATCH_TO_SPACE_ND", inputs, schema.BatchToSpaceNDOptionsT(), shape)
    return net.conv(y, net.channels(), net.kernel(), stride=net.stride(y))


def _normalized(net: _Network, x: Handle) -> Handle:
    """Pixels of length 1, or a map divided by the root of its variance in float32, as TFLite leaves it now and then."""
    if net.one_in(2):
        y = net.net.stock("L2_NORMALIZATION", [x], schema.L2NormOptionsT(), x.shape, scale=1 / 128, zero_point=0)
        return net.conv(y, net.channels(), net.kernel(), stride=net.stride(y))
    mean = net.net.mean(x, keep_dims=True, scale=x.scale, zero_point=x.zero_point)
    options = {"scale": x.scale, "zero_point": -128}
    squares = net.net.stock("SQUARED_DIFFERENCE", [x, mean], None, x.shape, **options)
    variance = net.net.dequantize(net.net.mean(squares, keep_dims=True, **options))
    epsilon = net.net.constant(np.array([1e-3], np.float32))
    total = net.net.stock("ADD", [variance, epsilon], schema.AddOptionsT(), variance.shape, dtype="float32")
    root = net.net.stock("SQRT", [total], None, total.shape, dtype="float32")
    kind, made = [("DIV", schema.DivOptionsT()), ("MUL", schema.MulOptionsT())][int(net.rng.integers(0, 2))]
    y = net.net.stock(kind, [net.net.dequantize(x), root], made, x.shape, dtype="float32")
    return net.conv(net.net.quantize(y, **net.format("NONE")), net.channels(), (1, 1), stride=net.stride(x))


def _chosen(net: _Network, x: Handle) -> Handle:
    """Values of one map or another, by what they are compared with."""
    other = net.alike(x)
    kinds = ("Equal", "Greater", "GreaterEqual", "Less", "LessEqual", "NotEqual")
    mean = net.net.mean(x, keep_dims=True, scale=x.scale, zero_point=x.zero_point)
    truths = []
    for y in (other, mean):
        name = str(net.rng.choice(kinds))
        kind = "".join(f"_{c}" if c.isupper() else c for c in name).upper()[1:]
        truths.append(net.net.stock(kind, [x, y], getattr(schema, f"{name}OptionsT")(), x.shape, dtype="bool"))
    condition = net.net.stock(str(net.rng.choice(["LOGICAL_AND", "LOGICAL_OR"])), truths, None, x.shape, dtype="bool")
    if net.one_in(2):
        condition = net.net.stock("LOGICAL_NOT", [condition], None, x.shape, dtype="bool")
    format = {"scale": x.scale, "zero_point": x.zero_point}
    whole = net.net.stock("BROADCAST_TO", [mean, net.indices(x.shape)], None, x.shape, **format)
    chosen = [x, whole if net.one_in(2) else other]
    y = net.net.stock("SELECT_V2", [condition, *chosen], schema.SelectV2OptionsT(), x.shape, **format)
    return net.conv(y, net.channels(), net.kernel(), stride=net.stride(y))


_FAMILIES: dict[str, Callable[[_Network, Handle], Handle]] = {
    "inverted_residual": _inverted_residual,
    "gate": _gate,
    "inception": _inception,
    "dense": _dense,
    "u_net": _u_net,
    "temporal": _temporal,
    "value_by_value": _value_by_value,
    "groups": _groups,
    "attention": _attention,
    "written_out": _written_out,
    "dilated": _dilated,
    "normalized": _normalized,
    "chosen": _chosen,
}
