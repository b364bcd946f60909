"""Writes what TFLM keeps on a 32-bit core for each builtin op that it registers: tflm_quantmcu/arena/data/op_sizes.csv.

In: a checkout of tflite-micro (with its downloads as docs/emit.md says) and one of CMSIS-NN. A program in QEMU calls
every op's parser of options and its Init, once built with TFLM's reference kernels and once with CMSIS-NN's, and prints
what they allocate. Out: the CSV. Refuses cores that differ: the structs are those of the 32-bit ABI.

    python -m tools.op_sizes --tflm_dir tflite-micro --cmsis_nn_dir CMSIS-NN
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

from tflm_quantmcu.arena.op_sizes import TABLE, OpSizes, to_csv
from tflm_quantmcu.base.files import write_atomically
from tflm_quantmcu.graph.target import CORES, core_named, short_core
from tools.qemu_run import QemuError, run_image
from tools.tflm_build import build_program, tflm_settings

ROOT = Path(__file__).resolve().parents[1]
OUTPUT = ROOT / "tflm_quantmcu/arena/data" / TABLE
_RESOLVER = "tensorflow/lite/micro/micro_mutable_op_resolver.h"
_ADDERS = re.compile(
    r"TfLiteStatus (Add\w+)\((?:(?!TfLiteStatus).)*?return AddBuiltin\(\s*BuiltinOperator_(\w+)", re.DOTALL
)
_MAKEFILE = """NAME := sizes
PROGRAMS := main
TFLM_OPS := {ops}
include $(QUANTMCU_DIR)/tflm_kernels/micro/project.mk
"""
_MAIN = """// What Init and the parser of options of each op allocate.
#include "tensorflow/lite/micro/compatibility.h"
#include "tensorflow/lite/micro/micro_context.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/micro/tflite_bridge/flatbuffer_conversions_bridge.h"
#include "tensorflow/lite/schema/schema_generated.h"
#include "tflm_kernels/boards/report.h"
#include "tflm_kernels/micro/tflm.h"

namespace tflm = quantmcu::tflm;

struct Counted {{
  size_t num_bytes = 0;
  size_t alignment = 0;
  void* Allocate(size_t size, size_t align) {{
    num_bytes += size;
    alignment = align;
    return storage;
  }}
  alignas(16) uint8_t storage[4096];
}} counted;

class Options : public tflm::TfLiteBridgeBuiltinDataAllocator {{
 public:
  void* Allocate(size_t size, size_t align) override {{ return counted.Allocate(size, align); }}
  void Deallocate(void*) override {{}}
}};

class Context : public tflm::MicroContext {{
 public:
  void* AllocatePersistentBuffer(size_t bytes) override {{ return counted.Allocate(bytes, 16); }}
  TfLiteStatus RequestScratchBufferInArena(size_t, int*) override {{ return kTfLiteError; }}
  void* GetScratchBuffer(int) override {{ return nullptr; }}
  TfLiteTensor* AllocateTempTfLiteTensor(int) override {{ return nullptr; }}
  void DeallocateTempTfLiteTensor(TfLiteTensor*) override {{}}
  uint8_t* AllocateTempBuffer(size_t, size_t) override {{ return nullptr; }}
  void DeallocateTempBuffer(uint8_t*) override {{}}
  TfLiteEvalTensor* GetEvalTensor(int) override {{ return nullptr; }}
  TfLiteStatus set_external_context(void*) override {{ return kTfLiteError; }}
  void* external_context() override {{ return nullptr; }}
  tflm::MicroGraph& graph() override {{ __builtin_trap(); }}

 private:
  TF_LITE_REMOVE_VIRTUAL_DELETE
}};

// An operator without options.
alignas(4) constexpr uint8_t kOperator[] = {{8, 0, 0, 0, 4, 0, 4, 0, 4, 0, 0, 0}};

void Report(const char* op, tflm::BuiltinOperator code, const tflm::MicroOpResolver& resolver) {{
  char key[64] = "O_";
  auto named = [&](char kind) {{
    key[0] = kind;
    for (int i = 0; (key[2 + i] = op[i]) != 0; ++i) {{
    }}
    return key;
  }};
  Options options;
  void* parsed = nullptr;
  counted.num_bytes = counted.alignment = 0;
  const auto* described = flatbuffers::GetRoot<tflm::Operator>(kOperator);
  tflm::CallBuiltinParseFunction(resolver.GetOpDataParser(code), described, &options, &parsed);
  quantmcu::ReportCount(named('O'), counted.num_bytes);
  quantmcu::ReportCount(named('A'), counted.alignment);
  counted.num_bytes = 0;
  Context micro_context;
  TfLiteContext context = {{}};
  context.impl_ = &micro_context;
  context.AllocatePersistentBuffer = [](TfLiteContext*, size_t n) {{ return counted.Allocate(n, 16); }};
  const TFLMRegistration& registration = *resolver.FindOp(code);
  if (registration.init != nullptr) registration.init(&context, nullptr, 0);
  quantmcu::ReportCount(named('D'), counted.num_bytes);
}}

tflm::MicroMutableOpResolver<{num_ops}> resolver;

int main() {{
{calls}
  return 0;
}}
"""


def registered_ops(tflm_dir: Path) -> dict[str, str]:
    """Builtin op, as TFLite calls it -> the resolver's method that adds it.

    Raises:
      QemuError: the folder is no checkout of tflite-micro.
    """
    try:
        text = (tflm_dir / _RESOLVER).read_text(encoding="utf-8")
    except OSError as error:
        raise QemuError(f"--tflm_dir {tflm_dir} is no checkout of tflite-micro: {error}") from None
    return {kind: adder for adder, kind in _ADDERS.findall(text)}


def measured(
    core: str, tflm_dir: Path, cmsis_nn_dir: Path | None, folder: Path, *, downloads: Path | None = None
) -> dict[str, tuple[int, int, int]]:
    """Op -> (bytes of data, bytes of options, their alignment), as the core allocates them.

    Args:
      core: `cortex-m4` and its like.
      tflm_dir: a checkout of tflite-micro.
      cmsis_nn_dir: one of CMSIS-NN, whose kernels are then built; None for TFLM's reference kernels.
      folder: for the program; its objects stand where `build_program` has them.
      downloads: a folder with flatbuffers, gemmlowp and ruy; None where TFLM's own Makefile has put them.

    Raises:
      QemuError: the program cannot be built, or does not come to its end.
    """
    ops = registered_ops(tflm_dir)
    calls = [f'  resolver.{add}();\n  Report("{op}", tflm::BuiltinOperator_{op}, resolver);' for op, add in ops.items()]
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / "main.cc", _MAIN.format(num_ops=len(ops), calls="\n".join(calls)).encode())
    write_atomically(folder / "Makefile", _MAKEFILE.format(ops=" ".join(ops)).encode())
    write_atomically(folder / "sizes_model_data.cc", b"")
    image = build_program(folder, core, tflm_settings(tflm_dir, downloads), cmsis_nn=cmsis_nn_dir)
    found = run_image(image, core=short_core(core)).results
    missing = [op for op in ops if f"D_{op}" not in found]
    if missing:
        raise QemuError(f"the program ended before {missing[0]} on {core}")
    return {op: (int(found[f"D_{op}"]), int(found[f"O_{op}"]), int(found[f"A_{op}"]) or 1) for op in ops}


def table(
    cores: Sequence[str], tflm_dir: Path, cmsis_nn_dir: Path, folder: Path, *, downloads: Path | None = None
) -> Mapping[str, OpSizes]:
    """The table, which holds on all these cores.

    Raises:
      QemuError: as `measured`, or two cores differ.
    """
    tables = []
    for core in cores:
        reference, cmsis_nn = (
            measured(core, tflm_dir, kernels, folder / short_core(core) / name, downloads=downloads)
            for name, kernels in (("reference", None), ("cmsis_nn", cmsis_nn_dir))
        )
        tables.append({op: OpSizes(n[0], cmsis_nn[op][0], n[1], n[2]) for op, n in reference.items()})
    for core, other in zip(cores[1:], tables[1:], strict=True):
        differing = [op for op in other if other[op] != tables[0][op]]
        if differing:
            raise QemuError(f"{differing[0]} takes other bytes on {core} than on {cores[0]}")
    return tables[0]


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="op_sizes", description=__doc__.splitlines()[0])
    parser.add_argument("--tflm_dir", type=Path, required=True, help="checkout of tflite-micro")
    parser.add_argument(
        "--tflm_downloads",
        type=Path,
        default=os.environ.get("TFLM_DOWNLOADS"),
        help="flatbuffers, gemmlowp and ruy, where TFLM has not put them",
    )
    parser.add_argument("--cmsis_nn_dir", type=Path, required=True, help="checkout of CMSIS-NN")
    parser.add_argument("--cores", nargs="+", type=core_named, choices=CORES, default=("cortex-m4", "cortex-m55"))
    parser.add_argument("--output", type=Path, default=OUTPUT)
    flags = parser.parse_args(arguments)
    with tempfile.TemporaryDirectory(prefix="op_sizes_") as temporary:
        folders = flags.tflm_dir, flags.cmsis_nn_dir, Path(temporary)
        try:
            rows = table(flags.cores, *folders, downloads=flags.tflm_downloads)
        except QemuError as error:
            print(f"op_sizes: {error}", file=sys.stderr)
            return 1
    write_atomically(flags.output, to_csv(rows).encode())
    print(f"{len(rows)} ops -> {flags.output}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
