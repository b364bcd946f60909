"""Our custom ops as they stand in a `.tflite`: names, FlexBuffer options (docs/format.md F3), a stage's program."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

import numpy as np
from flatbuffers import flexbuffers

from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.graph.types import ModelGraph, Op
from tflm_quantmcu.stage.program import StageProgram

PREFIX = "QMCU_"
PATCH_STAGE = "QMCU_PATCH_STAGE"


def is_converted(graph: ModelGraph) -> bool:
    """Whether the model has ops of ours."""
    return any(op.kind.startswith(PREFIX) for op in graph.ops)


def encode_options(options: Mapping[str, Any]) -> bytes:
    """A FlexBuffer map, the same bytes for the same options."""
    return bytes(flexbuffers.Dumps(dict(sorted(options.items()))))


def decode_options(data: bytes) -> dict[str, Any]:
    """The inverse of `encode_options`.

    Raises:
      UnsupportedModelError: not a FlexBuffer map.
    """
    return dict(_decoded(data))


@functools.lru_cache(maxsize=1 << 10)  # a model's ops are asked for each variant of our kernels
def _decoded(data: bytes) -> dict[str, Any]:
    try:
        options = flexbuffers.Loads(data)
    except Exception as error:  # the reader raises whatever the misread value leads to
        raise UnsupportedModelError(f"the options are not a FlexBuffer map: {error!r}") from None
    if not isinstance(options, dict):
        raise UnsupportedModelError(f"the options are a {type(options).__name__}, not a map")
    return options


def program_of(graph: ModelGraph, op: Op) -> StageProgram:
    """What a QMCU_PATCH_STAGE executes.

    Raises:
      UnsupportedModelError: its options or constants are missing or malformed.
      UsageError: another format version.
    """
    constants = [graph.tensors[t].data if t >= 0 else None for t in op.inputs[1:][-2:]]
    filters, program = constants if len(constants) == 2 else (None, None)
    if filters is None or program is None or (filters.dtype, program.dtype) != (np.int8, np.int32):
        raise UnsupportedModelError(
            f"{op.kind} (op {op.index}) does not have constant int8 filters and a constant int32 program"
        )
    stage = StageProgram.decode(decode_options(op.custom_options), filters, program)
    if len(op.inputs) != stage.num_inputs + 2:
        raise UnsupportedModelError(
            f"{op.kind} (op {op.index}) does not have the {stage.num_inputs} inputs of its program"
        )
    return stage
