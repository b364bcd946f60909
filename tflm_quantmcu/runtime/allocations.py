"""Arena bytes of a model on this host's TFLM: what its recording allocator counted, and what is more than enough."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Mapping

from tflm_quantmcu.graph.types import Tensor
from tflm_quantmcu.placement.memory import ARENA_ALIGNMENT
from tflm_quantmcu.tflite.flatbuffer_check import MAX_TENSOR_BYTES
from tflm_quantmcu.tflite.model_file import ModelFile

_LARGEST_ELEMENT_BYTES = 8
_ALLOCATOR_LINE = re.compile(r"\[RecordingMicroAllocator\] (.*)")
_ARENA_LINE = re.compile(r"Arena allocation (total|head|tail) (\d+) bytes")
_DETAIL_LINE = re.compile(r"'(.*)' used (\d+) bytes")


@dataclasses.dataclass(frozen=True)
class Allocations:
    """Arena bytes that TFLM's recording allocator counted on this host.

    Attributes:
      total_bytes: both parts.
      non_persistent_bytes: feature maps and scratch ("head"); the same on a device.
      persistent_bytes: nodes, tensors, op data ("tail"); more than on a device, whose pointers
        have 32 bits.
      details: what the persistent bytes are: TFLM's name -> bytes.
    """

    total_bytes: int
    non_persistent_bytes: int
    persistent_bytes: int
    details: Mapping[str, int]

    @staticmethod
    def of_text(text: str) -> Allocations:
        """Those that TFLM prints."""
        lines = _ALLOCATOR_LINE.findall(text)
        arena = {m[1]: int(m[2]) for m in map(_ARENA_LINE.match, lines) if m}
        details = {m[1]: int(m[2]) for m in map(_DETAIL_LINE.match, lines) if m}
        return Allocations(arena["total"], arena["head"], arena["tail"], details)


def generous_arena_bytes(file: ModelFile, streamed: Tensor | None) -> int:
    """More than any plan takes: all tensors and what is streamed, seven times that for scratch, and persistent data.

    The system gives memory only to the pages that TFLM touches, so the excess costs nothing.
    """
    num_elements = streamed.num_elements if streamed else 0
    for graph in file.tree.subgraphs:
        for tensor in graph.tensors:
            num_elements += math.prod(() if tensor.shape is None else map(int, tensor.shape)) + 64
    num_bytes = 8 * _LARGEST_ELEMENT_BYTES * num_elements + 4 * len(file.data) + (1 << 20)
    # Persistent memory begins at the end, which is aligned lest the count depends on the model's length.
    return min(num_bytes, MAX_TENSOR_BYTES) // ARENA_ALIGNMENT * ARENA_ALIGNMENT
