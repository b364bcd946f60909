"""Compares a model on this host with the same model on a core in QEMU, map by map, by CRC32.

In: a `.tflite` and samples. Out: CoreDiff. It emits the model's project, whose test records what TFLM and the oracle
give here for each op, maps inside patch stages included, and builds and runs it for the core.
"""

from __future__ import annotations

import dataclasses
import os
import re
import shutil
import subprocess
import sys
import tempfile

from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.base.suggest import did_you_mean
from tflm_quantmcu.converter.emit.project import emit
from tflm_quantmcu.graph.layer_names import layer_of
from tflm_quantmcu.graph.target import CORES, core_named
from tflm_quantmcu.stage.custom_ops import PATCH_STAGE, decode_options
from tflm_quantmcu.stage.remarks import layers_of
from tflm_quantmcu.tflite.model_file import ModelFile

_TOOLS = {
    "make": "make",
    "arm-none-eabi-g++": "gcc-arm-none-eabi libnewlib-arm-none-eabi libstdc++-arm-none-eabi-newlib",
    "qemu-system-arm": "qemu-system-arm",
}
_DIFFERENT = re.compile(r"DIFFERENT_SAMPLE=(\d+)\s+DIFFERENT_OP=(\d+)")
_PASSED = "~~~ALL TESTS PASSED~~~"
_LAST_LINES = 5


@dataclasses.dataclass(frozen=True)
class CoreDiff:
    """What the core computed otherwise.

    Attributes:
      core: that ran the model.
      num_samples, num_ops: that were compared; of a stage all that its kernels wrote counts as its op.
      first: a sentence on the first op that differs; "" where none does.
      num_different: pairs of sample and op that differ.
    """

    core: str
    num_samples: int
    num_ops: int
    first: str
    num_different: int

    def __str__(self) -> str:
        what = f"{self.core} beside this host, CRC32 of {self.num_ops} ops' maps on {self.num_samples} samples"
        if not self.first:
            return f"{what}: all equal"
        return f"{what}: {self.num_different} differ, first {self.first}"


def diff_core(model: ModelFile, inputs: str | os.PathLike[str] | None, core: str, *, num_samples: int) -> CoreDiff:
    """Runs the model on a core.

    Args:
      model: the `.tflite`.
      inputs: `.npz` whose first samples are taken.
      core: as `emit` names cores.
      num_samples: that are compared.

    Raises:
      UsageError: a tool is missing, or the project could not be built or did not come to its end.
    """
    require_core(core)
    with tempfile.TemporaryDirectory() as folder:
        emit(model.data, output_dir=folder, target="aot", core=core_named(core), inputs=inputs, num_samples=num_samples)
        return run_project(model, folder, core_named(core), num_samples=num_samples)


def require_core(core: str) -> None:
    """Refuses what can be built for no core, or not here.

    Raises:
      UsageError: no such core, or a tool is missing; the sentence names Debian's packages.
    """
    if core_named(core) not in CORES:
        raise UsageError(f"--core is {core}; supported are {', '.join(CORES)}{did_you_mean(core, CORES)}")
    missing = [packages for tool, packages in _TOOLS.items() if shutil.which(tool) is None]
    if missing:
        raise UsageError(f"--core needs a cross compiler and QEMU: apt-get install {' '.join(missing)}")


def run_project(model: ModelFile, folder: str | os.PathLike[str], core: str, *, num_samples: int) -> CoreDiff:
    """Builds and runs the test of an emitted project; arguments and errors as of `diff_core`."""
    command = ["make", "-s", "-C", os.fspath(folder), "test", f"CORE={core}", f"PYTHON={sys.executable}"]
    done = subprocess.run(command, capture_output=True, text=True)
    found = [(int(sample), int(op)) for sample, op in _DIFFERENT.findall(done.stdout)]
    if not found and _PASSED not in done.stdout:
        told = " ".join((done.stdout + done.stderr).strip().splitlines()[-_LAST_LINES:])
        raise UsageError(f"the test of the emitted project did not run to its end on {core}: {told}")
    first = f"{_place(model, found[0][1])} on sample {found[0][0]}" if found else ""
    return CoreDiff(core, num_samples, len(model.graph.ops), first, len(found))


def _place(model: ModelFile, index: int) -> str:
    graph = model.graph
    op = graph.ops[index]
    layer = layer_of(graph, graph.tensors[op.outputs[0]])
    inside = layers_of(decode_options(op.custom_options)) if op.kind == PATCH_STAGE else []
    return f"layer '{layer}' ({op.kind}, op {index})" + (f" with {', '.join(inside)} inside" if inside else "")
