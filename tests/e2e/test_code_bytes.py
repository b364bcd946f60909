"""What is said of our code in flash is what the linker keeps of it in the image of an application."""

from __future__ import annotations

import functools
import re
import subprocess
from pathlib import Path

import pytest

from tests.support import networks, shared_data
from tests.support.cortex_m import skip_without_tools
from tests.support.plans import mixed, split
from tflm_quantmcu.app.code_size import code_bytes
from tflm_quantmcu.converter.convert import convert_model
from tflm_quantmcu.converter.emit.project import emit
from tflm_quantmcu.graph.target import Target, short_core
from tflm_quantmcu.tflite.reader import read_model
from tools.code_table import build_libraries
from tools.qemu_run import cores

ROOT = Path(__file__).resolve().parents[2]
SMALL = networks.inverted_residual()
APPLICATIONS = {
    "aot": """
#include "model.h"
alignas(16) uint8_t arena[MODEL_ARENA_BYTES];
int main() { return static_cast<int>(model::Invoke(arena)); }
""",
    "tflm": """
#include "model_ops.h"
const void* volatile kept;
model::OpResolver resolver;
int main() { return model::RegisterOps(resolver); }
""",
}
# In place of TFLM, of which nothing is counted: it keeps what it is given.
RESOLVER = """
#include "tflm_kernels/micro/tflm.h"
#define TF_LITE_ENSURE_STATUS(call) do { if ((call) != kTfLiteOk) return kTfLiteError; } while (0)
extern const void* volatile kept;
namespace quantmcu {
namespace tflm {
template <unsigned kCount>
struct MicroMutableOpResolver {
  TfLiteStatus AddCustom(const char*, const TFLMRegistration* op) { kept = op; return kTfLiteOk; }
  TfLiteStatus Keep() { return kTfLiteOk; }
  TfLiteStatus Keep(const TFLMRegistration& op) { kept = reinterpret_cast<const void*>(op.invoke); return kTfLiteOk; }
%s
};
}  // namespace tflm
}  // namespace quantmcu
"""
ADDER = "  template <typename... Ops> TfLiteStatus %s(const Ops&... ops) { return Keep(ops...); }"
_INPUT = re.compile(r"^ (\.\S+)\s+0x[0-9a-f]+\s+0x([0-9a-f]+) (\S+)$", re.MULTILINE)

MOST_KILOBYTES = {"as it came": 16, "in patches": 24}  # what code may grow to on the M4

libraries = functools.cache(build_libraries)


def linked_bytes(model: bytes, core: str, folder: Path, target: str) -> int:
    """Code of ours, and constants in it, in an image without the self-test; the model's own numbers left out."""
    emit(model, output_dir=folder, core=core, name="model", bundle=False, num_samples=1, target=target)
    (folder / "application.cc").write_text(APPLICATIONS[target])
    if target == "tflm":
        header = folder / "tensorflow/lite/micro/micro_mutable_op_resolver.h"
        header.parent.mkdir(parents=True)
        adders = set(re.findall(r"resolver\.(Add\w+)\(", (folder / "model_ops.h").read_text())) - {"AddCustom"}
        header.write_text(RESOLVER % "\n".join(ADDER % name for name in sorted(adders)))
    flags = [*cores()[short_core(core)]["flags"], "-mthumb", "-std=c++17", "-O2", "-fno-exceptions", "-fno-rtti"]
    flags += ["-ffunction-sections", "-fdata-sections", f"-I{ROOT}", f"-I{folder}"]
    sources = [str(folder / name) for name in ("model.cc", "application.cc") if (folder / name).is_file()]
    link = ["-nostartfiles", "--specs=nosys.specs", "-Wl,--entry=main", "-Wl,--gc-sections", f"-Wl,-Map={folder}/map"]
    link += ["-Wl,--unresolved-symbols=ignore-all"] if target == "tflm" else []  # TFLM's own
    archives = [str(path) for path in libraries(core)]
    command = ["arm-none-eabi-g++", *flags, *sources, "-Wl,--start-group", *archives, "-Wl,--end-group", *link]
    done = subprocess.run([*command, "-o", str(folder / "image")], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    placed = (folder / "map").read_text().split("Linker script and memory map", 1)[1]
    inputs = [(section, int(size, 16), name) for section, size, name in _INPUT.findall(placed)]
    ours = [n for section, n, name in inputs if ".a(" in name and "tflm_kernels/" in name and _is_kept(section)]
    own = re.compile("model::|quantmcu::Register|quantmcu::Eval")
    calls = [
        n
        for section, n, name in inputs
        if section.startswith(".text") and ".a(" not in name and own.search(demangled(section))
    ]
    assert ours
    return sum(ours) + sum(calls)


def _is_kept(section: str) -> bool:
    return section.startswith((".text", ".rodata", ".data"))


@functools.cache
def demangled(section: str) -> str:
    return subprocess.run(["c++filt", section.removeprefix(".text.")], capture_output=True, text=True).stdout


def assert_within(model: bytes, core: str, folder: Path, target: str = "aot") -> int:
    """Bytes that were found."""
    skip_without_tools()
    found = linked_bytes(model, core, folder, target)
    said = code_bytes(read_model(model), Target.of(core, None, target))
    assert said == pytest.approx(found, rel=0.03)
    return found


@pytest.mark.parametrize("core", ("cortex-m0plus", "cortex-m4", "cortex-m55"))
@pytest.mark.parametrize("version", ("as it came", "in patches", "mixed"))
@pytest.mark.parametrize("target", ("aot", "tflm"))
def test_a_small_network(target: str, version: str, core: str, tmp_path: Path) -> None:
    graph = read_model(SMALL)
    plans = {"in patches": lambda: split(graph), "mixed": lambda: mixed(graph, 0)}
    assert_within(convert_model(SMALL, plans[version]()) if version in plans else SMALL, core, tmp_path, target)


@pytest.mark.parametrize("target", ("aot", "tflm"))
@pytest.mark.parametrize("name", shared_data.CONVOLUTIONAL)
@pytest.mark.parametrize("version", ("as it came", "in patches"))
def test_real_models(name: str, version: str, target: str, tmp_path: Path) -> None:
    model = shared_data.model(name)
    if version == "in patches":
        model = convert_model(model, split(read_model(model)))
    assert assert_within(model, "m4", tmp_path, target) <= 1024 * MOST_KILOBYTES[version]
