"""Bytes of the structs that TFLM keeps in its arena, on this 64-bit host and on a 32-bit core.

Source: `sizeof` of TFLM's structs and ours at the pinned version, with TFLM's reference kernels; what newer wheels
parse was read from what they record.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from tflm_quantmcu.base import tflm_wheel


@dataclasses.dataclass(frozen=True)
class Machine:
    """Bytes of TFLM's structs.

    Attributes:
      pointer: which is also their alignment.
      allocators: (buffer allocator, memory planner, MicroAllocator), in this order.
      builtin_allocator, subgraph, eval_tensor, node, tensor, quantization: SubgraphAllocations, NodeAndRegistration,
        TfLiteTensor and TfLiteAffineQuantization, and what the names say.
      scratch_request, allocation_info: ScratchBufferRequest and AllocationInfo, which are there only while preparing.
      op_data: kind -> of the kernel's own struct; absent where it has none.
      options: kind -> (bytes, alignment) of the parsed builtin options; absent where there are none.
      is_measured: whether the version at hand is known to have these bytes.
    """

    pointer: int
    allocators: tuple[int, int, int]
    builtin_allocator: int
    subgraph: int
    eval_tensor: int
    node: int
    tensor: int
    quantization: int
    scratch_request: int
    allocation_info: int
    op_data: Mapping[str, int]
    options: Mapping[str, tuple[int, int]]
    is_measured: bool = True


_OP_DATA = {
    "ADD": 60,
    "AVERAGE_POOL_2D": 32,
    "DEQUANTIZE": 32,
    "ELU": 256,
    "HARD_SWISH": 20,
    "LEAKY_RELU": 24,
    "LOGISTIC": 16,
    "MAX_POOL_2D": 32,
    "MEAN": 44,
    "MUL": 36,
    "PAD": 56,
    "PADV2": 56,
    "QUANTIZE": 32,
    "RELU": 28,
    "RELU6": 8,
    "TANH": 16,
    "QMCU_ADD": 32,
    "QMCU_AVERAGE_POOL_2D": 32,
    "QMCU_CHANNEL_LUT": 16,
    "QMCU_CONV_2D": 32,
    "QMCU_DEPTHWISE_CONV_2D": 32,
    "QMCU_FULLY_CONNECTED": 16,
    "QMCU_LUT": 16,
    "QMCU_MAX_POOL_2D": 32,
    "QMCU_PATCH_STAGE": 20,
    "QMCU_REQUANTIZE": 20,
}
_OPTIONS = {
    "AVERAGE_POOL_2D": (40, 4),
    "CONCATENATION": (8, 4),
    "CONV_2D": (28, 4),
    "DEPTHWISE_CONV_2D": (28, 4),
    "GATHER": (8, 4),
    "LEAKY_RELU": (4, 4),
    "MAX_POOL_2D": (40, 4),
    "MEAN": (1, 1),
    "RESHAPE": (36, 4),
    "RESIZE_NEAREST_NEIGHBOR": (2, 1),
    "SOFTMAX": (4, 4),
    "SQUEEZE": (36, 4),
}
NO_DATA = ("EXPAND_DIMS", "GATHER", "RESHAPE", "RESIZE_NEAREST_NEIGHBOR", "SLICE", "SQUEEZE", "TRANSPOSE")

# Since the first of these wheels the options of FULLY_CONNECTED hold a pointer; the other is the last one measured.
_LONGER_OPTIONS, _LAST_MEASURED = "0.dev20261012203412", "0.dev20261023182759"
_FULLY_CONNECTED_OPTIONS = (16, 4) if tflm_wheel.version() < _LONGER_OPTIONS else (32, 8)

# The interpreter of the installed Python wheel, which also records and is built with USE_TFLM_COMPRESSION.
HOST = Machine(
    pointer=8,
    allocators=(104, 72, 272),
    builtin_allocator=16,
    subgraph=24,
    eval_tensor=24,
    node=64,
    tensor=64,
    quantization=24,
    scratch_request=16,
    allocation_info=32,
    op_data={
        **_OP_DATA,
        "CONCATENATION": 80,
        "CONV_2D": 80,
        "DEPTHWISE_CONV_2D": 80,
        "FULLY_CONNECTED": 72,
        "SOFTMAX": 80,
    },
    options={**_OPTIONS, "ADD": (8, 4), "FULLY_CONNECTED": _FULLY_CONNECTED_OPTIONS, "MUL": (4, 4)},
    is_measured=tflm_wheel.version() <= _LAST_MEASURED,
)
# MicroInterpreter with the arena as a plain array, on any Cortex-M.
CORTEX_M = Machine(
    pointer=4,
    allocators=(36, 44, 36),
    builtin_allocator=8,
    subgraph=8,
    eval_tensor=12,
    node=32,
    tensor=32,
    quantization=12,
    scratch_request=12,
    allocation_info=24,
    op_data={
        **_OP_DATA,
        "CONCATENATION": 24,
        "CONV_2D": 56,
        "DEPTHWISE_CONV_2D": 56,
        "FULLY_CONNECTED": 48,
        "SOFTMAX": 56,
    },
    options={**_OPTIONS, "ADD": (2, 1), "FULLY_CONNECTED": (5, 1), "MUL": (1, 1)},
)
