"""Whether the real TFLM prepares and runs a model on a Cortex-M in a tensor arena of so many bytes, in QEMU, and in
how many instructions.

In: a checkout of tflite-micro (TFLM_DIR, and TFLM_DOWNLOADS as docs/emit.md says), and the kinds of ops that models
have. Out: an image that holds TFLM and these ops, into whose memory any model is put before it starts, so that it is
built once a core. Refuses what cannot be built.
"""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np

from tflm_quantmcu.arena.fast_ops import FAST_OPS
from tflm_quantmcu.base.files import write_atomically
from tflm_quantmcu.converter.emit.tflm import resolver_call
from tflm_quantmcu.graph.target import CMSIS_NN, QUANTMCU, STOCK_REFERENCE, short_core
from tflm_quantmcu.stage.custom_ops import PREFIX
from tflm_quantmcu.tflite.reader import read_model
from tools.qemu_run import QemuError, run_image
from tools.tflm_build import build_program, tflm_folders

_NAME = "prepare"
_ARENA_BYTES = 8 << 20  # of the 16 MB that boards have beside code; the rest is the model's
_MAKEFILE = """NAME := prepare
TFLM_OPS := {builtin_ops}
include $(QUANTMCU_DIR)/tflm_kernels/micro/project.mk
"""
_MAIN = """// Whether AllocateTensors succeeds in 16 bytes less than asked for, and in these, which a guard follows.
#include <string.h>

#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"
#include "tflm_kernels/boards/guard.h"
#include "tflm_kernels/boards/measure.h"
#include "tflm_kernels/boards/report.h"
#include "tflm_kernels/micro/fast_ops.h"
#include "tflm_kernels/micro/input_reader.h"
#include "tflm_kernels/micro/register.h"
#include "tflm_kernels/micro/tflm.h"

namespace tflm = quantmcu::tflm;

// Put behind the image before it starts.
struct Request {{
  uint32_t num_bytes;
  uint32_t has_fast_ops;
  uint32_t is_run;
  uint32_t padding;
  uint8_t model[1];
}};
extern "C" {{
alignas(16) uint8_t arena[{arena_bytes}] __attribute__((section(".arena")));  // the last of the image
extern const Request request;
}}
asm(".globl request; .set request, arena + {arena_bytes}");

TfLiteStatus RegisterOps(tflm::MicroMutableOpResolver<{num_ops}>& resolver) {{
{calls}
  return quantmcu::RegisterOps(resolver);
}}

// Pressed against the guard.
uint8_t* End() {{
  const uintptr_t end = reinterpret_cast<uintptr_t>(arena) + {arena_bytes} - quantmcu::kGuardBytes;
  return reinterpret_cast<uint8_t*>(end / quantmcu::kGuardBytes * quantmcu::kGuardBytes);
}}

TfLiteStatus invoked;

void Invoke(const void* interpreter) {{
  invoked = static_cast<tflm::MicroInterpreter*>(const_cast<void*>(interpreter))->Invoke();
}}

bool IsRun(tflm::MicroInterpreter& interpreter) {{
  for (size_t i = 0; i < interpreter.inputs_size(); ++i) {{
    memset(interpreter.input(i)->data.raw, 0, interpreter.input(i)->bytes);
  }}
  quantmcu::ReportCount("INVOKE", quantmcu::MeasureInstructions(Invoke, &interpreter));
  return invoked == kTfLiteOk;
}}

bool Prepares(size_t num_bytes, bool is_run) {{
  tflm::MicroMutableOpResolver<{num_ops}> resolver;
  if (RegisterOps(resolver) != kTfLiteOk) return false;
  tflm::MicroInterpreter interpreter(tflm::GetModel(request.model), resolver, End() - num_bytes, num_bytes);
  return interpreter.AllocateTensors() == kTfLiteOk && (!is_run || IsRun(interpreter));
}}

int main() {{
  quantmcu::SetInputReader({{[](void*, const quantmcu::InputRegion&) {{ return true; }}, nullptr}});
  // TFLM itself may write beyond an arena that is too small, so nothing is guarded yet.
  quantmcu::ReportCount("LESS", Prepares(request.num_bytes - 16, false));
  quantmcu::ReportCount("GUARDED", quantmcu::BoardGuard(0, End()));
  quantmcu::ReportCount("ENOUGH", Prepares(request.num_bytes, request.is_run != 0));
  return 0;
}}
"""


@dataclasses.dataclass(frozen=True)
class CoreImage:
    """TFLM on a core.

    Attributes:
      core: `cortex-m4` and its like.
      path: of the image.
      builtin_ops: kinds of TFLM's ops that it has.
      has_cmsis_nn: TFLM is built with CMSIS-NN's kernels; else with its reference kernels, and ours beside them.
    """

    core: str
    path: Path
    builtin_ops: frozenset[str]
    has_cmsis_nn: bool = False

    @property
    def stock_kernels(self) -> tuple[str, ...]:
        """Those of STOCK_KERNELS that it can run."""
        return (CMSIS_NN,) if self.has_cmsis_nn else (QUANTMCU, STOCK_REFERENCE)

    def prepares(
        self, model: bytes, num_bytes: int, *, stock_kernels: str = QUANTMCU, is_run: bool = False
    ) -> tuple[bool, bool]:
        """Whether AllocateTensors succeeds in `num_bytes` of arena, and in 16 less.

        Behind the arena stands a guard (boards/guard.h): a read or write there ends the image.

        Args:
          model: the `.tflite`.
          num_bytes: of the arena, a multiple of 16.
          stock_kernels: of the ops that stay TFLite's own, one that the image has.
          is_run: whether an inference on zeros must succeed as well.

        Raises:
          QemuError: the image lacks an op of the model, or does not come to its end.
        """
        results = self._results(model, num_bytes, stock_kernels, is_run)
        return results["ENOUGH"] == "1", results["LESS"] == "1"

    def invoke_instructions(self, model: bytes, num_bytes: int, *, stock_kernels: str = QUANTMCU) -> int:
        """What Invoke takes on zeros.

        Args:
          model, num_bytes, stock_kernels: as of `prepares`.

        Raises:
          QemuError: as of `prepares`, and where the model does not run in these bytes.
        """
        results = self._results(model, num_bytes, stock_kernels, True)
        if results["ENOUGH"] != "1":
            raise QemuError(f"the model does not run in {num_bytes:,} bytes on {self.core}")
        return int(results["INVOKE"])

    def _results(self, model: bytes, num_bytes: int, stock_kernels: str, is_run: bool) -> Mapping[str, str]:
        assert stock_kernels in self.stock_kernels
        kinds = {op.kind for op in read_model(model).ops if not op.kind.startswith(PREFIX)}
        if missing := sorted(kinds - self.builtin_ops):
            raise QemuError(f"{self.path} was built without {', '.join(missing)}")
        with tempfile.TemporaryDirectory(prefix="tflm_on_core_") as folder:
            request = Path(folder) / "request"
            head = np.array([num_bytes, stock_kernels == QUANTMCU, is_run, 0], "<u4")
            request.write_bytes(head.tobytes() + model)
            run = run_image(self.path, core=short_core(self.core), memory={"request": request})
        if not {"ENOUGH", "LESS"} <= run.results.keys():
            raise QemuError(f"{self.path} ended early on {self.core}: {run.output.strip()}")
        return run.results


def build_image(
    core: str, kinds: Iterable[str], folder: Path, *, cmsis_nn: str | None = None, **flags: str
) -> CoreImage:
    """Builds the image with the ops of these kinds, stock and ours.

    Args:
      core: `cortex-m4` and its like.
      kinds: of the models' ops, as TFLite and we call them.
      folder: for the image; its objects stand where `build_program` has them.
      cmsis_nn: a checkout of CMSIS-NN, on whose kernels TFLM's own ops then run; None for its reference kernels.
      flags: `flags` of `build_program`.

    Raises:
      QemuError: TFLM_DIR is not set, or a build failed.
    """
    settings = tflm_folders()
    if settings is None:
        raise QemuError("TFLM_DIR is not set; it names a checkout of tflite-micro")
    builtin_ops = sorted(kind for kind in set(kinds) if not kind.startswith(PREFIX))
    calls = "\n".join(f"  TF_LITE_ENSURE_STATUS(resolver.{_adder(kind)});" for kind in builtin_ops)
    files = {
        "main.cc": _MAIN.format(
            num_ops=f"quantmcu::kNumOps + {len(builtin_ops)}", calls=calls, arena_bytes=_ARENA_BYTES
        ),
        "Makefile": _MAKEFILE.format(builtin_ops=" ".join(builtin_ops)),
        f"{_NAME}_model_data.cc": "",  # a project has one; here the model comes with each run
    }
    project = folder / short_core(core)
    project.mkdir(parents=True, exist_ok=True)
    for name, text in files.items():
        if not (project / name).is_file() or (project / name).read_text() != text:
            write_atomically(project / name, text.encode())
    image = build_program(project, core, settings, cmsis_nn=cmsis_nn, **flags)
    return CoreImage(core, image, frozenset(builtin_ops), cmsis_nn is not None)


def _adder(kind: str) -> str:
    """The call that adds an op, of ours where the request says so."""
    call = resolver_call(kind)
    if kind not in FAST_OPS:
        return call
    name, fast = call.removesuffix(")").split("(", 1)
    return f"{name}(request.has_fast_ops ? {fast} : tflm::Register_{kind}())"
