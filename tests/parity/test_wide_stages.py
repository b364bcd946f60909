"""Stages of several inputs: C++ = oracle = the same ops on whole maps, in every byte, of any regions and widths."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from tests.support.kernels import run_stage_on_kernels
from tests.support.property_settings import examples
from tests.support.random_cnn import random_cnns, random_formats, random_stages, wide_regions
from tests.support.tiny_models import TinyModel
from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.graph.precision_plan import PatchClass, StagePlan
from tflm_quantmcu.graph.types import BIT_WIDTHS, Format
from tflm_quantmcu.oracle.run_stage import run_stage
from tflm_quantmcu.stage.build import INPUT_MODES, build_program
from tflm_quantmcu.stage.program import StageProgram
from tflm_quantmcu.tflite.reader import read_model


@st.composite
def wide_programs(draw: st.DrawFn) -> StageProgram:
    """Programs of random networks' runs of ops that read several maps, of any width."""
    graph = read_model(draw(random_cnns()).model)
    regions = wide_regions(graph)
    assume(regions)
    plan = draw(random_stages(graph, bits=BIT_WIDTHS, input_modes=INPUT_MODES, regions=regions))
    weights = [t.name for t in graph.tensors if t.is_constant and t.dtype == "int8"]
    weight_bits = {name: draw(st.sampled_from(BIT_WIDTHS)) for name in weights}
    ends = [graph.by_name[name] for name in (*plan.inputs, plan.output)]
    formats = draw(random_formats(ends, bits=BIT_WIDTHS))
    try:
        return build_program(graph, plan, weight_bits=weight_bits, formats=formats)
    except UnsupportedModelError as error:
        assert "leaves int32" in str(error) or "FULLY_CONNECTED" in str(error) or "RESHAPE" in str(error)
        assume(False)
        raise


def inputs_of(program: StageProgram, seed: int) -> list[np.ndarray]:
    """int8 [2, H, W, C] of each input in its width: noise, and an extreme."""
    rng = np.random.default_rng(seed)
    found = []
    for shape, format in zip(program.shapes[: program.num_inputs], program.formats[0], strict=False):
        half = 1 << (format.bits - 1)
        extreme = np.full(shape, int(rng.choice([-half, half - 1])))
        found.append(np.stack([rng.integers(-half, half, shape), extreme]).astype(np.int8))
    return found


@examples(300)
@given(wide_programs(), st.integers(0, 2**32 - 1))
def test_a_stage_of_several_inputs_equals_the_oracle(program, seed):
    x, *others = inputs_of(program, seed)
    expected = run_stage(program, x, others=others)
    np.testing.assert_array_equal(run_stage_on_kernels(program, x, others), expected)
    again = StageProgram.decode(*program.encode())
    np.testing.assert_array_equal(run_stage(again, x, others=others), expected)


def gated_stage(tile: tuple[int, int], bits: tuple[int, int, int], *, gate_first: bool) -> StageProgram:
    """A convolution, its product with a gate, and another one that reads it beside a skip map; inputs of any width."""
    net, rng = TinyModel(), np.random.default_rng(7)
    x = net.input((1, 7, 9, 5), scale=0.05, zero_point=3)
    gate = net.input((1, 1, 1, 4), scale=1 / 256, zero_point=-128)
    skip = net.input((1, 7, 9, 4), scale=0.05, zero_point=-9)
    y = net.conv2d(x, rng.integers(-127, 128, (4, 3, 3, 5), dtype=np.int8), scale=0.1, zero_point=7)
    y = net.mul(*((gate, y) if gate_first else (y, gate)), scale=0.05, zero_point=-4)
    y = net.add(y, skip, scale=0.1, zero_point=1)
    y = net.conv2d(y, rng.integers(-127, 128, (3, 3, 3, 4), dtype=np.int8), scale=0.2, zero_point=0)
    graph = read_model(net.build(y))
    names = [t.name for t in graph.input_tensors]
    rows, cols = -(-7 // tile[0]), -(-9 // tile[1])
    plan = StagePlan(
        names[0],
        graph.tensors[graph.outputs[0]].name,
        *tile,
        ((0,) * cols,) * rows,
        (PatchClass("outlier", {}),),
        cache_mode="full",
        other_inputs=tuple(names[1:]),
    )
    formats = {n: Format(b, 256 / (1 << b) * 0.05, -1) for n, b in zip(names, bits, strict=True)}
    return build_program(graph, plan, weight_bits={}, formats=formats)


@pytest.mark.parametrize("bits", [(8, 8, 8), (8, 4, 2), (4, 2, 8)])
@pytest.mark.parametrize("gate_first", [False, True])
def test_tiles_with_a_gate_equal_the_whole_map(bits, gate_first):
    whole = gated_stage((7, 9), bits, gate_first=gate_first)
    x, *others = inputs_of(whole, 5)
    expected = run_stage_on_kernels(whole, x, others)
    assert len(np.unique(expected)) > 20
    for tile in ((1, 1), (2, 3), (3, 9), (7, 4)):
        program = gated_stage(tile, bits, gate_first=gate_first)
        np.testing.assert_array_equal(run_stage(program, x, others=others), expected)
        np.testing.assert_array_equal(run_stage_on_kernels(program, x, others), expected)
