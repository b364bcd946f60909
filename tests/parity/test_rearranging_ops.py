"""Stock ops that rearrange values, and ops of several images: TFLM = numpy oracle = C++ in emitted code, in every byte.

As test_stock_op_parity.py: all cases of an op are outputs of one model.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tests.parity.test_more_stock_ops import NUM_CASES, indices, stock
from tests.parity.test_stock_op_parity import ACTIVATIONS, ALL_VALUES, Zoo, check, shuffled
from tests.support.edit_model import StockModel
from tests.support.tiny_models import Handle
from tflm_quantmcu.tflite import schema

TYPES = ("int8", "float32")


def pairs(zoo: Zoo, *values: tuple[int, int]) -> Handle:
    return StockModel.constant(zoo.net, np.array(values, np.int32))


def source(zoo: Zoo, shape: tuple[int, ...], dtype: str) -> Handle:
    x = zoo.view(shape, scale=0.1, zero_point=3)
    return zoo.net.dequantize(x) if dtype == "float32" else x


def mirror_pad(zoo: Zoo, case: int, dtype: str) -> Handle:
    x = source(zoo, [(1, 4, 8, 8), (1, 16, 16), (1, 256)][case % 3], dtype)
    is_symmetric = case % 2
    least = [(0, 0), *((int(a), int(b)) for a, b in zoo.rng.integers(0, 4, (len(x.shape) - 1, 2)))]
    largest = [(0, 0), *((n - 1 + is_symmetric, case % 5) for n in x.shape[1:])]
    pads = largest if case % 6 == 5 else least
    shape = tuple(n + before + after for n, (before, after) in zip(x.shape, pads, strict=True))
    options = schema.MirrorPadOptionsT(mode=is_symmetric)
    return stock(zoo, "MIRROR_PAD", [x, pairs(zoo, *pads)], options, shape, dtype=dtype)


def broadcast_to(zoo: Zoo, case: int, dtype: str) -> Handle:
    part, whole = [((1, 1, 4, 64), (1, 3, 4, 64)), ((1, 16, 16, 1), (1, 16, 16, 3)), ((1, 256), (1, 2, 1, 256))][
        case % 3
    ]
    x = source(zoo, part, dtype)
    return stock(zoo, "BROADCAST_TO", [x, indices(zoo, *whole)], None, whole, dtype=dtype)


def gather_nd(zoo: Zoo, case: int, dtype: str) -> Handle:
    x = source(zoo, (1, 4, 8, 8), dtype)
    depth = 1 + case % 4
    chosen = np.stack([zoo.rng.integers(0, n, 5) for n in x.shape[:depth]], axis=-1)
    shape = (1, 5, *x.shape[depth:])
    inputs = [x, StockModel.constant(zoo.net, chosen[None].astype(np.int32))]
    return stock(zoo, "GATHER_ND", inputs, None, shape, dtype=dtype)


def space_to_batch(zoo: Zoo, case: int, dtype: str) -> Handle:
    """Back again, with crops; TFLM pads with a byte that it never sets, so a PAD stands in front."""
    shape, blocks, crops = [
        ((1, 4, 8, 8), (2, 2), ((0, 0), (0, 0))),
        ((1, 6, 12, 8), (2, 3), ((1, 0), (0, 3))),
        ((1, 24, 16), (4,), ((2, 1),)),
        ((1, 4, 40, 8), (1, 5), ((0, 0), (8, 0))),
        ((1, 24, 9, 8), (3, 3), ((11, 5), (0, 1))),
    ][case % 5]
    x = zoo.view((1, 4, 8, 8) if len(shape) == 4 else (1, 16, 16), scale=0.1, zero_point=3)
    x = zoo.net.pad(x, [(0, n - m) for n, m in zip(shape, x.shape, strict=True)])
    x = zoo.net.dequantize(x) if dtype == "float32" else x
    pads = ((0, 0),) * len(blocks)
    extents = shape[1:-1]
    inner = tuple(n // block for n, block in zip(extents, blocks, strict=True))
    options: Any = schema.SpaceToBatchNDOptionsT()
    inputs = [x, indices(zoo, *blocks), pairs(zoo, *pads)]
    y = stock(zoo, "SPACE_TO_BATCH_ND", inputs, options, (int(np.prod(blocks)), *inner, shape[-1]), dtype=dtype)
    kept = [n - sum(crop) for n, crop in zip(extents, crops, strict=True)]
    inputs, options = [y, indices(zoo, *blocks), pairs(zoo, *crops)], schema.BatchToSpaceNDOptionsT()
    return stock(zoo, "BATCH_TO_SPACE_ND", inputs, options, (1, *kept, shape[-1]), dtype=dtype)


def float_pad(zoo: Zoo, case: int, dtype: str) -> Handle:
    x = source(zoo, [(1, 4, 8, 8), (1, 16, 16)][case % 2], dtype)
    pads = [(0, 0), *((int(a), int(b)) for a, b in zoo.rng.integers(0, 4, (len(x.shape) - 1, 2)))]
    shape = tuple(n + before + after for n, (before, after) in zip(x.shape, pads, strict=True))
    if case % 4 < 2:
        return stock(zoo, "PAD", [x, pairs(zoo, *pads)], schema.PadOptionsT(), shape, dtype=dtype)
    value = np.array(zoo.rng.standard_normal(), np.float32) if dtype == "float32" else np.array(-7, np.int8)
    format = {} if dtype == "float32" else {"scale": x.scale, "zero_point": x.zero_point}
    inputs = [x, pairs(zoo, *pads), zoo.net.constant(value, **format)]
    return stock(zoo, "PADV2", inputs, schema.PadV2OptionsT(), shape, dtype=dtype)


def concatenation(zoo: Zoo, case: int, dtype: str) -> Handle:
    x = source(zoo, (1, 4, 8, 8), dtype)
    axis = 1 + case % 3
    shape = tuple(2 * n if a == axis else n for a, n in enumerate(x.shape))
    return stock(zoo, "CONCATENATION", [x, x], schema.ConcatenationOptionsT(axis=axis), shape, dtype=dtype)


def transpose(zoo: Zoo, case: int, dtype: str) -> Handle:
    x = source(zoo, (1, 4, 8, 8), dtype)
    order = [(0, 2, 1, 3), (0, 3, 1, 2), (0, 3, 2, 1)][case % 3]
    shape = tuple(x.shape[d] for d in order)
    return stock(zoo, "TRANSPOSE", [x, indices(zoo, *order)], schema.TransposeOptionsT(), shape, dtype=dtype)


def reverse(zoo: Zoo, case: int, dtype: str) -> Handle:
    x = source(zoo, (1, 4, 8, 8), dtype)
    axes = [(1,), (2, 3), (-1,), (1, 2)][case % 4]
    return stock(zoo, "REVERSE_V2", [x, indices(zoo, *axes)], schema.ReverseV2OptionsT(), x.shape, dtype=dtype)


OPS = (reverse, mirror_pad, broadcast_to, gather_nd, space_to_batch, float_pad, concatenation, transpose)


@pytest.mark.parametrize("dtype", TYPES)
def test_rearranged_values_equal_tflm_in_every_byte(dtype: str, tmp_path: Path) -> None:
    zoo = Zoo((1, 256))
    for make in OPS:
        for case in range(NUM_CASES):
            zoo.add(make(zoo, case, dtype))
    check(zoo.build(), shuffled(2, (1, 256)), tmp_path)


def images(zoo: Zoo, case: int) -> Handle:
    """Two or four images."""
    shape = [(4, 4, 4, 4), (2, 8, 4, 4), (2, 1, 16, 8)][case % 3]
    return zoo.view(shape, scale=zoo.scale(case, 0.02), zero_point=zoo.zero_point())


def windowed(kind: str) -> Callable[[Zoo, int], Handle]:
    def build(zoo: Zoo, case: int) -> Handle:
        x, net = images(zoo, case), zoo.net
        kernel = [(1, 1), (1, 3), (1, 2)][case % 3] if x.shape[1] == 1 else [(3, 3), (2, 2), (1, 3)][case // 2 % 3]
        options: dict[str, Any] = {"stride": (1, 1 + case % 2), "activation": ACTIVATIONS[case % 4]}
        if kind in ("average_pool2d", "max_pool2d"):
            return getattr(net, kind)(x, kernel, padding=("SAME", "VALID")[case % 2], **options)
        depth = x.shape[3] // 2 if kind == "grouped" else x.shape[3]
        shape = (*kernel, x.shape[3]) if kind == "depthwise_conv2d" else (6, *kernel, depth)
        filter = zoo.rng.choice(ALL_VALUES[1:], shape)
        options |= {"scale": x.scale * 0.01 * 60, "zero_point": zoo.zero_point(), "filter_scales": (0.01,)}
        make = net.depthwise_conv2d if kind == "depthwise_conv2d" else net.conv2d
        return make(x, filter, zoo.rng.integers(-99, 99, shape[-1] if kind[0] == "d" else 6, np.int32), **options)

    return build


def resized(zoo: Zoo, case: int) -> Handle:
    x = images(zoo, case)
    kind = ("RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR")[case % 2]
    size = (2 * x.shape[1], 3 * x.shape[2])
    options = schema.ResizeBilinearOptionsT() if case % 2 == 0 else schema.ResizeNearestNeighborOptionsT()
    return stock(zoo, kind, [x, indices(zoo, *size)], options, (x.shape[0], *size, x.shape[3]))


def blocks(zoo: Zoo, case: int) -> Handle:
    if case % 2:
        x = zoo.view((4, 4, 4, 4), scale=0.1, zero_point=3)
        return stock(zoo, "DEPTH_TO_SPACE", [x], schema.DepthToSpaceOptionsT(blockSize=2), (4, 8, 8, 1))
    x = zoo.view((2, 4, 8, 4), scale=0.1, zero_point=3)
    return stock(zoo, "SPACE_TO_DEPTH", [x], schema.SpaceToDepthOptionsT(blockSize=2), (2, 2, 4, 16))


_WINDOWED = ("conv2d", "depthwise_conv2d", "grouped", "average_pool2d", "max_pool2d")
IMAGES: dict[str, Callable[[Zoo, int], Handle]] = {
    **{kind: windowed(kind) for kind in _WINDOWED},
    "resized": resized,
    "blocks": blocks,
}


def test_each_of_several_images_equals_tflm_in_every_byte(tmp_path: Path) -> None:
    zoo = Zoo((1, 256))
    for make in IMAGES.values():
        for case in range(NUM_CASES // 2):
            y = make(zoo, case)
            zoo.add(zoo.net.reshape(y, (1, int(np.prod(y.shape)))))
    check(zoo.build(), shuffled(2, (1, 256)), tmp_path)
