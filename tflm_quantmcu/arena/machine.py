"""Bytes of the structs that TFLM keeps in its arena, on this 64-bit host and on a 32-bit core.

Source: `sizeof` of TFLM's structs and ours at the pinned version, and what newer wheels parse from what they record; of
TFLM's ops on a core op_sizes.py has the table.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from tflm_quantmcu.arena.op_sizes import op_sizes
from tflm_quantmcu.base import tflm_wheel
from tflm_quantmcu.graph.target import CMSIS_NN


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
      known: kinds of which all that is kept is known.
      cmsis_nn_data: as `op_data`, where TFLM is built with CMSIS-NN's kernels; empty where it never is.
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
    known: frozenset[str]
    is_measured: bool = True
    cmsis_nn_data: Mapping[str, int] = dataclasses.field(default_factory=dict)

    def with_kernels(self, stock_kernels: str) -> Machine:
        """The same with what the kernels of the ops that stay TFLite's own keep."""
        if stock_kernels != CMSIS_NN or not self.cmsis_nn_data:
            return self
        return dataclasses.replace(self, op_data={**self.op_data, **self.cmsis_nn_data})


_OWN_DATA = {
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
# Of the interpreter of the Python wheel, which also records and is built with USE_TFLM_COMPRESSION.
_HOST_DATA = {
    "ABS": 28,
    "ADD": 60,
    "AVERAGE_POOL_2D": 32,
    "CONCATENATION": 80,
    "CONV_2D": 80,
    "DEPTHWISE_CONV_2D": 80,
    "DEQUANTIZE": 32,
    "ELU": 256,
    "FULLY_CONNECTED": 72,
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
    "SOFTMAX": 80,
    "STRIDED_SLICE": 84,
    "SUB": 52,
    "TANH": 16,
}
# Since the first of these wheels the options of FULLY_CONNECTED hold a pointer; the other is the last one measured.
_LONGER_OPTIONS, _LAST_MEASURED = "0.dev20261012203412", "0.dev20261023182759"
_HOST_OPTIONS = {
    "ADD": (8, 4),
    "AVERAGE_POOL_2D": (40, 4),
    "CONCATENATION": (8, 4),
    "CONV_2D": (28, 4),
    "DEPTHWISE_CONV_2D": (28, 4),
    "FULLY_CONNECTED": (16, 4) if tflm_wheel.version() < _LONGER_OPTIONS else (32, 8),
    "GATHER": (8, 4),
    "LEAKY_RELU": (4, 4),
    "MAX_POOL_2D": (40, 4),
    "MEAN": (1, 1),
    "MUL": (4, 4),
    "RESHAPE": (36, 4),
    "RESIZE_BILINEAR": (2, 1),
    "RESIZE_NEAREST_NEIGHBOR": (2, 1),
    "SOFTMAX": (4, 4),
    "SQUEEZE": (36, 4),
    "STRIDED_SLICE": (24, 4),
    "SUB": (8, 4),
}
_WITHOUT_DATA = (
    *("EXPAND_DIMS", "GATHER", "RESHAPE", "RESIZE_BILINEAR", "RESIZE_NEAREST_NEIGHBOR", "SLICE", "SQUEEZE"),
    "TRANSPOSE",
)
# Kinds whose Prepare keeps more than prepare_steps.py knows, or which run other subgraphs or variables.
_KEEPS_MORE = frozenset(
    (
        *("ADD_N", "ASSIGN_VARIABLE", "BATCH_MATMUL", "CALL_ONCE", "DECODE", "DYNAMIC_UPDATE_SLICE", "IF"),
        *("READ_VARIABLE", "SVDF", "TRANSPOSE_CONV", "UNIDIRECTIONAL_SEQUENCE_LSTM", "VAR_HANDLE", "WHILE"),
    )
)
_TABLE = op_sizes()

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
    op_data={**_HOST_DATA, **_OWN_DATA},
    options=_HOST_OPTIONS,
    known=frozenset((*_HOST_DATA, *_OWN_DATA, *_WITHOUT_DATA)),
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
    op_data={**{kind: n.reference for kind, n in _TABLE.items()}, **_OWN_DATA},
    options={kind: (n.options, n.alignment) for kind, n in _TABLE.items() if n.options},
    known=frozenset((*_TABLE, *_OWN_DATA)) - _KEEPS_MORE,
    cmsis_nn_data={kind: n.cmsis_nn for kind, n in _TABLE.items()},
)
