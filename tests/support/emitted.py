"""Emitted AOT code, compiled with the host's compiler and called from Python."""

from __future__ import annotations

import ctypes
import dataclasses
import functools
import re
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from tflm_quantmcu.converter.emit.project import emit
from tflm_quantmcu.graph.types import Tensor
from tflm_quantmcu.tflite.reader import read_model

ROOT = Path(__file__).parents[2]
FLAGS = ("-std=c++17", "-O1", "-Wall", "-Wextra", "-Werror", "-fPIC", "-fno-exceptions", "-fno-rtti", f"-I{ROOT}")
GUARD = np.full(256, 0xA5, np.uint8)


def compile_object(source: Path, output: Path, flags: Sequence[str] = FLAGS) -> Path:
    """Compiles one file; a warning is an error."""
    _run("g++", *flags, "-c", str(source), "-o", str(output))
    return output


@functools.cache
def portable_objects() -> tuple[Path, ...]:
    """Objects of tflm_kernels/portable, compiled once a session."""
    folder = Path(tempfile.mkdtemp(prefix="portable_"))
    sources = sorted((ROOT / "tflm_kernels/portable").glob("*/*.cc"))
    return tuple(compile_object(source, folder / f"{source.stem}.o") for source in sources)


@dataclasses.dataclass(frozen=True, eq=False)
class EmittedModel:
    """One model's compiled project.

    Attributes:
      folder: of the sources.
      name: in the code.
      object: of the emitted source alone.
      library: what Python calls.
    """

    folder: Path
    name: str
    object: Path
    library: ctypes.CDLL
    input_types: tuple[tuple[str, tuple[int, ...]], ...]
    output_types: tuple[tuple[str, tuple[int, ...]], ...]

    def macro(self, name: str) -> int:
        """Value of <NAME>_<name> in the emitted header."""
        text = (self.folder / f"{self.name}_c.h").read_text()
        (value,) = re.findall(rf"#define {self.name.upper()}_{name} (\d+)\b", text)
        return int(value)

    def invoke(self, *inputs: np.ndarray) -> list[np.ndarray]:
        """One inference, whole and then piece by piece, each in a fresh arena between guards."""
        outputs, _ = self._run(self.library.test_invoke, inputs)
        pieces, num_calls = self._run(self.library.test_step, inputs)
        assert num_calls > 0
        for whole, stepped in zip(outputs, pieces, strict=True):
            np.testing.assert_array_equal(whole.ravel().view(np.uint8), stepped.ravel().view(np.uint8), "Step")
        return outputs

    def invoke_in_turn(self, samples: Sequence[np.ndarray], *, by_step: bool = False) -> list[list[np.ndarray]]:
        """The outputs of inferences one behind the other in one arena, after Reset, of a model with one input."""
        memory = np.full(self.macro("ARENA_BYTES") + 16, 0x3C, np.uint8)
        arena = ctypes.c_void_p(memory.ctypes.data + -memory.ctypes.data % 16)
        self.library.test_reset(arena)
        outputs = []
        for x in samples:
            self.library.test_set_input(arena, 0, x.tobytes(), x.nbytes)
            (self.library.test_step if by_step else self.library.test_invoke)(arena)
            outputs.append(self._outputs(arena))
        return outputs

    def _run(self, function: Callable[[ctypes.c_void_p], int], inputs: Sequence[np.ndarray]):
        """The outputs, and what the function returns."""
        arena_bytes = self.macro("ARENA_BYTES")
        memory = np.concatenate([GUARD, np.full(arena_bytes + 16, 0x3C, np.uint8), GUARD])
        first = len(GUARD) + (-(memory.ctypes.data + len(GUARD))) % 16
        memory[first + arena_bytes :] = memory[:first] = GUARD[0]
        arena = ctypes.c_void_p(memory.ctypes.data + first)
        samples = [values.tobytes() for values in inputs]  # a streamed one is read where it is
        for i, (values, (dtype, shape)) in enumerate(zip(inputs, self.input_types, strict=True)):
            assert (values.dtype.name, values.shape) == (dtype, shape)
            self.library.test_set_input(arena, i, samples[i], values.nbytes)
        returned = function(arena)
        outside = np.concatenate([memory[:first], memory[first + arena_bytes :]])
        assert (outside == GUARD[0]).all(), "the model wrote outside its arena"
        return self._outputs(arena), returned

    def _outputs(self, arena: ctypes.c_void_p) -> list[np.ndarray]:
        outputs = []
        for i, (dtype, shape) in enumerate(self.output_types):
            num_bytes = int(np.prod(shape)) * np.dtype(dtype).itemsize
            data = ctypes.string_at(self.library.test_output(arena, i), num_bytes)
            outputs.append(np.frombuffer(data, dtype).reshape(shape))
        return outputs


def emit_and_compile(model: bytes, folder: Path, *, name: str = "model", core: str = "host") -> EmittedModel:
    """Emits the AOT project of a model into `folder` and compiles it as a library."""
    emit(model, output_dir=folder, target="aot", name=name, core=core)
    graph = read_model(model)
    ports = [graph.input_tensors, [graph.tensors[t] for t in graph.outputs]]
    wrapper = folder / "wrapper.cc"
    text = _wrapper(name, len(ports[0]), len(ports[1]), graph.streamed_input)
    if any(t.is_variable for t in graph.tensors):
        text += f'extern "C" void test_reset(uint8_t* arena) {{ {name}_reset(arena); }}\n'
    wrapper.write_text(text)
    compiled = compile_object(folder / f"{name}.cc", folder / f"{name}.o")
    objects = [compiled, compile_object(wrapper, folder / "wrapper.o"), *portable_objects()]
    _run("g++", "-shared", "-Wl,-z,defs", *map(str, objects), "-o", str(folder / "model.so"))
    library = ctypes.CDLL(str(folder / "model.so"))
    library.test_is_plan_right.restype = ctypes.c_bool
    library.test_output.restype = ctypes.c_void_p
    types = [tuple((t.dtype, t.shape) for t in side) for side in ports]
    return EmittedModel(folder, name, compiled, library, *types)


def _wrapper(name: str, num_inputs: int, num_outputs: int, streamed: Tensor | None) -> str:
    def cases(word: str, count: int) -> str:
        names = [word] if count == 1 else [f"{word}{i}" for i in range(count)]
        return " ".join(f"case {i}: return {name}::{n}(arena);" for i, n in enumerate(names))

    return f"""
#include <string.h>
#include "{name}.h"
#include "tflm_kernels/portable/stage/stored_map.h"
extern "C" bool test_is_plan_right() {{ return {name}::IsPlanRight(); }}
static const quantmcu::InvokeOptions& Options();
// How many calls of Step an inference takes; 0 if one does not end as it should.
extern "C" int test_step(uint8_t* arena) {{
  {name}::StepState state;
  for (int calls = 1;; ++calls) {{
    const quantmcu::Status status = {name}::Step(arena, &state, Options());
    if (status == quantmcu::Status::kOk) return state.op == 0 && state.stage.has_begun == 0 ? calls : 0;
    if (status != quantmcu::Status::kMore) return 0;
  }}
}}
extern "C" void* test_output(uint8_t* arena, int i) {{
  switch (i) {{ {cases("Output", num_outputs)} default: return nullptr; }}
}}
""" + (_resident(name, cases("Input", num_inputs)) if streamed is None else _streamed(name, streamed))


def _resident(name: str, cases: str) -> str:
    return f"""
static const quantmcu::InvokeOptions& Options() {{
  static const quantmcu::InvokeOptions options;
  return options;
}}
extern "C" void test_invoke(uint8_t* arena) {{ {name}::Invoke(arena); }}
static void* Input(uint8_t* arena, int i) {{
  switch (i) {{ {cases} default: return nullptr; }}
}}
extern "C" void test_set_input(uint8_t* arena, int i, const uint8_t* values, int num_bytes) {{
  memcpy(Input(arena, i), values, num_bytes);
}}
"""


def _streamed(name: str, tensor: Tensor) -> str:
    return f"""
static quantmcu::StoredMap source;
static quantmcu::InvokeOptions options;
static const quantmcu::InvokeOptions& Options() {{ return options; }}
extern "C" void test_invoke(uint8_t* arena) {{ {name}::Invoke(arena, Options()); }}
extern "C" void test_set_input(uint8_t*, int, const uint8_t* values, int) {{
  source = {{values, {tensor.shape[2]}, {tensor.shape[3]}}};
  options.reader = quantmcu::ReaderOf(source);
}}
"""


def undefined_symbols(objects: Sequence[Path], folder: Path) -> set[str]:
    """What the objects need from elsewhere."""
    whole = folder / "whole.o"
    _run("ld", "-r", "-o", str(whole), *map(str, objects))
    return {line.split()[-1] for line in _run("nm", "-u", str(whole)).splitlines()}


def _run(*command: str) -> str:
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, f"{' '.join(command)}\n{done.stderr}"
    return done.stdout
