"""Stages of several inputs as the planner finds them: they take what their model takes, and less than without."""

from __future__ import annotations

import numpy as np

from tests.support.edit_model import StockModel
from tflm_quantmcu.arena.predict import predict_arena
from tflm_quantmcu.converter.convert import convert_model
from tflm_quantmcu.converter.verify import verify_conversion
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.graph.target import KERNEL_VARIANTS
from tflm_quantmcu.patches.planner import plan_stages
from tflm_quantmcu.runtime.samples import random_inputs
from tflm_quantmcu.tflite.model_file import ModelFile
from tflm_quantmcu.tflite.reader import read_model


def test_a_decoder_is_a_stage_that_reads_skip_maps():
    net, rng = StockModel(), np.random.default_rng(3)

    def conv(x, outputs):
        filter = rng.integers(-127, 128, (outputs, 3, 3, x.shape[3]), dtype=np.int8)
        return net.conv2d(x, filter, scale=0.1)

    skip = conv(net.input((1, 32, 32, 3)), 4)
    deep = conv(net.relu6(net.max_pool2d(skip, (16, 16), stride=(16, 16))), 4)
    deep = net.softmax(deep)  # no stage holds it
    up = net.quantize(net.resize_nearest(deep, (32, 32)), scale=skip.scale, zero_point=skip.zero_point)
    x = conv(conv(net.concatenation([skip, up], 3), 24), 2)
    graph = read_model(net.build(x))
    narrow, wide = (plan_stages(graph, max_slowdown=4.0, max_inputs=n).best for n in (1, 8))
    assert wide is not None and max(len(stage.inputs) for stage in wide.stages) > 1
    assert wide.arena_bytes < (narrow.arena_bytes if narrow else 1 << 30)
    plan = PrecisionPlan(graph.sha256, {}, stages=wide.plans(graph))
    model = ModelFile(net.build(x))
    converted = convert_model(model, plan)
    samples = random_inputs(graph.input_tensors, 2, seed=1)
    assert verify_conversion(model, converted, plan, samples).is_same_function
    found = ModelFile(converted).graph
    assert max(predict_arena(found, variant) for variant in KERNEL_VARIANTS) <= wide.arena_bytes
