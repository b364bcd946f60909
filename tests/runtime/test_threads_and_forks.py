"""Threads, forks and interrupts: every output is right, an interrupt comes out, a forked child starts clean."""

from __future__ import annotations

import os
import sys
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest

from tests.support import networks
from tests.support.streamed import streamed_plan
from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.converter.convert import convert_model
from tflm_quantmcu.native.kernel_scratch import DSP
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.runtime.native_stderr import capture_native_stderr
from tflm_quantmcu.runtime.samples import random_samples
from tflm_quantmcu.tflite.reader import read_model

MODEL = networks.inverted_residual(size=8)
GRAPH = read_model(MODEL)
STREAMED = convert_model(MODEL, streamed_plan(GRAPH, tile_height=3, tile_width=5, cache_mode="rows"))
X = random_samples(GRAPH.tensors[0], 8)
WANTED = Interpreter(MODEL).run(X)
THREADS, RUNS = 8, 200


class Camera:
    """Reads the image that this thread is at, and lets other threads run meanwhile."""

    def __init__(self) -> None:
        self.image = X[0]

    def __call__(self, y: int, x: int, height: int, width: int) -> np.ndarray:
        return self.image[y : y + height, x : x + width]


def on_threads(work: Callable[[int], int]) -> list[int]:
    """Runs work(number) on every thread, all at once, switching often."""
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(THREADS) as pool:
            return list(pool.map(work, range(THREADS)))
    finally:
        sys.setswitchinterval(interval)


def num_wrong(interpreter: Interpreter, number: int) -> int:
    wrong = 0
    for run in range(RUNS):
        i = (number + run) % len(X)
        wrong += not np.array_equal(interpreter.invoke(X[i])[0], WANTED[i : i + 1])
    return wrong


@pytest.mark.parametrize("data", [MODEL, STREAMED], ids=["resident", "streamed"])
def test_threads_may_share_an_interpreter(data):
    interpreter = Interpreter(data)
    assert on_threads(lambda number: num_wrong(interpreter, number)) == [0] * THREADS


@pytest.mark.parametrize("data", [MODEL, STREAMED], ids=["resident", "streamed"])
def test_threads_may_have_an_interpreter_each(data):
    assert on_threads(lambda number: num_wrong(Interpreter(data), number)) == [0] * THREADS


def test_threads_may_have_a_reader_each():
    def work(number: int) -> int:
        camera, wrong = Camera(), 0
        interpreter = Interpreter(STREAMED, input_reader=camera)
        for run in range(RUNS):
            i = (number + run) % len(X)
            camera.image = X[i]
            wrong += not np.array_equal(interpreter.invoke()[0], WANTED[i : i + 1])
        return wrong

    assert on_threads(work) == [0] * THREADS


def test_variants_of_scratch_stay_with_their_interpreters():
    model = networks.inverted_residual(size=24)
    streamed = convert_model(model, streamed_plan(read_model(model), tile_height=3, tile_width=5))

    def arena(variant: str) -> int:
        return Interpreter(streamed, kernel_variant=variant).allocations().non_persistent_bytes

    variants = ["reference", DSP] * (THREADS // 2)
    expected = [arena(variant) for variant in variants]
    assert expected[0] != expected[1]
    for _ in range(5):
        assert on_threads(lambda number: arena(variants[number])) == expected


def test_a_reader_may_run_other_models_and_not_its_own():
    inner = Interpreter(STREAMED)
    seen: list[np.ndarray] = []

    def read(y: int, x: int, height: int, width: int) -> np.ndarray:
        seen.append(inner.invoke(X[1])[0])
        return X[0][y : y + height, x : x + width]

    assert np.array_equal(Interpreter(STREAMED, input_reader=read).invoke()[0], WANTED[:1])
    assert all(np.array_equal(y, WANTED[1:2]) for y in seen) and seen

    own: list[Interpreter] = []
    own.append(Interpreter(STREAMED, input_reader=lambda *_: own[0].invoke()[0]))
    for _ in range(2):
        with pytest.raises(UsageError, match="runs the Interpreter that it reads for"):
            own[0].invoke()


@pytest.mark.parametrize("interrupt", [KeyboardInterrupt, SystemExit, GeneratorExit])
def test_what_interrupts_a_reader_comes_out_of_invoke(interrupt):
    calls: list[int] = []

    def read(*_: int) -> np.ndarray:
        calls.append(1)
        raise interrupt

    interpreter = Interpreter(STREAMED, input_reader=read)
    for _ in range(2):
        calls.clear()
        with pytest.raises(interrupt):
            interpreter.invoke()
        assert len(calls) == 1, "the inference went on"


def test_an_interrupt_outside_of_what_catches_it_comes_out_too(capsys):
    interpreter = Interpreter(STREAMED, input_reader=Camera())

    def trace(frame, event, _):
        if event == "call" and frame.f_code.co_name == "_read":
            raise KeyboardInterrupt  # before the function's first line

    sys.settrace(trace)
    try:
        with pytest.raises(KeyboardInterrupt):
            interpreter.invoke()
    finally:
        sys.settrace(None)
    assert np.array_equal(interpreter.invoke()[0], WANTED[:1])
    assert sys.unraisablehook.__module__ != "tflm_quantmcu.runtime.input_reader"
    assert capsys.readouterr().err == ""


def in_fork(work: Callable[[], bool]) -> int:
    """Runs work in a forked child; its wait status, 0 if it was true."""
    child = os.fork()
    if child == 0:
        status = 1
        try:
            status = 0 if work() else 2
        finally:
            os._exit(status)
    return os.waitpid(child, 0)[1]


def runs_right() -> bool:
    return all(np.array_equal(Interpreter(data).run(X), WANTED) for data in (MODEL, STREAMED))


def test_a_fork_while_another_thread_is_inside_an_inference():
    inside, go_on = threading.Event(), threading.Event()

    def read(y: int, x: int, height: int, width: int) -> np.ndarray:
        inside.set()
        assert go_on.wait(60)
        return X[0][y : y + height, x : x + width]

    reading = Interpreter(STREAMED, input_reader=read)
    shared = Interpreter(STREAMED)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(reading.invoke)
        try:
            assert inside.wait(60)
            go_on_in_child = threading.Event()
            go_on_in_child.set()

            def work() -> bool:
                nonlocal go_on
                go_on = go_on_in_child
                is_right = np.array_equal(reading.invoke()[0], WANTED[:1])  # the very one that was running
                return runs_right() and is_right and np.array_equal(shared.run(X), WANTED)

            assert in_fork(work) == 0
        finally:
            go_on.set()
        assert np.array_equal(running.result()[0], WANTED[:1])
    assert runs_right()


def test_a_forked_child_has_the_standard_error_that_the_process_had(tmp_path):
    inside, go_on = threading.Event(), threading.Event()

    def hold() -> None:
        with capture_native_stderr():
            inside.set()
            assert go_on.wait(60)

    before = os.fstat(2)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(hold)
        try:
            assert inside.wait(60)
            assert os.fstat(2).st_ino != before.st_ino
            assert in_fork(lambda: os.fstat(2).st_ino == before.st_ino) == 0
        finally:
            go_on.set()
        running.result()
    assert os.fstat(2).st_ino == before.st_ino


def test_a_reader_may_fork():
    statuses: list[int] = []

    def read(y: int, x: int, height: int, width: int) -> np.ndarray:
        if not statuses:
            statuses.append(in_fork(runs_right))
        return X[0][y : y + height, x : x + width]

    assert np.array_equal(Interpreter(STREAMED, input_reader=read).invoke()[0], WANTED[:1])
    assert statuses == [0]


def test_forks_while_threads_run():
    stop = threading.Event()
    interpreter = Interpreter(STREAMED)

    def work() -> bool:
        is_right = True
        while not stop.is_set():
            is_right = is_right and np.array_equal(interpreter.run(X), WANTED)
        return is_right

    with ThreadPoolExecutor(3) as pool:
        running = [pool.submit(work) for _ in range(3)]
        try:
            statuses = [in_fork(runs_right) for _ in range(10)]
        finally:
            stop.set()
        assert [r.result() for r in running] == [True] * 3
    assert statuses == [0] * 10
