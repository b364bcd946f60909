"""What two `.tflite` files differ in: the tensor is named, equal networks have no difference."""

from __future__ import annotations

import numpy as np

from tests.support.networks import inverted_residual
from tflm_quantmcu.tflite.model_file import ModelFile
from tflm_quantmcu.tflite.writer import write_model
from tools.tflite_difference import beside, differences


def test_a_file_has_no_difference_from_itself() -> None:
    model = ModelFile(inverted_residual())
    assert differences(model, model) == [] == beside(model, model)


def test_a_scale_and_a_weight_are_named_with_how_far() -> None:
    model = ModelFile(inverted_residual())
    tree = model.copied_tree()
    op = model.graph.ops[1]
    weights, output = model.graph.tensors[op.inputs[1]], model.graph.tensors[op.outputs[0]]
    scale = np.float32(output.scales[0])
    tree.subgraphs[0].tensors[output.index].quantization.scale = [np.nextafter(scale, np.float32(1))]
    buffer = tree.buffers[tree.subgraphs[0].tensors[weights.index].buffer]
    data = np.array(buffer.data, np.uint8)
    data[0] ^= 1
    buffer.data = data
    found = differences(model, ModelFile(write_model(tree)))
    assert len(found) == 2
    assert found[0].startswith(f"op 1, {op.kind}, '{weights.label}': 1 of {weights.num_elements} values differ, by at")
    assert f"'{output.label}': scale" in found[1] and "1 of float32's steps apart" in found[1]


def test_what_is_not_the_network_is_told_apart() -> None:
    model = ModelFile(inverted_residual())
    tree = model.copied_tree()
    tree.description = b"another"
    other = ModelFile(write_model(tree))
    assert differences(model, other) == []
    assert any(line.startswith("description: ") for line in beside(model, other))
