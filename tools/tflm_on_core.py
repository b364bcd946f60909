"""Whether the real TFLM prepares a model on a Cortex-M in a tensor arena of so many bytes, in QEMU.

In: a checkout of tflite-micro (TFLM_DIR, and TFLM_DOWNLOADS as docs/emit.md says), and the kinds of ops that models
have. Out: an image that holds TFLM and these ops, into whose memory any model is put before it starts, so that it is
built once a core. Refuses what cannot be built.
"""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from pathlib import Path

from tflm_quantmcu.base.files import write_atomically
from tflm_quantmcu.converter.emit.tflm import resolver_call
from tflm_quantmcu.graph.target import short_core
from tflm_quantmcu.stage.custom_ops import PREFIX
from tools.qemu_run import QemuError, run_image

ROOT = Path(__file__).resolve().parents[1]

_NAME = "prepare"
_ARENA_BYTES = 8 << 20  # of the 16 MB that boards have beside code; the rest is the model's
_MAKEFILE = """NAME := prepare
TFLM_OPS := {builtin_ops}
include $(QUANTMCU_DIR)/tflm_kernels/micro/project.mk
"""
_MAIN = """// Whether AllocateTensors succeeds in the bytes asked for, and in 16 less.
#include "tensorflow/lite/micro/micro_interpreter.h"
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tensorflow/lite/schema/schema_generated.h"
#include "tflm_kernels/boards/report.h"
#include "tflm_kernels/micro/input_reader.h"
#include "tflm_kernels/micro/register.h"
#include "tflm_kernels/micro/tflm.h"

namespace tflm = quantmcu::tflm;

// Put behind the image before it starts.
struct Request {{
  uint32_t num_bytes;
  uint32_t padding[3];
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

bool Prepares(size_t num_bytes) {{
  tflm::MicroMutableOpResolver<{num_ops}> resolver;
  if (RegisterOps(resolver) != kTfLiteOk) return false;
  tflm::MicroInterpreter interpreter(tflm::GetModel(request.model), resolver, arena, num_bytes);
  return interpreter.AllocateTensors() == kTfLiteOk;
}}

int main() {{
  quantmcu::SetInputReader({{[](void*, const quantmcu::InputRegion&) {{ return true; }}, nullptr}});
  quantmcu::ReportCount("ENOUGH", Prepares(request.num_bytes));
  quantmcu::ReportCount("LESS", Prepares(request.num_bytes - 16));
  return 0;
}}
"""


def tflm_folders() -> dict[str, str] | None:
    """TFLM_DIR and TFLM_DOWNLOADS, or None where the first is not set."""
    tflm = os.environ.get("TFLM_DIR")
    if not tflm:
        return None
    downloads = os.environ.get("TFLM_DOWNLOADS", f"{tflm}/tensorflow/lite/micro/tools/make/downloads")
    return {"TFLM_DIR": tflm, "TFLM_DOWNLOADS": downloads}


@dataclasses.dataclass(frozen=True)
class CoreImage:
    """TFLM on a core."""

    core: str
    path: Path

    def prepares(self, model: bytes, num_bytes: int) -> tuple[bool, bool]:
        """Whether AllocateTensors succeeds in `num_bytes` of arena, and in 16 less.

        Raises:
          QemuError: the image does not come to its end.
        """
        with tempfile.TemporaryDirectory(prefix="tflm_on_core_") as folder:
            request = Path(folder) / "request"
            request.write_bytes(num_bytes.to_bytes(16, "little") + model)
            run = run_image(self.path, core=short_core(self.core), memory={"request": request})
        if not {"ENOUGH", "LESS"} <= run.results.keys():
            raise QemuError(f"{self.path} ended early on {self.core}: {run.output.strip()}")
        return run.results["ENOUGH"] == "1", run.results["LESS"] == "1"


def build_image(core: str, kinds: Iterable[str], folder: Path) -> CoreImage:
    """Builds the image with the ops of these kinds, stock and ours; objects in `folder` are used again.

    Args:
      core: `cortex-m4` and its like.
      kinds: of the models' ops, as TFLite and we call them.
      folder: for the image and its objects.

    Raises:
      QemuError: TFLM_DIR is not set, or a build failed.
    """
    settings = tflm_folders()
    if settings is None:
        raise QemuError("TFLM_DIR is not set; it names a checkout of tflite-micro")
    builtin_ops = sorted(kind for kind in set(kinds) if not kind.startswith(PREFIX))
    calls = "\n".join(f"  TF_LITE_ENSURE_STATUS(resolver.{resolver_call(kind)});" for kind in builtin_ops)
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
    image = f"build/{short_core(core)}/main"
    settings |= {"CORE": core, "QUANTMCU_DIR": str(ROOT), "CXXFLAGS": "-O1", "PYTHON": sys.executable}
    command = ["make", "-s", "-j4", "-C", str(project), image, *(f"{k}={v}" for k, v in settings.items())]
    built = subprocess.run(command, capture_output=True, text=True)
    if built.returncode:
        raise QemuError(f"TFLM for {core} cannot be built: {built.stderr[-2000:]}")
    return CoreImage(core, project / image)
