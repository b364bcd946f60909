"""The C++ that documents show compiles: against TFLM's headers where TFLM_DIR is set, else against our ABI page."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.support.networks import inverted_residual
from tests.support.plans import split
from tests.support.streamed import streamed
from tflm_quantmcu.converter.convert import convert_model
from tflm_quantmcu.converter.emit.project import emit
from tflm_quantmcu.tflite.reader import read_model

ROOT = Path(__file__).resolve().parents[1]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "tflm_kernels").rglob("*.md"))]

# What a document's resolver needs of TFLM beside the C structs; that all ops have a place is checked here.
WITHOUT_TFLM = """
#include "tflm_kernels/micro/fast_ops.h"
#include "tflm_kernels/micro/register.h"
#define TF_LITE_ENSURE_STATUS(a) do { const TfLiteStatus s = (a); if (s != kTfLiteOk) return s; } while (0)
namespace tflite {
template <unsigned kOpCount>
struct MicroMutableOpResolver {
  TfLiteStatus AddCustom(const char*, const TFLMRegistration*) {
    static_assert(kOpCount >= quantmcu::kNumOps, "RegisterOps needs more places");
    return ++used <= kOpCount ? kTfLiteOk : kTfLiteError;
  }
  TfLiteStatus AddReshape() { return ++used <= kOpCount ? kTfLiteOk : kTfLiteError; }
  TfLiteStatus AddSoftmax() { return AddReshape(); }
  TfLiteStatus AddConv2D(const TFLMRegistration&) { return AddReshape(); }
  TfLiteStatus AddDepthwiseConv2D(const TFLMRegistration&) { return AddReshape(); }
  TfLiteStatus AddFullyConnected(const TFLMRegistration&) { return AddReshape(); }
  TfLiteStatus AddAdd(const TFLMRegistration&) { return AddReshape(); }
  TfLiteStatus AddAveragePool2D(const TFLMRegistration&) { return AddReshape(); }
  TfLiteStatus AddMaxPool2D(const TFLMRegistration&) { return AddReshape(); }
  unsigned used = 0;
};
}  // namespace tflite
"""
WITH_TFLM = """
#include "tensorflow/lite/micro/micro_mutable_op_resolver.h"
#include "tflm_kernels/micro/fast_ops.h"
#include "tflm_kernels/micro/register.h"
"""


def resolver_snippets(document: Path) -> list[str]:
    blocks = re.findall(r"```cpp\n(.*?)```", document.read_text(encoding="utf-8"), re.DOTALL)
    return [block for block in blocks if "Resolver<" in block]


SNIPPETS = [(document.name, text) for document in DOCUMENTS for text in resolver_snippets(document)]


def compile_body(tmp_path: Path, body: str) -> subprocess.CompletedProcess[str]:
    """Compiles statements as a function that returns a status."""
    tflm = os.environ.get("TFLM_DIR")
    source = tmp_path / "snippet.cc"
    prelude = WITH_TFLM if tflm else WITHOUT_TFLM
    source.write_text(f"{prelude}\nTfLiteStatus SetUp() {{\n{body}\n  return kTfLiteOk;\n}}\n")
    command = ["g++", "-std=c++17", "-fsyntax-only", "-Werror=unused-result", "-DTF_LITE_STATIC_MEMORY", f"-I{ROOT}"]
    if tflm:
        downloads = os.environ.get("TFLM_DOWNLOADS", f"{tflm}/tensorflow/lite/micro/tools/make/downloads")
        command += ["-DQUANTMCU_USE_TFLM_HEADERS", f"-I{tflm}"]
        command += [f"-I{downloads}/{name}" for name in ("flatbuffers/include", "gemmlowp", "ruy")]
    return subprocess.run([*command, str(source)], capture_output=True, text=True)


def test_the_readme_shows_a_resolver():
    assert "README.md" in [name for name, _ in SNIPPETS]


@pytest.mark.parametrize("text", [text for _, text in SNIPPETS], ids=[name for name, _ in SNIPPETS])
def test_resolvers_of_documents_compile_and_have_room(tmp_path, text):
    found = compile_body(tmp_path, text)
    assert found.returncode == 0, found.stderr
    assert re.search(r"kNum(Fast)?Ops \+", text)  # a plain number is wrong as soon as there is another op


@pytest.mark.skipif("TFLM_DIR" in os.environ, reason="TFLM's resolver finds a lack of places at run time only")
def test_too_few_places_do_not_compile(tmp_path):
    text = "tflite::MicroMutableOpResolver<8> resolver;\nTF_LITE_ENSURE_STATUS(quantmcu::RegisterOps(resolver));"
    assert "RegisterOps needs more places" in compile_body(tmp_path, text).stderr


def test_a_dropped_status_does_not_compile(tmp_path):
    text = "tflite::MicroMutableOpResolver<20> resolver;\nquantmcu::RegisterOps(resolver);"
    assert "nodiscard" in compile_body(tmp_path, text).stderr


# What documents call and leave to the reader: the application's own.
APPLICATION = """
#include <stdint.h>
#include <string.h>
uint8_t image[1 << 16];
void CopyLine(int32_t y, int32_t x, int32_t width, uint8_t* pixels);
void Feed(void);
void ServeRadio(void);
void Log(const char* sentence);
uint8_t* memory;
uint32_t num_bytes;
"""
_FUNCTION = re.compile(r"^\w[\w:*& ]* \w+\([^;]*?\) \{.*?^\}\n", re.MULTILINE | re.DOTALL)
_DECLARATION = re.compile(r"^(?:#include .*|(?:alignas|static _Alignas)\b.*)\n", re.MULTILINE)
AHEAD_OF_TIME = (ROOT / "docs/emit.md").read_text(encoding="utf-8").split("\n## `--target tflm`")[0]
DEVICE_SNIPPETS = re.findall(r"```(cpp|c)\n(.*?)```", AHEAD_OF_TIME, re.DOTALL)


@pytest.fixture(scope="module")
def projects(tmp_path_factory: pytest.TempPathFactory) -> dict[bool, Path]:
    """An emitted model `resnet8`, by whether its input is streamed."""
    model = inverted_residual()
    plan = split(read_model(model))
    folders = {False: tmp_path_factory.mktemp("resident"), True: tmp_path_factory.mktemp("streamed")}
    for is_streamed, folder in folders.items():
        made = convert_model(model, streamed(plan) if is_streamed else plan)
        emit(made, output_dir=folder, name="resnet8", bundle=False, num_samples=1)
    return folders


@pytest.mark.parametrize(("language", "text"), DEVICE_SNIPPETS)
def test_what_the_page_on_emitted_code_shows_compiles(
    projects: dict[bool, Path], tmp_path: Path, language: str, text: str
) -> None:
    definitions = "".join(_DECLARATION.findall(text)) + "".join(_FUNCTION.findall(text))
    body = _FUNCTION.sub("", _DECLARATION.sub("", text))
    header = "resnet8.h" if language == "cpp" else "resnet8_c.h"
    arena = "" if "uint8_t arena[" in text else "uint8_t arena[1 << 16];\n"
    source = tmp_path / f"snippet.{'cc' if language == 'cpp' else 'c'}"
    source.write_text(
        f'{APPLICATION}#include "{header}"\n{arena}{definitions}void Use(void);\nvoid Use(void) {{\n{body}}}\n'
    )
    standard = "-std=c++17" if language == "cpp" else "-std=c11"
    flags = [standard, "-fsyntax-only", "-Werror=unused-result", f"-I{ROOT}", f"-I{projects['ReadCamera' in text]}"]
    found = subprocess.run(["g++" if language == "cpp" else "gcc", *flags, str(source)], capture_output=True, text=True)
    assert found.returncode == 0, found.stderr
