"""Written files: aligned, the same every time, and nothing lost."""

from __future__ import annotations

import pytest

from tests.support import networks, shared_data
from tests.support.edit_model import with_metadata
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.metadata import read_metadata
from tflm_quantmcu.tflite.reader import load_model_t, read_model
from tflm_quantmcu.tflite.view import view_graph
from tflm_quantmcu.tflite.writer import write_model


def buffer_offsets(model: bytes) -> list[int]:
    """Byte positions of the constants."""
    root = schema.Model.GetRootAs(model)
    buffers = [root.Buffers(i) for i in range(root.BuffersLength())]
    return [b._tab.Vector(b._tab.Offset(4)) for b in buffers if b.DataLength()]


def test_constants_are_aligned():
    # The odd one out shifts all that the packer puts after it.
    model = with_metadata(networks.inverted_residual(), {"odd": b"123"})
    offsets = buffer_offsets(write_model(load_model_t(model)))
    assert len(offsets) > 10
    assert {offset % 16 for offset in offsets} == {0}


@pytest.mark.parametrize("name", shared_data.CONVOLUTIONAL)
def test_real_models_survive(name):
    model = shared_data.model(name)
    written = write_model(load_model_t(model))
    assert {offset % 16 for offset in buffer_offsets(written)} == {0}
    assert view_graph(read_model(written)) == view_graph(read_model(model))


def test_the_same_tree_gives_the_same_bytes():
    model = with_metadata(networks.inverted_residual(), {"note": b"hello"})
    written = write_model(load_model_t(model))
    assert write_model(load_model_t(model)) == written
    assert write_model(load_model_t(written)) == written
    assert read_metadata(load_model_t(written), "note") == b"hello"
