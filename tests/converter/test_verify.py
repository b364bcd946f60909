"""The verification finds what is wrong in a converted model and says where."""

from __future__ import annotations

import dataclasses
import re
import zlib

import numpy as np
import pytest

from tests.support import networks
from tests.support.edit_model import edited
from tests.support.plans import front_stage
from tflm_quantmcu.base.errors import UsageError, VerificationError
from tflm_quantmcu.converter.convert import convert_model
from tflm_quantmcu.converter.verify import NUM_RANDOM_SAMPLES, verify_conversion
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.graph.types import Format
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.runtime.samples import random_inputs, random_samples
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.reader import read_model

MODEL = networks.inverted_residual()
GRAPH = read_model(MODEL)
SPLIT = PrecisionPlan(GRAPH.sha256, {}, stages=(front_stage(GRAPH),))
MIXED = dataclasses.replace(SPLIT, formats={SPLIT.stages[0].output: Format(4, 0.4, 0)})
SAMPLES = random_samples(GRAPH.tensors[0], 3, seed=7)


def damaged(converted: bytes, op: int, constant: int) -> bytes:
    """Another value in every byte of one constant of an op."""

    def edit(tree: schema.ModelT) -> None:
        tensor = tree.subgraphs[0].tensors[tree.subgraphs[0].operators[op].inputs[constant]]
        buffer = tree.buffers[tensor.buffer]
        buffer.data = np.asarray(buffer.data) ^ 0x15

    return edited(converted, edit)


def test_eight_bits_equal_stock_tflm():
    result = verify_conversion(MODEL, convert_model(MODEL, SPLIT), SPLIT, SAMPLES)
    assert result.is_same_function
    assert result.num_samples == 3 + NUM_RANDOM_SAMPLES
    assert "outputs equal stock TFLM in every byte on 7 inputs" in result.summary
    assert f"CRC32 of the outputs {result.output_crc32:08x}" in result.summary


def test_without_samples_no_input_is_run_twice():
    result = verify_conversion(MODEL, convert_model(MODEL, SPLIT), SPLIT)
    (x,) = random_inputs([GRAPH.tensors[0]], 2 * NUM_RANDOM_SAMPLES)
    assert len(np.unique(x, axis=0)) == result.num_samples == len(x)
    outputs = Interpreter(MODEL).run(x)
    assert result.output_crc32 == zlib.crc32(outputs.tobytes())
    assert [values.tolist() for values in result.samples] == [x[:NUM_RANDOM_SAMPLES].tolist()]


def test_the_checksum_is_that_of_the_outputs():
    converted = convert_model(MODEL, SPLIT)
    first, again = (verify_conversion(MODEL, converted, SPLIT, SAMPLES) for _ in range(2))
    other = verify_conversion(MODEL, converted, SPLIT, SAMPLES[:2])
    assert first.output_crc32 == again.output_crc32 != other.output_crc32


def test_mixed_widths_equal_the_oracle():
    result = verify_conversion(MODEL, convert_model(MODEL, MIXED), MIXED, SAMPLES)
    assert not result.is_same_function
    assert result.num_maps > 3
    assert f"{result.num_maps} feature maps equal the numpy oracle in every byte" in result.summary


def test_real_inputs_are_quantised():
    real = SAMPLES.astype(np.float32) * 0.05
    converted = convert_model(MODEL, SPLIT)
    found = verify_conversion(MODEL, converted, SPLIT, real)
    assert found == verify_conversion(MODEL, converted, SPLIT, SAMPLES)


@pytest.mark.parametrize("plan", [SPLIT, MIXED], ids=["split", "mixed"])
def test_blames_the_stage_whose_filters_are_wrong(plan):
    converted = damaged(convert_model(MODEL, plan), op=0, constant=1)
    reference = "stock TFLM" if plan is SPLIT else "the numpy oracle"
    sentence = rf"QMCU_PATCH_STAGE '{plan.stages[0].output}' \(op 0\) differs from {reference} on sample \d: \d+ of \d+"
    with pytest.raises(VerificationError, match=sentence):
        verify_conversion(MODEL, converted, plan, SAMPLES)


def test_blames_the_op_behind_the_stage():
    converted = convert_model(MODEL, SPLIT)
    last = next(op for op in read_model(converted).ops if op.kind == "FULLY_CONNECTED")
    sentence = f"FULLY_CONNECTED 'map25' (op {last.index}) differs from stock TFLM on sample 0"
    with pytest.raises(VerificationError, match=re.escape(sentence)):
        verify_conversion(MODEL, damaged(converted, last.index, 1), SPLIT, SAMPLES)


def test_finds_an_arena_that_was_not_predicted(monkeypatch):
    monkeypatch.setattr("tflm_quantmcu.converter.verify.predict_arena", lambda graph, variant, stock: 16)
    with pytest.raises(
        VerificationError,
        match=r"TFLM recorded a .* of [\d,]+ bytes with reference kernels; predicted",
    ):
        verify_conversion(MODEL, convert_model(MODEL, SPLIT), SPLIT, SAMPLES)


def test_refuses_samples_that_do_not_fit():
    with pytest.raises(UsageError, match="shape"):
        verify_conversion(MODEL, convert_model(MODEL, SPLIT), SPLIT, SAMPLES[:, :5])
