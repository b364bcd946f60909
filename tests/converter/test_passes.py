"""Each pass on a small model, as text before and after."""

from __future__ import annotations

import re
from collections.abc import Callable

import numpy as np
import pytest

from tests.support.edit_model import edited
from tests.support.tiny_models import TinyModel
from tflm_quantmcu.base.errors import UnsupportedModelError, UsageError
from tflm_quantmcu.converter.passes.fuse_stages import fuse_stages
from tflm_quantmcu.converter.passes.insert_requantize import insert_requantize
from tflm_quantmcu.converter.passes.prune_unused import prune_unused
from tflm_quantmcu.converter.passes.quantize_ops import quantize_ops
from tflm_quantmcu.converter.rewrite import Rewrite
from tflm_quantmcu.graph.precision_plan import PatchClass, PrecisionPlan, StagePlan
from tflm_quantmcu.graph.types import Format
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.reader import graph_of, load_model_t, read_model
from tflm_quantmcu.tflite.view import view_graph

FOUR, TWO = Format(4, 0.5, 0), Format(2, 0.5, 0)


def classifier() -> bytes:
    net = TinyModel()
    x = net.input((1, 8, 8, 3))
    x = net.conv2d(x, np.ones((4, 3, 3, 3), np.int8), np.ones(4), activation="RELU")
    x = net.add(x, net.conv2d(x, np.ones((4, 1, 1, 4), np.int8)))
    x = net.reshape(net.average_pool2d(x, (8, 8)), (1, 4))
    return net.build(net.softmax(net.fully_connected(x, np.ones((5, 4), np.int8), np.ones(5))))


CLASSIFIER = """\
input  T0 'map0' int8[1,8,8,3]
0   CONV_2D(T0, T1 int8[4,3,3,3], T2 int32[4]) -> T3 'map3' int8[1,8,8,4]  3x3 stride 1x1 pad 1,1 RELU
1   CONV_2D(T3, T4 int8[4,1,1,4]) -> T5 'map5' int8[1,8,8,4]  1x1 stride 1x1
2   ADD(T3, T5) -> T6 'map6' int8[1,8,8,4]
3   AVERAGE_POOL_2D(T6) -> T7 'map7' int8[1,1,1,4]  8x8 stride 1x1
4   RESHAPE(T7, T8 int32[2]) -> T9 'map9' int8[1,4]
5   FULLY_CONNECTED(T9, T10 int8[5,4], T11 int32[5]) -> T12 'map12' int8[1,5]
6   SOFTMAX(T12) -> T13 'map13' int8[1,5]
output T13"""


def stage(source: str, target: str, *, rows: int = 2, cols: int = 2, tile: int = 4) -> StagePlan:
    return StagePlan(source, target, tile, tile, ((0,) * cols,) * rows, (PatchClass("outlier", {}),))


def after(model: bytes, *passes: Callable[[Rewrite], None], **plan) -> str:
    """The listing after these passes; prune_unused puts their operators into the model."""
    tree = load_model_t(model)
    graph = graph_of(tree, "")
    rewrite = Rewrite(tree, graph, PrecisionPlan("", {}, **plan), strip_metadata=False)
    for rewrite_pass in (*passes, prune_unused):
        rewrite_pass(rewrite)
    return view_graph(graph_of(tree, ""))


def ops(listing: str) -> str:
    """The ops' lines only."""
    return "\n".join(line for line in listing.splitlines() if line[0].isdigit())


def test_the_model_before():
    assert view_graph(read_model(classifier())) == CLASSIFIER


def test_fuse_stages_puts_one_op_where_the_last_one_was():
    assert (
        after(classifier(), fuse_stages, stages=(stage("map0", "map6"),))
        == """\
input  T0 'map0' int8[1,8,8,3]
0   QMCU_PATCH_STAGE(T0, T9 int8[124], T10 int32[149]) -> T1 'map6' int8[1,8,8,4]  \
3 ops, tiles 4x4, 1 classes, recompute
1   AVERAGE_POOL_2D(T1) -> T2 'map7' int8[1,1,1,4]  8x8 stride 1x1
2   RESHAPE(T2, T3 int32[2]) -> T4 'map9' int8[1,4]
3   FULLY_CONNECTED(T4, T5 int8[5,4], T6 int32[5]) -> T7 'map12' int8[1,5]
4   SOFTMAX(T7) -> T8 'map13' int8[1,5]
output T8"""
    )


def test_fuse_stages_makes_several_stages():
    stages = (stage("map3", "map6"), stage("map0", "map3"))
    kinds = re.findall(r"(\w+)\(", ops(after(classifier(), fuse_stages, stages=stages)))
    assert kinds[:3] == ["QMCU_PATCH_STAGE", "QMCU_PATCH_STAGE", "AVERAGE_POOL_2D"]


def test_fuse_stages_needs_no_filters():
    net = TinyModel()
    model = net.build(net.max_pool2d(net.input((1, 8, 8, 3)), (2, 2), stride=(2, 2)))
    listing = after(model, fuse_stages, stages=(stage("map0", "map1", tile=2),))
    assert "QMCU_PATCH_STAGE(T0, T2 int8[4], T3 int32" in listing


def test_fuse_stages_refuses_overlapping_stages():
    stages = (stage("map0", "map6"), stage("map6", "map7", rows=1, cols=1, tile=1), stage("map0", "map3"))
    sentence = "CONV_2D (op 0) is in two stages of the plan, up to 'map6' and up to 'map3'"
    with pytest.raises(UsageError, match=re.escape(sentence)):
        after(classifier(), fuse_stages, stages=stages)


def test_quantize_ops_lowers_what_touches_a_narrow_map():
    listing = after(classifier(), quantize_ops, insert_requantize, formats={"map3": FOUR})
    assert (
        ops(listing)
        == """\
0   QMCU_CONV_2D(T0, T11 int8[4,3,3,3], T12 int32[12]) -> T1 'map3' int8[1,8,8,2]  a8w8->a4
1   QMCU_CONV_2D(T1, T13 int8[4,1,1,4], T14 int32[12]) -> T2 'map5' int8[1,8,8,4]  a4w8->a8
2   QMCU_ADD(T1, T2) -> T3 'map6' int8[1,8,8,4]  a4+a8->a8
3   AVERAGE_POOL_2D(T3) -> T4 'map7' int8[1,1,1,4]  8x8 stride 1x1
4   RESHAPE(T4, T5 int32[2]) -> T6 'map9' int8[1,4]
5   FULLY_CONNECTED(T6, T7 int8[5,4], T8 int32[5]) -> T9 'map12' int8[1,5]
6   SOFTMAX(T9) -> T10 'map13' int8[1,5]"""
    )


def test_quantize_ops_lowers_narrow_weights():
    listing = after(classifier(), quantize_ops, weight_bits={"constant4": 2, "constant10": 4})
    assert (
        ops(listing)
        == """\
0   CONV_2D(T0, T1 int8[4,3,3,3], T2 int32[4]) -> T3 'map3' int8[1,8,8,4]  3x3 stride 1x1 pad 1,1 RELU
1   QMCU_CONV_2D(T3, T11 int8[4,1,1,1], T12 int32[12]) -> T4 'map5' int8[1,8,8,4]  a8w2->a8
2   ADD(T3, T4) -> T5 'map6' int8[1,8,8,4]
3   AVERAGE_POOL_2D(T5) -> T6 'map7' int8[1,1,1,4]  8x8 stride 1x1
4   RESHAPE(T6, T7 int32[2]) -> T8 'map9' int8[1,4]
5   QMCU_FULLY_CONNECTED(T8, T13 int8[5,2], T14 int32[15]) -> T9 'map12' int8[1,5]  a8w4->a8
6   SOFTMAX(T9) -> T10 'map13' int8[1,5]"""
    )


def test_quantize_ops_leaves_the_ops_of_stages_alone():
    listing = after(
        classifier(),
        fuse_stages,
        quantize_ops,
        insert_requantize,
        stages=(stage("map0", "map6"),),
        formats={"map3": TWO, "map6": FOUR},
    )
    assert ops(listing).splitlines()[:2] == [
        "0   QMCU_PATCH_STAGE(T0, T9 int8[124], T10 int32[149]) -> T1 'map6' int8[1,8,8,2]  "
        "3 ops, tiles 4x4, 1 classes, recompute",
        "1   QMCU_AVERAGE_POOL_2D(T1) -> T2 'map7' int8[1,1,1,4]  a4->a8",
    ]


def test_quantize_ops_refuses_to_flatten_runs_with_gaps():
    net = TinyModel()
    x = net.relu(net.input((1, 2, 2, 3)))
    model = net.build(net.fully_connected(x, np.ones((5, 12), np.int8)))
    sentence = "FULLY_CONNECTED (op 1) flattens 'map1' of 3 channels, whose 4-bit runs have gaps"
    with pytest.raises(UnsupportedModelError, match=re.escape(sentence)):
        after(model, quantize_ops, formats={"map1": FOUR})
    assert "a8w8->a4" in after(model, quantize_ops, insert_requantize, formats={"map3": FOUR})


def test_insert_requantize_at_both_ends_of_the_model():
    net = TinyModel()
    model = net.build(net.relu(net.input((1, 4, 4, 3))))
    assert (
        after(model, quantize_ops, insert_requantize, formats={"map0": FOUR, "map1": TWO})
        == """\
input  T0 'map0' int8[1,4,4,3]
0   QMCU_REQUANTIZE(T0) -> T2 'map0/packed' int8[1,4,4,2]  a8->a4
1   QMCU_REQUANTIZE(T2) -> T3 'map1/packed' int8[1,4,4,1]  a4->a2
2   QMCU_REQUANTIZE(T3) -> T1 'map1' int8[1,4,4,3]  a2->a8
output T1"""
    )


def test_insert_requantize_around_stock_ops():
    formats = {"map12": TWO, "map9": FOUR}
    assert ops(after(classifier(), quantize_ops, insert_requantize, formats=formats)).splitlines()[4:] == [
        "4   RESHAPE(T7, T8 int32[2]) -> T9 'map9' int8[1,4]",
        "5   QMCU_REQUANTIZE(T9) -> T14 'map9/packed' int8[1,2]  a8->a4",
        "6   QMCU_FULLY_CONNECTED(T14, T12 int8[5,4], T13 int32[15]) -> T15 'map12/packed' int8[1,2]  a4w8->a2",
        "7   QMCU_REQUANTIZE(T15) -> T10 'map12' int8[1,5]  a2->a8",
        "8   SOFTMAX(T10) -> T11 'map13' int8[1,5]",
    ]


def test_insert_requantize_once_for_all_stock_readers():
    net = TinyModel()
    x = net.relu(net.input((1, 4, 4, 2)))
    model = net.build(net.softmax(x), net.softmax(x), net.relu(x))
    assert (
        ops(after(model, quantize_ops, insert_requantize, formats={"map1": FOUR}))
        == """\
0   QMCU_REQUANTIZE(T0) -> T5 'map1/packed' int8[1,4,4,1]  a8->a4
1   QMCU_REQUANTIZE(T5) -> T1 'map1' int8[1,4,4,2]  a4->a8
2   SOFTMAX(T1) -> T2 'map2' int8[1,4,4,2]
3   SOFTMAX(T1) -> T3 'map3' int8[1,4,4,2]
4   QMCU_REQUANTIZE(T5) -> T4 'map4' int8[1,4,4,2]  a4->a8"""
    )


def test_insert_requantize_leaves_reshapes_of_one_format_packed():
    formats = {"map7": TWO, "map9": TWO}
    assert ops(after(classifier(), quantize_ops, insert_requantize, formats=formats)).splitlines()[3:6] == [
        "3   QMCU_AVERAGE_POOL_2D(T6) -> T7 'map7' int8[1,1,1,1]  a8->a2",
        "4   RESHAPE(T7, T13 int32[2]) -> T8 'map9' int8[1,1]",
        "5   QMCU_FULLY_CONNECTED(T8, T11 int8[5,4], T12 int32[15]) -> T9 'map12' int8[1,5]  a2w8->a8",
    ]


def flatten(channels: int) -> bytes:
    net = TinyModel()
    x = net.relu(net.input((1, 2, 2, channels)))
    x = net.reshape(x, (1, 4 * channels))
    return net.build(net.fully_connected(x, np.ones((3, 4 * channels), np.int8)))


def test_insert_requantize_flattens_runs_without_gaps_only():
    formats = {"map1": FOUR, "map3": FOUR}
    without = ops(after(flatten(2), quantize_ops, insert_requantize, formats=formats))
    assert re.findall(r"(\w+)\(", without) == ["QMCU_REQUANTIZE", "RESHAPE", "QMCU_FULLY_CONNECTED"]
    gaps = ops(after(flatten(3), quantize_ops, insert_requantize, formats=formats))
    assert re.findall(r"(\w+)\(.* (\w+)->(\w+)", gaps) == [
        ("QMCU_REQUANTIZE", "a8", "a4"),
        ("QMCU_REQUANTIZE", "a4", "a8"),
        ("QMCU_REQUANTIZE", "a8", "a4"),
        ("QMCU_FULLY_CONNECTED", "a4w8", "a8"),
    ]


def test_insert_requantize_refuses_other_ranks():
    net = TinyModel()
    x = net.fully_connected(net.input((1, 6)), np.ones((4, 6), np.int8))
    model = net.build(net.softmax(x))

    def rank_three(tree: schema.ModelT) -> None:
        for tensor in tree.subgraphs[0].tensors[2:]:
            tensor.shape = np.array([1, 1, 4], np.int32)

    sentence = "'map2' of shape [1, 1, 4] meets an op that has no QMCU_ kernel; a change of format is supported on"
    with pytest.raises(UnsupportedModelError, match=re.escape(sentence)):
        after(edited(model, rank_three), quantize_ops, insert_requantize, formats={"map2": FOUR})


def test_a_format_between_stock_ops_has_no_effect():
    net = TinyModel()
    model = net.build(net.softmax(net.softmax(net.input((1, 4)))))
    listing = after(model, quantize_ops, insert_requantize, formats={"map1": FOUR})
    assert listing == view_graph(read_model(model))


def test_prune_unused_drops_and_renumbers_and_keeps_signatures():
    model = classifier()

    def clutter(tree: schema.ModelT) -> None:
        graph = tree.subgraphs[0]
        tree.buffers.insert(1, schema.BufferT(data=np.arange(9, dtype=np.uint8)))
        for tensor in graph.tensors:
            tensor.buffer += int(tensor.buffer > 0)
        graph.tensors.insert(0, schema.TensorT(shape=[1, 99], type=schema.TensorType.INT8, name="unused"))
        for holder in (graph, *graph.operators):
            holder.inputs = [int(t) + 1 if t >= 0 else -1 for t in holder.inputs]
            holder.outputs = [int(t) + 1 for t in holder.outputs]
        tree.operatorCodes.insert(0, schema.OperatorCodeT(builtinCode=5, deprecatedBuiltinCode=5))
        for operator in graph.operators:
            operator.opcodeIndex += 1
        tree.signatureDefs = [
            schema.SignatureDefT(
                inputs=[schema.TensorMapT(name="x", tensorIndex=1)],
                outputs=[schema.TensorMapT(name="y", tensorIndex=14)],
                signatureKey="serving_default",
            )
        ]

    tree = load_model_t(edited(model, clutter))
    rewrite = Rewrite(tree, graph_of(tree, ""), PrecisionPlan("", {}), strip_metadata=False)
    prune_unused(rewrite)
    assert view_graph(graph_of(tree, "")) == CLASSIFIER
    assert len(tree.operatorCodes) == len({o.opcodeIndex for o in tree.subgraphs[0].operators})
    assert len(tree.buffers) == 1 + sum(t.is_constant for t in read_model(model).tensors)
    (signature,) = tree.signatureDefs
    assert (signature.inputs[0].tensorIndex, signature.outputs[0].tensorIndex) == (0, 13)


def activations() -> bytes:
    net = TinyModel()
    x = net.input((1, 8, 8, 3))
    y = net.silu(net.conv2d(x, np.ones((4, 3, 3, 3), np.int8)), scale=0.04, zero_point=-100)
    y = net.hard_swish(net.conv2d(y, np.ones((4, 1, 1, 4), np.int8)), scale=0.04, zero_point=-100)
    return net.build(net.logistic(y))


def test_quantize_ops_makes_one_table_of_a_silu_and_leaves_other_activations_stock():
    assert (
        ops(after(activations(), quantize_ops))
        == """\
0   CONV_2D(T0, T1 int8[4,3,3,3]) -> T2 'map2' int8[1,8,8,4]  3x3 stride 1x1 pad 1,1
1   QMCU_LUT(T2, T8 int8[256]) -> T3 'map4' int8[1,8,8,4]  a8->a8
2   CONV_2D(T3, T4 int8[4,1,1,4]) -> T5 'map6' int8[1,8,8,4]  1x1 stride 1x1
3   HARD_SWISH(T5) -> T6 'map7' int8[1,8,8,4]
4   LOGISTIC(T6) -> T7 'map8' int8[1,8,8,4]"""
    )


def test_quantize_ops_looks_up_what_touches_a_narrow_map():
    listing = after(activations(), quantize_ops, insert_requantize, formats={"map7": TWO})
    assert (
        "\n".join(ops(listing).splitlines()[3:])
        == """\
3   QMCU_LUT(T5, T9 int8[256]) -> T6 'map7' int8[1,8,8,1]  a8->a2
4   QMCU_LUT(T6, T10 int8[4]) -> T7 'map8' int8[1,8,8,4]  a2->a8"""
    )


def test_fuse_stages_runs_a_silu_as_one_op_and_refuses_half_of_it():
    listing = after(activations(), fuse_stages, stages=(stage("map0", "map8"),))
    assert "QMCU_PATCH_STAGE(T0, T2 int8[124], T3 int32" in listing and "5 ops, tiles 4x4" in listing
    with pytest.raises(UnsupportedModelError, match=r"a stage ends inside x \* LOGISTIC\(x\), at 'map3'"):
        after(activations(), fuse_stages, stages=(stage("map2", "map3"),))
