"""No model ends the process that runs it: what TFLM aborts on ends a child, and is refused."""

from __future__ import annotations

import os
import signal

import pytest

from tests.support.edit_model import with_tensor
from tests.support.stock_op_models import STOCK_OP_MODELS
from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.runtime import rehearsal
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.tflite import schema


@pytest.mark.parametrize("name", [signal.SIGABRT, signal.SIGFPE, signal.SIGSEGV, signal.SIGKILL])
def test_the_signal_is_named(name):
    with pytest.raises(UnsupportedModelError, match=rf"TFLM ends the process \({name.name}\)"):
        rehearsal.rehearse(f"a model for {name}".encode(), "nothing", lambda: os.kill(os.getpid(), name))


def test_a_model_is_tried_once_and_what_it_raises_is_met_again(tmp_path):
    def work() -> None:
        with open(tmp_path / "calls", "a") as file:
            file.write("x")
        raise ValueError

    for _ in range(3):
        rehearsal.rehearse(b"raises", "nothing", work)
    assert (tmp_path / "calls").read_text() == "x"


def test_comparisons_without_scales_are_refused_and_this_process_goes_on():
    bare = schema.QuantizationParametersT(scale=[], zeroPoint=[])
    with pytest.raises(UnsupportedModelError, match="TFLM ends the process|TFLM cannot prepare"):
        Interpreter(with_tensor(STOCK_OP_MODELS["GREATER"](), 1, quantization=bare))
