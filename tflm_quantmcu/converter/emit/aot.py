"""C++ that runs a model without TFLM: constants, a static memory plan and one straight line of kernel calls.

In: a model's bytes and a Recording of it. Out: the files of a project. Refuses, naming the op, what no portable kernel
computes.
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.converter.emit.calls import calls_of
from tflm_quantmcu.converter.emit.cpp_text import (
    Definitions,
    array_initializer,
    comment_text,
    float_literal,
    statement,
    struct_initializer,
)
from tflm_quantmcu.converter.emit.memory_plan import MemoryPlan, plan_memory
from tflm_quantmcu.converter.emit.recording import Recording
from tflm_quantmcu.converter.emit.templates import render
from tflm_quantmcu.graph.layer_names import layers_of_ops
from tflm_quantmcu.graph.target import short_core, variant_of
from tflm_quantmcu.graph.types import ModelGraph, Op, Tensor
from tflm_quantmcu.law.kernel_calls import CHANNEL_TABLE, KernelCall
from tflm_quantmcu.native.linked import Linked, cpp_name, kernel_table, linked_kernel, regular_kernels, stage_kernels
from tflm_quantmcu.native.stack import stack_bytes_of
from tflm_quantmcu.stage.custom_ops import PATCH_STAGE, program_of
from tflm_quantmcu.tflite.streaming import describe_model_requests

_Link = Callable[[str, Sequence[Any]], Linked]
_CPP_TYPES = {"int8": "int8_t", "uint8": "uint8_t", "float32": "float", "int32": "int32_t", "bool": "uint8_t"}
# Columns of tiles whose spans Step's state has room for: others are found anew in each row of tiles.
_STEPPED_COLUMNS = 4
_OF_BYTES = ("Cast", "Fill", "Select", "StridedCopy")


@dataclasses.dataclass(frozen=True)
class Port:
    """An input or output of the model, in the words of the templates; `offset` is None where a reader gives it."""

    name: str
    label: str
    cpp_type: str
    shape: tuple[int, ...]
    num_bytes: int
    offset: int | None
    scale: str | None
    zero_point: int


@dataclasses.dataclass(frozen=True)
class _Step:
    """An op: its definitions and calls as text; `pieces` are those of Step."""

    index: int
    comment: str
    definitions: Sequence[str]
    statements: Sequence[str]
    pieces: Sequence[str]
    checks: Sequence[str]


def emit_aot(
    graph: ModelGraph, recording: Recording, *, name: str, core: str, is_bundled: bool
) -> tuple[dict[str, str], int]:
    """The project's files, name -> text, and the arena's bytes.

    Args:
      graph: the model.
      recording: of the same model.
      name: C++ identifier that the files and the namespace are called by.
      core: `cortex-m4` and its like, or `host`: what the Makefile builds for unless told otherwise.
      is_bundled: the project holds the C++ sources that it compiles.

    Raises:
      UnsupportedModelError: an op without a kernel, or a tensor of a type that no kernel takes.
    """
    variant = variant_of(core)
    calls = [calls_of(graph, op, variant=variant) for op in graph.ops]
    plan = plan_memory(graph, calls)
    regular = regular_kernels(graph, itertools.chain(*calls), variant)
    link = functools.partial(linked_kernel, variant=variant, regular=regular)
    definitions = Definitions()
    steps = [_step(graph, plan, definitions, link, op, group) for op, group in zip(graph.ops, calls, strict=True)]
    kernels = stage_kernels(graph, variant, regular)
    context: dict[str, Any] = {
        "name": name,
        "macro": name.upper(),
        "core": short_core(core),
        "is_bundled": is_bundled,
        "variant": variant,
        "sha256": graph.sha256,
        "arena_bytes": plan.arena_bytes,
        "states": plan.states,
        "state_bytes": plan.state_bytes,
        "stack_bytes": stack_bytes_of(graph, itertools.chain(*calls), variant, regular),
        "constant_bytes": definitions.num_bytes,
        "tflm_arena_bytes": recording.non_persistent_bytes,
        "inputs": _ports(graph.input_tensors, plan, "Input"),
        "outputs": _ports([graph.tensors[t] for t in graph.outputs], plan, "Output"),
        "streamed": graph.streamed_input,
        "requests": describe_model_requests(graph),
        "stage_kernels": struct_initializer(kernel_table(kernels, "kernels")) if kernels else "",
        "steps": steps,
        "num_spans": _num_spans(graph),
        "blocks": definitions.blocks,
        "constants_crc32": definitions.crc32,
        "maps": [_place(graph.tensors[op.outputs[0]], plan) for op in graph.ops],
        "map_crc32s": array_initializer(recording.map_crc32s()),
        "num_samples": recording.num_samples,
        "crc32": recording.crc32,
        "samples": [array_initializer(np.frombuffer(v.tobytes(), np.uint8)) for v in recording.input_values],
    }
    files = {f"{name}.h": "model.h", f"{name}_c.h": "model_c.h", f"{name}.cc": "model.cc", "main.cc": "main.cc"}
    files |= {file: file for file in ("Makefile", "CMakeLists.txt", "BUILD")}
    return {file: render(f"aot/{template}", context) for file, template in files.items()}, plan.arena_bytes


def _step(
    graph: ModelGraph, plan: MemoryPlan, definitions: Definitions, link: _Link, op: Op, calls: Sequence[KernelCall]
) -> _Step:
    first = len(definitions.text)
    statements, pieces, checks = [], [], []
    names: dict[Any, str] = {}
    for number, call in enumerate(calls):
        if call.params not in names:
            names[call.params] = definitions.params(f"kOp{op.index}{call.kernel}{number or ''}", call.params)
        params = names[call.params]
        text, piece = _statements(graph, plan, definitions, link, op, call, params)
        statements.append(text)
        pieces.append(piece)
        if call.scratch_bytes is not None:
            checks.append(_scratch_check(call, params))
    comment = comment_text(f"{op.index} {op.kind} '{layers_of_ops(graph, [op.index])[0]}'")
    return _Step(op.index, comment, definitions.text[first:], statements, pieces, checks)


def _statements(
    graph: ModelGraph, plan: MemoryPlan, definitions: Definitions, link: _Link, op: Op, call: KernelCall, params: str
) -> tuple[str, str]:
    """A call of Invoke's and of Step's, which differ for patch stages."""
    arguments = [params]
    offsets = call.input_offsets or (0,) * len(call.inputs)
    for t, offset in zip(call.inputs, offsets, strict=True):
        arguments.append(_address(graph, plan, definitions, t, offset, _pointer(graph, call, t, is_input=True)))
    arguments += _constants(definitions, op, call)
    pointer = _pointer(graph, call, call.output, is_input=False)
    output = _address(graph, plan, definitions, call.output, call.output_offset, pointer)
    scratch = f"arena + {plan.scratch[op.index]}" if call.scratch_bytes else "nullptr"
    if call.kernel == "PatchStage":
        arguments = [params, _stage_input(call, arguments[1:]), scratch, output]
        whole = _until_it_fails("RunStage<kHasHook, kStageKernels>", [*arguments, "options", str(op.index)])
        return whole, _until_it_fails("StepStage<kStageKernels>", [*arguments, "state"])
    function = cpp_name(link(call.kernel, [call.params]), "kernels")
    text = statement(function, [*arguments, output, *([] if call.scratch_bytes is None else [scratch])])
    return text, text


def _stage_input(call: KernelCall, addresses: Sequence[str]) -> str:
    """A patch stage's input, or all of them; the first may come from a reader."""
    readers = ["options.reader"][: call.params.num_inputs - len(addresses)]
    first, *others = [*readers, *addresses]
    return f"quantmcu::StageInput({first}, {{{', '.join(others)}}})" if others else first


def _num_spans(graph: ModelGraph) -> int:
    """What Step keeps between tiles: spans of rows, and of some columns of tiles, of the stage with the most."""
    programs = [program_of(graph, op) for op in graph.ops if op.kind == PATCH_STAGE]
    counts = [(p.tiled + 1) * (1 + min(len(p.spans[1]), _STEPPED_COLUMNS)) for p in programs]
    return max([2, *(-(-count // 2) * 2 for count in counts)])


def _until_it_fails(function: str, arguments: Sequence[str]) -> str:
    call = statement(f"if (const Status status = quantmcu::aot::{function}", arguments)
    return f"{call}\n      status != Status::kOk) {{\n    return status;\n  }}"


def _constants(definitions: Definitions, op: Op, call: KernelCall) -> list[str]:
    table = [call.constants[label] for label in CHANNEL_TABLE if label in call.constants]
    constants = {label: values for label, values in call.constants.items() if label not in CHANNEL_TABLE}
    names = [definitions.array(f"kOp{op.index}{label}", values) for label, values in constants.items()]
    if table:
        words = definitions.array(f"kOp{op.index}Table", np.concatenate(table))
        names.append(f"quantmcu::ChannelTableOf({words}, {len(table[0])})")
    return names


def _scratch_check(call: KernelCall, params: str) -> str:
    """Whether a call's kernel takes the scratch that the plan has for it."""
    if call.kernel == "PatchStage":
        needed = f"quantmcu::PatchStageScratchBytes({params}, kStageKernels)"
    else:
        needed = f"kernels::{call.kernel}ScratchBytes({params})"
    return f"quantmcu::aot::IsPlanned({needed}, {call.scratch_bytes})"


def _pointer(graph: ModelGraph, call: KernelCall, tensor: int, *, is_input: bool) -> str:
    """What a kernel takes a tensor as, if not as bytes."""
    if graph.tensors[tensor].dtype != "float32" or call.kernel in _OF_BYTES:
        return ""
    return "const float*" if is_input else "float*"


def _address(
    graph: ModelGraph, plan: MemoryPlan, definitions: Definitions, tensor: int, offset: int, pointer: str
) -> str:
    read = graph.tensors[plan.sources[tensor]]
    place = plan.offset(tensor)
    if place is None:
        assert read.data is not None
        values = read.data if pointer else np.ascontiguousarray(read.data).view(np.uint8)
        name = definitions.array(f"kTensor{read.index}", values)
        return f"{name} + {offset}" if offset else name
    address = f"arena + {place + offset}"
    return f"reinterpret_cast<{pointer}>({address})" if pointer else address


def _place(tensor: Tensor, plan: MemoryPlan) -> str:
    """Initialiser of a quantmcu::aot::Place."""
    return f"{plan.offset(tensor.index)}, {tensor.num_bytes}"


def _ports(tensors: Sequence[Tensor], plan: MemoryPlan, name: str) -> list[Port]:
    return [_port(t, plan, name if len(tensors) == 1 else f"{name}{i}") for i, t in enumerate(tensors)]


def _port(tensor: Tensor, plan: MemoryPlan, name: str) -> Port:
    if tensor.dtype not in _CPP_TYPES:
        raise UnsupportedModelError(
            f"'{tensor.label}' is {tensor.dtype}; inputs and outputs may be {', '.join(_CPP_TYPES)}"
        )
    return Port(
        name=name,
        label=comment_text(tensor.label),
        cpp_type=_CPP_TYPES[tensor.dtype],
        shape=tensor.shape,
        num_bytes=tensor.num_bytes,
        offset=None if tensor.index < 0 else plan.offset(tensor.index),
        scale=float_literal(tensor.scales[0]) if len(tensor.scales) == 1 else None,
        zero_point=tensor.zero_points[0] if len(tensor.scales) == 1 else 0,
    )
