"""What others published about patches of MobileNetV2, by our arithmetic under their conventions."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.support import shared_data
from tests.support.mobilenet_v2 import Layer, geometry, mobilenet_v2, tile_sides
from tflm_quantmcu.graph.types import ModelGraph
from tflm_quantmcu.patches.stage_path import Edge, PathSearch
from tflm_quantmcu.stage import tiles
from tflm_quantmcu.tflite.reader import read_model

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
    """The rows that each layer reads, by msf-CNN's own program, of a tile of `side` rows at the block's lower end."""
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


def _fusion(layers: list[Layer]) -> PathSearch:
    edges = [
        edge
        for first in range(len(layers))
        for end in range(first + 1, min(first + 24, len(layers)) + 1)
        if (edge := _fusion_edge(layers, first, end))
    ]
    return PathSearch(edges)


def _smallest(search: PathSearch, max_macs: float) -> tuple[int, float, list[int]]:
    """(bytes, MACs, where the blocks begin)"""
    num_bytes = next(bound for bound in search.bounds.tolist() if search.work(bound) <= max_macs)
    return num_bytes, int(search.work(num_bytes)), [edge.first for edge, _ in search.path(num_bytes)]


def test_fusion_blocks_of_msf_cnn() -> None:
    """Its row of MobileNetV2(0.35, 144): 194,400 bytes unsplit, 21,288 at F = 1.30 and 7,887 at F = 1.68.

    Partition, MACs, F and bytes are the published ones.
    """
    layers = mobilenet_v2(0.35, 144, features=448, expands_first=True)
    fusion = _fusion(layers)
    vanilla = sum(layer.macs for layer in layers)
    assert f"{vanilla / 1e6:.1f}" == "18.9"
    assert max(layer.input_bytes + layer.output_bytes for layer in layers[1:-1]) == 194_400
    num_bytes, macs, _ = _smallest(fusion, 1.3 * vanilla)
    assert (num_bytes, f"{macs / vanilla:.2f}") == (21_288, "1.30")
    num_bytes, macs, starts = _smallest(fusion, fusion.unreached - 1)
    assert (num_bytes, f"{macs / vanilla:.2f}") == (7_887, "1.68")
    assert starts == [0, 13, 16, *range(22, 50, 3)]


def _layers_of(graph: ModelGraph) -> list[Layer]:
    """The convolutions of a chain of square maps, whose pads are kernel / 2 whether a PAD stands before them or not."""
    layers = []
    for op in graph.ops:
        if op.kind in ("CONV_2D", "DEPTHWISE_CONV_2D"):
            assert op.window is not None
            source, output = (graph.tensors[t].shape for t in (op.inputs[0], op.outputs[0]))
            padded = graph.producer.get(op.inputs[0])
            extent = graph.tensors[padded.inputs[0]].shape[1] if padded and padded.kind == "PAD" else source[1]
            kernel, stride = op.window.kernel_height, op.window.stride_height
            layers.append(Layer(op.kind, kernel, stride, source[3], output[3], extent))
    return layers


@pytest.mark.parametrize(
    ("bound", "num_bytes", "ratio"),
    [(1.1, 32_792, "1.04"), (1.2, 26_128, "1.11"), (1.3, 17_760, "1.30"), (1.4, 13_376, "1.35"), (9, 12_000, "1.96")],
)
def test_fusion_blocks_of_msf_cnn_on_visual_wake_words(bound: float, num_bytes: int, ratio: str) -> None:
    """Its rows of MCUNetV2-VWW-5fps at 80x80, 96,000 bytes unsplit."""
    layers = _layers_of(read_model(shared_data.model("mcunet_vww80")))
    vanilla = sum(layer.macs for layer in layers)
    assert max(layer.input_bytes + layer.output_bytes for layer in layers[1:-1]) == 96_000
    found, macs, _ = _smallest(_fusion(layers), bound * vanilla)
    assert (found, f"{macs / vanilla:.2f}") == (num_bytes, ratio)
