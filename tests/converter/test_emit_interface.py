"""What an application may tell an emitted model, through its C functions: a reader, a hook, and how either ends it."""

from __future__ import annotations

import ctypes
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.support import networks
from tests.support.emitted import ROOT, EmittedModel, emit_and_compile
from tests.support.plans import split
from tests.support.streamed import streamed
from tflm_quantmcu.converter.convert import convert_model
from tflm_quantmcu.graph.types import ModelGraph
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.runtime.samples import random_samples
from tflm_quantmcu.stage.custom_ops import PATCH_STAGE, program_of
from tflm_quantmcu.tflite.reader import read_model

MODEL = networks.inverted_residual()
GRAPH = read_model(MODEL)
X = random_samples(GRAPH.input_tensors[0], 1)[0]
OK, READER_FAILED, STOPPED, MORE = 0, 1, 2, 5


class Region(ctypes.Structure):
    """QuantMcuInputRegion."""

    _fields_ = [(name, ctypes.c_int32) for name in ("y", "x", "height", "width", "row_bytes")]
    _fields_ += [("pixels", ctypes.c_void_p)]


class Progress(ctypes.Structure):
    """QuantMcuProgress."""

    _fields_ = [("op", ctypes.c_int32), ("tile", ctypes.c_int32)]


Read = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_void_p, ctypes.POINTER(Region))
HookFn = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_void_p, ctypes.POINTER(Progress))


class Options(ctypes.Structure):
    """QuantMcuInvokeOptions."""

    _fields_ = [("read", Read), ("hook", HookFn), ("context", ctypes.c_void_p)]


def compiled(folder: Path, *, is_streamed: bool) -> tuple[EmittedModel, ModelGraph]:
    plan = split(GRAPH)
    model = convert_model(MODEL, streamed(plan) if is_streamed else plan)
    return emit_and_compile(model, folder), read_model(model)


def invoke(
    emitted: EmittedModel,
    *,
    read: Callable[[Region], bool] | None = None,
    hook: Callable[[int, int], bool] | None = None,
    steps: list[int] | None = None,
) -> tuple[int, np.ndarray]:
    """(status, output); piece by piece where there is a list for what each step returned."""
    memory = np.zeros(emitted.macro("ARENA_BYTES") + 16, np.uint8)
    arena = ctypes.c_void_p(memory.ctypes.data + -memory.ctypes.data % 16)
    options = Options()
    if read:
        options.read = Read(lambda _, region: read(region.contents))
    else:
        emitted.library.model_input.restype = ctypes.c_void_p
        ctypes.memmove(emitted.library.model_input(arena), X.tobytes(), X.nbytes)
    if hook:
        options.hook = HookFn(lambda _, progress: hook(progress.contents.op, progress.contents.tile))
    told = ctypes.byref(options) if read or hook else None
    if steps is None:
        status = emitted.library.model_invoke(arena, told)
    else:
        state = step_state(emitted)
        while not steps or steps[-1] == MORE:
            steps.append(emitted.library.model_step(arena, state, told))
        status = steps[-1]
        assert not any(state[:4]), "the next inference begins anew"
    emitted.library.model_output.restype = ctypes.c_void_p
    dtype, shape = emitted.output_types[0]
    data = ctypes.string_at(emitted.library.model_output(arena), int(np.prod(shape)))
    return status, np.frombuffer(data, dtype).reshape(shape)


def step_state(emitted: EmittedModel) -> ctypes.Array[ctypes.c_int32]:
    """model_step_state, of zeros."""
    (words,) = re.findall(r"int32_t words\[(\d+)\]", (emitted.folder / "model_c.h").read_text())
    return (ctypes.c_int32 * int(words))()


def read_sample(region: Region) -> bool:
    image = X.reshape(GRAPH.input_tensors[0].shape)[0]
    for row in range(region.height):
        pixels = image[region.y + row, region.x : region.x + region.width].tobytes()
        ctypes.memmove(region.pixels + row * region.row_bytes, pixels, len(pixels))
    return True


def expected_calls(graph: ModelGraph) -> list[tuple[int, int]]:
    """(op, tile) in order; each op is announced with tile -1."""
    calls = []
    for op in graph.ops:
        calls.append((op.index, -1))
        if op.kind == PATCH_STAGE:
            calls += [(op.index, tile) for tile in range(sum(1 for _ in program_of(graph, op).visits()))]
    return calls


def test_without_options_it_computes_what_tflm_does(tmp_path: Path) -> None:
    emitted, _ = compiled(tmp_path, is_streamed=False)
    status, output = invoke(emitted)
    assert status == OK
    np.testing.assert_array_equal(output, Interpreter(MODEL).invoke(X)[0])


@pytest.mark.parametrize("is_streamed", [False, True])
def test_a_hook_is_called_before_each_op_and_tile_and_may_stop(is_streamed: bool, tmp_path: Path) -> None:
    emitted, graph = compiled(tmp_path, is_streamed=is_streamed)
    read = read_sample if is_streamed else None
    calls: list[tuple[int, int]] = []

    def hook(op: int, tile: int) -> bool:
        calls.append((op, tile))
        return len(calls) <= last

    expected = expected_calls(graph)
    assert len(expected) > len(graph.ops), "no tiles: the test tells little"
    last = len(expected)
    status, output = invoke(emitted, read=read, hook=hook)
    assert (status, calls) == (OK, expected)
    np.testing.assert_array_equal(output, Interpreter(MODEL).invoke(X)[0])
    for last in range(len(expected)):
        calls.clear()
        assert invoke(emitted, read=read, hook=hook)[0] == STOPPED
        assert calls == expected[: last + 1]


def test_a_reader_that_fails_ends_it_at_once(tmp_path: Path) -> None:
    emitted, _ = compiled(tmp_path, is_streamed=True)
    num_reads = 0

    def read(region: Region) -> bool:
        nonlocal num_reads
        num_reads += 1
        return num_reads <= last and read_sample(region)

    last = 10**6
    status, output = invoke(emitted, read=read)
    assert status == OK
    np.testing.assert_array_equal(output, Interpreter(MODEL).invoke(X)[0])
    for last in range(num_reads):
        num_reads = 0
        assert invoke(emitted, read=read)[0] == READER_FAILED
        assert num_reads == last + 1


@pytest.mark.parametrize("is_streamed", [False, True])
def test_a_step_is_an_op_or_a_tile(is_streamed: bool, tmp_path: Path) -> None:
    emitted, graph = compiled(tmp_path, is_streamed=is_streamed)
    steps: list[int] = []
    status, output = invoke(emitted, read=read_sample if is_streamed else None, steps=steps)
    stages = sum(op.kind == PATCH_STAGE for op in graph.ops)
    assert stages and len(steps) == len(expected_calls(graph)) - stages > len(graph.ops)
    assert status == OK and set(steps[:-1]) == {MORE}
    np.testing.assert_array_equal(output, Interpreter(MODEL).invoke(X)[0])


def test_a_reader_that_fails_ends_the_steps_and_the_next_begins_anew(tmp_path: Path) -> None:
    emitted, _ = compiled(tmp_path, is_streamed=True)
    num_reads = 0

    def read(region: Region) -> bool:
        nonlocal num_reads
        num_reads += 1
        return num_reads <= 3 and read_sample(region)

    steps: list[int] = []
    assert invoke(emitted, read=read, steps=steps)[0] == READER_FAILED
    assert num_reads == 4 and set(steps[:-1]) == {MORE}


@pytest.mark.parametrize("is_streamed", [False, True])
def test_the_c_header_is_c(is_streamed: bool, tmp_path: Path) -> None:
    compiled(tmp_path, is_streamed=is_streamed)
    options = "&options" if is_streamed else "NULL"
    (tmp_path / "application.c").write_text(
        '#include "model_c.h"\n'
        "int32_t Run(uint8_t* arena);\n"
        "int32_t Run(uint8_t* arena) {\n"
        "  const QuantMcuInvokeOptions options = {NULL, NULL, NULL};\n"
        f"  (void)options;\n  model_step_state state = {{{{0}}}};\n"
        f"  while (model_step(arena, &state, {options}) == kQuantMcuMore) {{\n  }}\n"
        f"  return model_invoke(arena, {options}) + model_output(arena)[0];\n}}\n"
    )
    flags = ["-std=c11", "-Wall", "-Wextra", "-pedantic", "-Werror", f"-I{ROOT}", f"-I{tmp_path}"]
    done = subprocess.run(
        ["gcc", *flags, "-c", str(tmp_path / "application.c"), "-o", str(tmp_path / "application.o")],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
