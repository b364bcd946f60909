"""A TFLM project in the shape of its hello_world: the model as an array, a resolver with just its ops, a main, a test.

In: a model's bytes and a Recording of it, so that TFLM is known to run it. Out: the files of a project.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from tflm_quantmcu.arena.fast_ops import FAST_OPS
from tflm_quantmcu.arena.machine import CORTEX_M
from tflm_quantmcu.arena.persistent import replay_allocation
from tflm_quantmcu.arena.predict import predict_arena
from tflm_quantmcu.converter.emit.cpp_text import array_initializer, initializer, struct_initializer
from tflm_quantmcu.converter.emit.recording import Recording
from tflm_quantmcu.converter.emit.templates import render
from tflm_quantmcu.graph.op_kinds import op_kind
from tflm_quantmcu.graph.subgraphs import all_ops
from tflm_quantmcu.graph.target import HOST, KERNEL_VARIANTS, short_core, variant_of
from tflm_quantmcu.graph.types import ModelGraph
from tflm_quantmcu.native.linked import (
    Linked,
    cpp_name,
    fast_kernels,
    kernel_table,
    own_kernels,
    regular_on_tflm,
    stage_kernels,
)
from tflm_quantmcu.stage.custom_ops import PATCH_STAGE, PREFIX, program_of
from tflm_quantmcu.tflite.model_file import ModelFile
from tflm_quantmcu.tflite.op_check import kind_of
from tflm_quantmcu.tflite.streaming import describe_model_requests

# Where MicroMutableOpResolver's name is not the operator's in CamelCase.
_RESOLVER_NAMES = {
    "BATCH_MATMUL": "BatchMatMul",
    "CUMSUM": "CumSum",
    "PADV2": "PadV2",
    "UNIDIRECTIONAL_SEQUENCE_LSTM": "UnidirectionalSequenceLSTM",
}


def emit_tflm(
    model: ModelFile, recording: Recording, *, name: str, core: str, is_bundled: bool
) -> tuple[dict[str, str], int]:
    """The project's files, name -> text, and the bytes of the tensor arena that it sets aside.

    Args:
      model: the `.tflite`.
      recording: of it.
      name: C++ identifier that the files and the namespace are called by.
      core: `cortex-m4` and its like, or `host`: what the Makefile builds for unless told otherwise.
      is_bundled: the project holds the C++ sources that it compiles.
    """
    graph = model.graph
    arenas = _arena_bytes(graph, recording)
    kinds = sorted({op.kind for _, op in all_ops(graph)})
    context: dict[str, Any] = {
        "name": name,
        "macro": name.upper(),
        "core": short_core(core),
        "is_bundled": is_bundled,
        "sha256": model.sha256,
        "model_bytes": len(model.data),
        "model": array_initializer(np.frombuffer(model.data, np.uint8)),
        "arenas": arenas,
        "builtin_ops": [k for k in kinds if not k.startswith(PREFIX)],
        **_resolver(graph, kinds, variant_of(core)),
        "streamed": graph.streamed_input,
        "num_variables": _num_variables(model),
        "requests": describe_model_requests(graph),
        "num_samples": recording.num_samples,
        "inputs": [_sample(values) for values in recording.input_values],
        "outputs": [_sample(values) for values in recording.output_values],
        "image": _sample(recording.input_values[0][:1]),
        "model_crc32": zlib.crc32(model.data),
        "crc32": recording.crc32,
    }
    files = {
        f"{name}_model_data.h": "model_data.h",
        f"{name}_model_data.cc": "model_data.cc",
        f"{name}_ops.h": "ops.h",
        f"{name}_test.cc": "test.cc",
        "main.cc": "main.cc",
        "Makefile": "Makefile",
        "BUILD": "BUILD",
    }
    return {file: render(f"tflm/{template}", context) for file, template in files.items()}, arenas[
        HOST if core == HOST else variant_of(core)
    ]


def _resolver(graph: ModelGraph, kinds: Sequence[str], variant: str) -> dict[str, Any]:
    """What the ops' header says: calls that add the ops, and the kernels that these name."""
    regular = regular_on_tflm(graph, variant)
    staged, own = stage_kernels(graph, variant, regular), own_kernels(graph, variant, regular)
    kernels = own | fast_kernels(graph, variant, regular)
    return {
        "has_fast_ops": any(kind in FAST_OPS for kind in kinds),
        "has_own_kernels": bool(own),
        "has_kernels": bool(kernels or staged),
        "stage_kernels": struct_initializer(kernel_table(staged)) if staged else "",
        "stages": _known_stages(graph),
        "adders": [resolver_call(kind, kernels.get(kind)) for kind in kinds],
    }


def _num_variables(model: ModelFile) -> int:
    """The resource variables, for which TFLM wants room when the interpreter is made."""
    kinds = [kind_of(code) for code in model.tree.operatorCodes]
    handles = [o for g in model.tree.subgraphs for o in g.operators or () if kinds[o.opcodeIndex] == "VAR_HANDLE"]
    options = [handle.builtinOptions for handle in handles]
    return len({None if o is None else (o.container, o.sharedName) for o in options})


def _arena_bytes(graph: ModelGraph, recording: Recording) -> dict[str, int]:
    """Variant of our kernels, or host -> the least tensor arena on such cores.

    Where the data of an op is not known on 32 bits, that of this host stands for it.
    """
    arenas = {HOST: recording.arena_bytes}
    for variant in KERNEL_VARIANTS:
        found = replay_allocation(graph, CORTEX_M, variant)
        extra_bytes = max(0, predict_arena(graph, variant) - recording.non_persistent_bytes)
        arenas[variant] = found.needed_bytes if found.is_exact else recording.arena_bytes + extra_bytes
    return arenas


def resolver_call(kind: str, kernel: Linked | None = None) -> str:
    """The call that adds an op to a resolver, on our kernels where there are any; `kernel` instead of that of all
    widths."""
    if kernel is not None and kind.startswith(PREFIX):
        op = op_kind(kind.removeprefix(PREFIX)).kernel
        return f'AddCustom("{kind}", quantmcu::RegisterOn<quantmcu::{op}Op, {cpp_name(kernel)}>())'
    if kind == PATCH_STAGE:
        return f'AddCustom("{kind}", quantmcu::RegisterKnownPatchStage<kStageKernels, kStages>())'
    if kind.startswith(PREFIX):
        return f'AddCustom("{kind}", quantmcu::Register_{kind}())'
    words = [word.capitalize() for word in kind.split("_")]
    # 2D keeps its capital.
    name = "".join(re.sub(r"(\d)d$", r"\1D", word) for word in words)
    name = _RESOLVER_NAMES.get(kind, name)
    if kernel is not None:
        return f"Add{name}(quantmcu::Fast{name}On<{cpp_name(kernel)}>())"
    return f"Add{name}(quantmcu::Fast{name}())" if kind in FAST_OPS else f"Add{name}()"


def _known_stages(graph: ModelGraph) -> list[str]:
    """An initialiser of quantmcu::KnownStage for each patch stage."""
    found = []
    for op in graph.ops:
        if op.kind == PATCH_STAGE:
            filters, words = (graph.tensors[t].data for t in op.inputs[-2:])
            assert filters is not None and words is not None  # TFLM has prepared it
            crc32 = zlib.crc32(words.astype("<i4").tobytes(), zlib.crc32(op.custom_options))
            found.append(f"{{{crc32:#010x}, {filters.size}, {initializer(program_of(graph, op).header_words)}}}")
    return list(dict.fromkeys(found))


def _sample(values: np.ndarray) -> str:
    return array_initializer(np.frombuffer(values.tobytes(), np.uint8))
