"""What keeps an arena large is named, with the reason, the bytes and a remedy."""

from __future__ import annotations

import numpy as np

import tflm_quantmcu as qm
from tests.support import networks
from tests.support.edit_model import StockModel
from tests.support.tiny_models import Handle, TinyModel
from tflm_quantmcu import cli
from tflm_quantmcu.app.inspection import describe_why
from tflm_quantmcu.app.peak import peak_of, why_not_smaller
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.reader import read_model


def conv(net: TinyModel, x: Handle, outputs: int) -> Handle:
    weights = np.random.default_rng(0).integers(-127, 128, (outputs, 3, 3, x.shape[3]), dtype=np.int8)
    return net.conv2d(x, weights, scale=0.2, zero_point=-3)


def quantized_front() -> bytes:
    net = TinyModel()
    x = net.quantize(net.input((1, 24, 24, 3), dtype="float32"), scale=0.02, zero_point=-1)
    return net.build(net.mean(conv(net, conv(net, x, 8), 8)))


def transposed() -> bytes:
    net = TinyModel()
    x = conv(net, net.input((1, 16, 16, 2)), 16)
    return net.build(net.mean(net.transpose(x, (0, 2, 1, 3))))


def test_the_peak_is_what_any_plan_needs():
    for model in (quantized_front(), transposed(), networks.inverted_residual()):
        recorded = Interpreter(model).allocations().non_persistent_bytes
        assert 0.8 * recorded < peak_of(read_model(model)).num_bytes <= recorded


def test_a_quantize_in_front_is_told_with_its_bytes():
    result = qm.convert(quantized_front(), search="uniform", progress=False)
    lines = [note for note in result.report.notes if "holds the most, " in note or "would help" in note]
    assert lines[0].startswith("QUANTIZE ") and "6,912 bytes: " in lines[0], lines
    assert "inference_input_type=tf.int8" in lines[1] and "--input streamed" in lines[1]
    assert "bytes less, for " in lines[1]


def test_an_op_outside_of_stages_is_told_with_the_reason():
    graph = read_model(transposed())
    first, reason, remedy = why_not_smaller(graph, graph)
    assert first.startswith("TRANSPOSE ") and "8,192 bytes" in first
    assert reason == "it is outside a patch stage, for TRANSPOSE has no QMCU_ kernel"
    assert "train with channels last" in remedy and "up to " in remedy


def test_where_a_bound_is_met_a_smaller_one_helps():
    graph = read_model(networks.inverted_residual())
    free, bounded = (why_not_smaller(graph, graph, is_bounded=is_bounded)[-1] for is_bounded in (False, True))
    assert "--max_slowdown" in free and "--sram_bytes" not in free
    assert "a smaller --sram_bytes" in bounded and "--max_slowdown" not in bounded


def test_inspect_why_compares_a_streamed_input(tmp_path, capsys):
    path = tmp_path / "front.tflite"
    path.write_bytes(quantized_front())
    cli.run(["inspect", "--model", str(path), "--why"])
    shown = capsys.readouterr().out
    assert "QUANTIZE" in shown and "--input streamed: " in shown
    converted = qm.convert(path, search="uniform", input="streamed", progress=False)
    found = converted.report.converted.on_target
    target = converted.report.target
    assert f"--input streamed: {found.nonpersistent_bytes:,} bytes" in describe_why(quantized_front(), target)
    assert describe_why(converted.model, target).count("holds the most") == 1


def test_maps_of_more_bytes_are_told_how_to_have_one():
    """A float island, and 16 bits; a DEQUANTIZE at the end is another matter."""
    told = {}
    for dtype in ("float32", "int16", "end"):
        net = StockModel()
        x = conv(net, net.input((1, 16, 16, 2)), 8)
        if dtype == "int16":
            x = net.quantize(x, scale=1e-3, zero_point=0, dtype=dtype)
            x = net.stock("ADD", [x, x], schema.AddOptionsT(), x.shape, scale=2e-3, dtype=dtype)
        else:
            x = net.dequantize(x)
        if dtype == "float32":
            x = net.quantize(net.stock("COS", [x], None, x.shape, dtype=dtype), scale=0.01, zero_point=0)
        graph = read_model(net.build(x))
        told[dtype] = why_not_smaller(graph, graph)[-1]
    assert "left in float32" in told["float32"]
    assert "let maps have 8 bits" in told["int16"]
    assert "inference_output_type=tf.int8" in told["end"]
