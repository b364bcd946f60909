"""What others published about patches of MobileNetV2, by our arithmetic under their conventions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.support.mobilenet_v2 import Layer, geometry, mobilenet_v2, tile_sides
from tflm_quantmcu import tiles
from tflm_quantmcu.stage_path import Edge, PathSearch

NETWORK = mobilenet_v2(1.0, 224, features=1280)
CLASSIFIER_MACS = 1280 * 1000
STAGE = NETWORK[:12]  # the stem and 4 bottlenecks: 28x28x32


def test_tile_sides_of_mcunet_v2() -> None:
    """arXiv 2110.15352: patches of 75x75 for 4x4 tiles."""
    assert STAGE[-1].output_bytes == 28 * 28 * 32
    assert tile_sides(STAGE, 7) == [75, 37, 35, 35, 35, 17, 17, 17, 15, 15, 15, 7, 7]


def test_recomputation_of_mcunet_v2() -> None:
    """Patches of full size cost 41.9 % more MACs (published: 42 %), clipped ones 30.6 %; of all 9.3 %."""
    unsplit = sum(layer.macs for layer in STAGE)
    whole = sum(layer.macs for layer in NETWORK) + CLASSIFIER_MACS
    full = 16 * sum(side**2 * layer.pixel_macs for side, layer in zip(tile_sides(STAGE, 7)[1:], STAGE, strict=True))
    spans, _ = geometry(STAGE).spans(7, 7, [0] * (len(STAGE) + 1))
    rows = (spans[..., tiles.END] - spans[..., tiles.BEGIN]).sum(axis=0)[1:].tolist()
    clipped = sum(extent**2 * layer.pixel_macs for extent, layer in zip(rows, STAGE, strict=True))
    assert f"{unsplit / 1e6:.2f} {whole / 1e6:.1f}" == "91.28 300.8"
    assert f"{full / 1e6:.1f} {full / unsplit - 1:.1%}" == "129.5 41.9%"
    assert f"{clipped / 1e6:.1f} {clipped / unsplit - 1:.1%}" == "119.2 30.6%"
    assert f"{(whole - unsplit + clipped) / 1e6:.1f} {(clipped - unsplit) / whole:.1%}" == "328.7 9.3%"


def test_peaks_of_mcunet_v2() -> None:
    """1372 KB layer by layer and 171.5 KB behind the stage, a depthwise convolution writing over its input."""

    def held(layer: Layer) -> int:
        ends = (layer.input_bytes, layer.output_bytes)
        return max(ends) if layer.kind == "DEPTHWISE_CONV_2D" else sum(ends)

    assert max(map(held, NETWORK)) / 1024 == 1372
    assert max(map(held, NETWORK[len(STAGE) :])) / 1024 == 171.5


def _last_sides(block: list[Layer], side: int) -> list[int]:
    """Of a tile of `side` rows at the block's lower end, the rows that each layer reads by msf-CNN's own program.

    It adds the padding to a tile where the tile's place, in steps of all strides so far, plus its side reach the map's
    end: there a layer may get a row more than it needs. Its buffers have the sides of the tile that ran last.
    """
    step = math.prod(layer.stride for layer in block)
    place = (block[0].extent - side) // step * step
    sides, stride = [], 1
    for layer in block:
        sides.append(side)
        stride *= layer.stride
        padding = layer.pad * ((place // stride == 0) + (place // stride + side >= layer.extent))
        side = (side - layer.kernel + padding) // layer.stride + 1
    return sides


def _fusion_edge(layers: list[Layer], first: int, end: int) -> Edge[None] | None:
    """A fusion block of msf-CNN (arXiv 2505.11483): one output pixel a step, columns kept, rows recomputed."""
    block = layers[first:end]
    ends = (first > 0) * block[0].input_bytes + (end < len(layers)) * block[-1].output_bytes
    if len(block) == 1:
        return Edge.of(first, end, np.array([ends]), np.array([block[0].macs]), [None])
    sides = tile_sides(block, 1)[:-1]
    if any(side > layer.extent for side, layer in zip(sides, block, strict=True)):
        return None
    kept = macs = 0
    step = math.prod(layer.stride for layer in block)
    for side, last_side, layer in zip(sides, _last_sides(block, sides[0]), block, strict=True):
        kept += layer.kernel * last_side * layer.inputs
        rows_a_step = (side - layer.kernel) // layer.stride + 1
        num_steps = (layer.extent + 2 * layer.pad - side) // step + 1
        macs += num_steps * rows_a_step * layer.output_extent * layer.pixel_macs
        step //= layer.stride
    return Edge.of(first, end, np.array([ends + kept]), np.array([macs]), [None])


@pytest.fixture(scope="module")
def fusion() -> PathSearch:
    layers = mobilenet_v2(0.35, 144, features=448, expands_first=True)
    edges = [
        edge
        for first in range(len(layers))
        for end in range(first + 1, min(first + 24, len(layers)) + 1)
        if (edge := _fusion_edge(layers, first, end))
    ]
    return PathSearch(edges)


def _smallest(search: PathSearch, max_macs: float) -> tuple[int, float, list[int]]:
    """(bytes, MACs, where the blocks begin)"""
    bound = int(np.flatnonzero(search.work <= max_macs)[0])
    return int(search.bounds[bound]), int(search.work[bound]), [edge.first for edge, _ in search.path(bound)]


def test_fusion_blocks_of_msf_cnn(fusion) -> None:
    """Its row of MobileNetV2(0.35, 144): 194,400 bytes unsplit, 21,288 at F = 1.30 and 7,887 at F = 1.68.

    Partition, MACs, F and bytes are the published ones.
    """
    layers = mobilenet_v2(0.35, 144, features=448, expands_first=True)
    vanilla = sum(layer.macs for layer in layers)
    assert f"{vanilla / 1e6:.1f}" == "18.9"
    assert max(layer.input_bytes + layer.output_bytes for layer in layers[1:-1]) == 194_400
    num_bytes, macs, _ = _smallest(fusion, 1.3 * vanilla)
    assert (num_bytes, f"{macs / vanilla:.2f}") == (21_288, "1.30")
    num_bytes, macs, starts = _smallest(fusion, fusion.unreached - 1)
    assert (num_bytes, f"{macs / vanilla:.2f}") == (7_887, "1.68")
    assert starts == [0, 13, 16, *range(22, 50, 3)]
