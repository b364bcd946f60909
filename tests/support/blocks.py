"""Dilated convolutions as TensorFlow writes them: between SPACE_TO_BATCH_ND and BATCH_TO_SPACE_ND."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tests.support.edit_model import StockModel
from tests.support.tiny_models import Handle
from tflm_quantmcu.tflite import schema

Amounts = Sequence[tuple[int, int]]
VALUES = np.random.default_rng(0)


def blocks_of(net: StockModel, x: Handle, blocks: Sequence[int], pads: Amounts) -> Handle:
    """SPACE_TO_BATCH_ND; of a row [1, W, C] an image of one row follows."""
    inner = [(n + sum(pad)) // block for n, pad, block in zip(x.shape[1:], pads, blocks, strict=False)]
    shape = (math.prod(blocks), *inner, x.shape[-1])
    y = net.stock("SPACE_TO_BATCH_ND", _inputs(net, x, blocks, pads), schema.SpaceToBatchNDOptionsT(), shape)
    return y if len(blocks) == 2 else net.reshape(y, (shape[0], 1, *shape[1:]))


def map_of(net: StockModel, x: Handle, blocks: Sequence[int], crops: Amounts) -> Handle:
    """BATCH_TO_SPACE_ND; of images of one row for one block behind a reshape."""
    if len(blocks) == 1:
        x = net.reshape(x, (x.shape[0], *x.shape[2:]))
    inner = [n * block - sum(crop) for n, crop, block in zip(x.shape[1:], crops, blocks, strict=False)]
    shape = (1, *inner, x.shape[-1])
    return net.stock("BATCH_TO_SPACE_ND", _inputs(net, x, blocks, crops), schema.BatchToSpaceNDOptionsT(), shape)


def conv(net: StockModel, x: Handle, kernel: tuple[int, int], *, is_depthwise: bool = False, stride: int = 1) -> Handle:
    """A VALID convolution of 4 channels to as many, with a scale and zero point of its own."""
    form: dict[str, Any] = {"padding": "VALID", "scale": 0.1, "zero_point": -7, "stride": (stride, stride)}
    bias = VALUES.integers(-999, 999, 4, np.int32)
    if is_depthwise:
        return net.depthwise_conv2d(x, VALUES.integers(-99, 99, (*kernel, 4), np.int8), bias, **form)
    return net.conv2d(x, VALUES.integers(-99, 99, (4, *kernel, 4), np.int8), bias, **form)


def _inputs(net: StockModel, x: Handle, blocks: Sequence[int], amounts: Amounts) -> list[Handle]:
    return [x, *(net.constant(np.array(values, np.int32)) for values in (blocks, amounts))]
