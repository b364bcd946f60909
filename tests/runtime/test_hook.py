"""runtime.hook: a Python function is told how far an inference is, and may end it."""

from __future__ import annotations

import functools

import numpy as np
import pytest

import tflm_quantmcu as qm
from tests.support.networks import inverted_residual
from tflm_quantmcu.base.errors import InferenceStopped
from tflm_quantmcu.runtime.hook import num_hook_calls
from tflm_quantmcu.runtime.samples import random_samples
from tflm_quantmcu.tflite.reader import read_model


@functools.cache
def converted() -> bytes:
    return qm.convert(inverted_residual(), search="uniform", max_macs_ratio=1.0).model


def samples(count: int) -> np.ndarray:
    return random_samples(read_model(inverted_residual()).input_tensors[0], count)


def test_the_hook_is_told_every_step_and_changes_nothing() -> None:
    told: list[tuple[int, int]] = []
    watched = qm.Interpreter(converted(), hook=lambda *call: told.append(call))
    total = num_hook_calls(read_model(converted())) + 1
    (x,) = samples(1)
    assert np.array_equal(watched.invoke(x)[0], qm.Interpreter(converted()).invoke(x)[0])
    assert told == [(done, total) for done in range(total + 1)] and total > 5
    watched.invoke(x)
    assert len(told) == 2 * (total + 1)


def test_a_stock_model_calls_at_its_begin_and_end() -> None:
    told: list[tuple[int, int]] = []
    qm.Interpreter(inverted_residual(), hook=lambda *call: told.append(call)).invoke(samples(1)[0])
    assert told == [(0, 1), (1, 1)]


@pytest.mark.parametrize("last", [0, 3])
def test_false_ends_the_inference_and_the_next_one_runs(last: int) -> None:
    stops = [True]
    interpreter = qm.Interpreter(converted(), hook=lambda done, _: not (stops[0] and done == last))
    (x,) = samples(1)
    with pytest.raises(InferenceStopped, match=f"the hook stopped the inference at {last} of "):
        interpreter.invoke(x)
    stops[0] = False
    assert np.array_equal(interpreter.invoke(x)[0], qm.Interpreter(converted()).invoke(x)[0])


def test_what_the_hook_raises_is_raised_and_other_interpreters_call_none() -> None:
    def interrupt(done: int, _: int) -> None:
        if done == 2:
            raise KeyboardInterrupt

    interpreter = qm.Interpreter(converted(), hook=interrupt)
    with pytest.raises(KeyboardInterrupt):
        interpreter.invoke(samples(1)[0])
    qm.Interpreter(converted()).invoke(samples(1)[0])


def test_a_bar_shows_how_many_samples_ran(monkeypatch: pytest.MonkeyPatch) -> None:
    shown: list[tuple[str, bool]] = []

    def track(items: np.ndarray, what: str, *, progress: bool) -> np.ndarray:
        shown.append((what, progress))
        return items

    monkeypatch.setattr("tflm_quantmcu.runtime.interpreter.track", track)
    interpreter = qm.Interpreter(inverted_residual())
    assert np.array_equal(interpreter.predict(samples(3), progress=True), interpreter.predict(samples(3)))
    assert shown == [("running", True), ("running", False)]
