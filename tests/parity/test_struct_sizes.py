"""The sizes that persistent bytes are counted with are those of the compilers, on the host and on a 32-bit core."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

from tflm_quantmcu.arena.machine import CORTEX_M, HOST, Machine

ROOT = Path(__file__).parents[2]
COMPILERS = {"host": ("g++",), "cortex-m": ("arm-none-eabi-g++", "-mcpu=cortex-m4", "-mthumb")}
MACHINES = {"host": HOST, "cortex-m": CORTEX_M}
OWN_KINDS = [kind for kind in HOST.op_data if kind.startswith("QMCU_")]
STOCK_STRUCTS = {
    "ADD": "OpDataAdd",
    "AVERAGE_POOL_2D": "OpDataPooling",
    "CONV_2D": "OpDataConv",
    "DEPTHWISE_CONV_2D": "OpDataConv",
    "DEQUANTIZE": "DequantizeOpData",
    "FULLY_CONNECTED": "OpDataFullyConnected",
    "HARD_SWISH": "HardSwishParams",
    "LEAKY_RELU": "LeakyReluOpData",
    "LOGISTIC": "OpDataLogistic",
    "MAX_POOL_2D": "OpDataPooling",
    "MEAN": "OpDataReduce",
    "MUL": "OpDataMul",
    "PAD": "OpData",
    "PADV2": "OpData",
    "QUANTIZE": "OpDataQuantizeReference",
    "RELU": "ReluOpData",
    "RELU6": "Relu6OpData",
    "SOFTMAX": "SoftmaxParams",
}
STOCK_OPTIONS = {
    "ADD": "TfLiteAddParams",
    "AVERAGE_POOL_2D": "TfLitePoolParams",
    "CONCATENATION": "TfLiteConcatenationParams",
    "CONV_2D": "TfLiteConvParams",
    "DEPTHWISE_CONV_2D": "TfLiteDepthwiseConvParams",
    "FULLY_CONNECTED": "TfLiteFullyConnectedParams",
    "LEAKY_RELU": "TfLiteLeakyReluParams",
    "MAX_POOL_2D": "TfLitePoolParams",
    "MEAN": "TfLiteReducerParams",
    "MUL": "TfLiteMulParams",
    "RESHAPE": "TfLiteReshapeParams",
    "RESIZE_NEAREST_NEIGHBOR": "TfLiteResizeNearestNeighborParams",
    "SOFTMAX": "TfLiteSoftmaxParams",
    "SQUEEZE": "TfLiteSqueezeParams",
}
STOCK_FILES = (
    "activations add conv dequantize fully_connected hard_swish leaky_relu logistic mul pad pooling quantize reduce "
    "softmax"
)
ALLOCATORS = {
    "host": ("RecordingSingleArenaBufferAllocator", "GreedyMemoryPlanner", "RecordingMicroAllocator"),
    "cortex-m": ("SingleArenaBufferAllocator", "GreedyMemoryPlanner", "MicroAllocator"),
}


def check(tmp_path: Path, machine: str, includes: list[str], sizes: Mapping[str, int], *flags: str) -> None:
    """Compiles an assertion a type."""
    compiler = COMPILERS[machine]
    if not shutil.which(compiler[0]):
        pytest.skip(f"{compiler[0]} is missing")
    lines = [f'#include "{name}"' for name in includes]
    lines += [f'static_assert(sizeof({name}) == {size}, "{name}");' for name, size in sizes.items()]
    source = tmp_path / "sizes.cc"
    source.write_text("\n".join(lines))
    command = [*compiler, "-std=c++17", "-fsyntax-only", "-DTF_LITE_STATIC_MEMORY", f"-I{ROOT}", *flags, str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[:2000]


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize("kind", OWN_KINDS)
def test_our_ops(tmp_path: Path, machine: str, kind: str) -> None:
    shared = {"QMCU_CHANNEL_LUT": "lut", "QMCU_AVERAGE_POOL_2D": "pool2d", "QMCU_MAX_POOL_2D": "pool2d"}
    file = shared[kind] if kind in shared else kind.removeprefix("QMCU_").lower().replace("_2d", "2d")
    # The structs of ops are their files' own: so the file itself is included.
    found = {"quantmcu::OpData": MACHINES[machine].op_data[kind]}
    check(tmp_path, machine, [f"tflm_kernels/micro/{file}.cc"], found)


@pytest.mark.parametrize("machine", MACHINES)
def test_stock_tflm(tmp_path: Path, machine: str) -> None:
    tflm = os.environ.get("TFLM_DIR")
    if not tflm:
        pytest.skip("TFLM_DIR is not set: sizes of stock TFLM's structs are not checked")
    downloads = os.environ.get("TFLM_DOWNLOADS", f"{tflm}/tensorflow/lite/micro/tools/make/downloads")
    counted: Machine = MACHINES[machine]
    micro = "tensorflow/lite/micro"
    includes = ["tensorflow/lite/c/builtin_op_data.h", f"{micro}/recording_micro_allocator.h"]
    includes += [f"{micro}/memory_planner/greedy_memory_planner.h", f"{micro}/micro_allocation_info.h"]
    includes += [f"{micro}/kernels/{name}.h" for name in STOCK_FILES.split()]
    sizes = {f"tflite::{name}": counted.op_data[kind] for kind, name in STOCK_STRUCTS.items()}
    sizes |= {name: counted.options[kind][0] for kind, name in STOCK_OPTIONS.items()}
    sizes |= {f"tflite::{name}": n for name, n in zip(ALLOCATORS[machine], counted.allocators, strict=True)}
    sizes |= {
        "TfLiteEvalTensor": counted.eval_tensor,
        "TfLiteTensor": counted.tensor,
        "TfLiteAffineQuantization": counted.quantization,
        "tflite::NodeAndRegistration": counted.node,
        "tflite::SubgraphAllocations": counted.subgraph,
        "tflite::ScratchBufferHandle": counted.pointer,
        "tflite::internal::ScratchBufferRequest": counted.scratch_request,
        "tflite::AllocationInfo": counted.allocation_info,
        "void*": counted.pointer,
    }
    flags = [f"-I{tflm}", *(f"-I{downloads}/{name}" for name in ("flatbuffers/include", "gemmlowp", "ruy"))]
    flags += ["-DUSE_TFLM_COMPRESSION"] if machine == "host" else []
    check(tmp_path, machine, includes, sizes, *flags)
