"""The smallest arena is found, and it is the smallest, though TFLM ends the process in some that are smaller."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest

from tests.support import networks
from tests.support.plans import split
from tests.support.shared_data import path_of
from tests.support.streamed import streamed_plan
from tests.support.tiny_models import TinyModel
from tflm_quantmcu.base.errors import UnsupportedModelError, UsageError
from tflm_quantmcu.converter.convert import convert_model
from tflm_quantmcu.native.least_arena import least_arena_bytes
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.runtime.samples import random_samples
from tflm_quantmcu.tflite.model_file import ModelFile
from tflm_quantmcu.tflite.reader import read_model

PREPARE = "import sys; from tflm_quantmcu.base.tflm_wheel import interpreter_module as m\n"
PREPARE += "m().Interpreter.from_bytes(sys.stdin.buffer.read(), arena_size=int(sys.argv[1]))"


def many_ops() -> bytes:
    """What is used after small maps is little, and many tensors take much to prepare."""
    net = TinyModel()
    y = net.input((1, 12, 10, 2))
    for _ in range(4):
        y = net.conv2d(net.add(y, y), np.ones((2, 3, 3, 2), np.int8), stride=(1, 2), padding="SAME")
    return net.build(net.softmax(net.fully_connected(net.reshape(y, (1, 24)), np.ones((3, 24), np.int8))))


def prepares(model: bytes, arena_bytes: int) -> bool:
    command = [sys.executable, "-c", PREPARE, str(arena_bytes)]
    return subprocess.run(command, input=model, capture_output=True, check=False).returncode == 0


def converted(plan_of) -> bytes:
    model = networks.inverted_residual(size=12)
    return convert_model(model, plan_of(read_model(model)))


def test_stock_models_prepare_in_it_and_in_no_less():
    model = many_ops()
    least = Interpreter(model).least_arena_bytes()
    assert [prepares(model, least + step) for step in (-32, -16, 0, 16)] == [False, False, True, True]


@pytest.mark.parametrize("plan_of", [split, streamed_plan], ids=["resident", "streamed"])
def test_converted_models_run_in_it(plan_of):
    model = converted(plan_of)
    interpreter = Interpreter(model)
    least = interpreter.least_arena_bytes()
    x = random_samples(interpreter.inputs[0], 2)
    assert np.array_equal(Interpreter(model, arena_bytes=least).run(x), interpreter.run(x))
    with pytest.raises(UsageError, match=f"arena_bytes is {least - 1}; this model uses"):
        Interpreter(model, arena_bytes=least - 1)


def test_no_arena_ends_the_process():
    model = many_ops()
    expected = Interpreter(model).run(np.ones((1, 12, 10, 2), np.int8))
    used, least = Interpreter(model).allocations().total_bytes, Interpreter(model).least_arena_bytes()
    for arena_bytes in range(0, least + 64, 8):
        if arena_bytes < least:
            with pytest.raises(UsageError, match=f"arena_bytes is {arena_bytes}; this model uses {used} on this host"):
                Interpreter(model, arena_bytes=arena_bytes)
        else:
            found = Interpreter(model, arena_bytes=arena_bytes).run(np.ones((1, 12, 10, 2), np.int8))
            assert np.array_equal(found, expected)


def test_a_variant_that_takes_more_scratch_needs_more():
    model = networks.inverted_residual(size=24)
    model = convert_model(model, streamed_plan(read_model(model), tile_height=3, tile_width=5))
    plain, mve = (Interpreter(model, kernel_variant=v) for v in ("reference", "mve"))
    assert mve.allocations().total_bytes > plain.allocations().total_bytes
    assert Interpreter(model, kernel_variant="mve", arena_bytes=mve.least_arena_bytes()).allocations()


def test_a_child_that_fails_is_one_sentence(tmp_path, monkeypatch):
    other = tmp_path / "other.so"
    other.write_bytes(b"no library")
    monkeypatch.setenv("TFLM_QUANTMCU_OPS", str(other))
    with pytest.raises(UnsupportedModelError, match="tried how large an arena .* failed: .* is not the op library"):
        least_arena_bytes(
            ModelFile(many_ops()), used_bytes=1 << 10, sufficient_bytes=1 << 20, registerers=["QuantMcuRegisterOps"]
        )


@pytest.mark.parametrize("arena_bytes", [2624, 2656, 2688, 3008])
def test_the_case_from_outside(arena_bytes):
    with pytest.raises(UsageError, match="to be prepared"):
        Interpreter(path_of("../cases/models/misc4.tflite"), arena_bytes=arena_bytes)
