"""Emitted code computes the bytes of TFLM in the planned arena and needs nothing but memcpy and memset."""

from __future__ import annotations

import dataclasses
import re
import subprocess
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from tests.support import networks, shared_data
from tests.support.edit_model import StockModel, edited
from tests.support.emitted import ROOT, EmittedModel, emit_and_compile, portable_objects, undefined_symbols
from tests.support.plans import mixed, split
from tests.support.streamed import streamed
from tests.support.tiny_models import TinyModel
from tflm_quantmcu import cli
from tflm_quantmcu.base.errors import UnsupportedModelError, UsageError
from tflm_quantmcu.converter.convert import convert_model
from tflm_quantmcu.converter.emit.calls import calls_of
from tflm_quantmcu.converter.emit.memory_plan import plan_memory
from tflm_quantmcu.converter.emit.project import emit
from tflm_quantmcu.graph.target import variant_of
from tflm_quantmcu.law.kernel_calls import Kernels
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.runtime.samples import random_samples
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.reader import read_model

MODEL = networks.inverted_residual()
GRAPH = read_model(MODEL)
FREESTANDING = {"memcpy", "memset", "_GLOBAL_OFFSET_TABLE_"}

VERSIONS: dict[str, Callable[[], bytes]] = {
    "8-bit": lambda: MODEL,
    "split at 8 bits": lambda: convert_model(MODEL, split(GRAPH)),
    "streamed": lambda: convert_model(MODEL, streamed(split(GRAPH))),
    "streamed, halos kept": lambda: convert_model(MODEL, streamed(split(GRAPH), cache_mode="full")),
    "streamed at mixed widths": lambda: convert_model(MODEL, streamed(mixed(GRAPH, 0))),
    "mixed widths 0": lambda: convert_model(MODEL, mixed(GRAPH, 0)),
    "mixed widths 1": lambda: convert_model(MODEL, mixed(GRAPH, 1)),
    "mixed widths 2": lambda: convert_model(MODEL, mixed(GRAPH, 2)),
}


def check_outputs(model: bytes, emitted: EmittedModel, *, num_samples: int) -> None:
    """The emitted code gives TFLM's bytes, whatever ran before."""
    interpreter = Interpreter(model)
    for seed in range(num_samples):
        inputs = [random_samples(t, 1, seed=seed) for t in interpreter.inputs]
        expected = interpreter.invoke(inputs)
        for index, (wanted, found) in enumerate(zip(expected, emitted.invoke(*inputs), strict=True)):
            assert found.tobytes() == wanted.tobytes(), f"output {index} of sample {seed}"


def check_bytes(model: bytes, emitted: EmittedModel) -> None:
    """The macro is the plan, and the plan is no larger than TFLM's."""
    graph = read_model(model)
    planned = plan_memory(graph, [calls_of(graph, op) for op in graph.ops]).arena_bytes
    assert emitted.macro("ARENA_BYTES") == planned
    assert planned <= Interpreter(model).allocations().non_persistent_bytes


@pytest.mark.parametrize("version", VERSIONS)
def test_emitted_code_equals_tflm_in_the_planned_arena(version: str, tmp_path: Path) -> None:
    model = VERSIONS[version]()
    emitted = emit_and_compile(model, tmp_path)
    check_outputs(model, emitted, num_samples=3)
    check_bytes(model, emitted)


@pytest.mark.parametrize("name", (*shared_data.CONVOLUTIONAL, "ad01_int8", "hello_world_int8"))
def test_real_models_equal_tflm(name: str, tmp_path: Path) -> None:
    model = shared_data.model(name)
    emitted = emit_and_compile(model, tmp_path, name=name)
    check_outputs(model, emitted, num_samples=2)
    check_bytes(model, emitted)


@pytest.mark.parametrize("name", shared_data.CONVOLUTIONAL)
def test_real_models_at_mixed_widths_equal_tflm(name: str, tmp_path: Path) -> None:
    source = shared_data.model(name)
    graph = read_model(source)
    model = convert_model(source, mixed(graph, seed=len(name)))
    emitted = emit_and_compile(model, tmp_path, name=name)
    check_outputs(model, emitted, num_samples=1)
    check_bytes(model, emitted)


def test_emitted_code_needs_nothing_but_kernels_memcpy_and_memset(tmp_path: Path) -> None:
    emitted = emit_and_compile(VERSIONS["mixed widths 0"](), tmp_path)
    assert undefined_symbols([emitted.object, *portable_objects()], tmp_path) <= FREESTANDING
    sections = subprocess.run(["size", "-A", str(emitted.object)], check=True, capture_output=True, text=True).stdout
    assert re.findall(r"^\.(?:data|bss) +(\d+)", sections, re.MULTILINE) == ["0", "0"], "variables of its own"


def test_several_outputs_have_an_accessor_each(tmp_path: Path) -> None:
    net = TinyModel()
    x = net.input((1, 3, 4, 2))
    model = net.build(net.logistic(x), net.reshape(x, (1, 24)), net.dequantize(net.max_pool2d(x, (2, 2))))
    emitted = emit_and_compile(model, tmp_path)
    check_outputs(model, emitted, num_samples=3)
    assert emitted.macro("OUTPUT2_BYTES") == 4 * 12


@pytest.mark.parametrize("core", ["m4", "m55"])
def test_a_plan_for_a_core_holds_its_scratch_and_runs_on_the_host(core: str, tmp_path: Path) -> None:
    model = VERSIONS["mixed widths 0"]()
    emitted = emit_and_compile(model, tmp_path, core=core)
    check_outputs(model, emitted, num_samples=1)
    graph = read_model(model)
    planned, reference = (
        plan_memory(graph, [calls_of(graph, op, variant=variant) for op in graph.ops])
        for variant in (variant_of(core), "reference")
    )
    assert emitted.macro("ARENA_BYTES") == planned.arena_bytes > reference.arena_bytes
    assert emitted.library.test_is_plan_right()


def test_tensor_names_stay_inside_their_comments(tmp_path: Path) -> None:
    def rename(tree: schema.ModelT) -> None:
        for i, tensor in enumerate(tree.subgraphs[0].tensors):
            tensor.name = f"map{i}\n#error */ é \\"

    model = edited(MODEL, rename)
    check_outputs(model, emit_and_compile(model, tmp_path), num_samples=1)


def test_the_same_model_gives_the_same_files(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(MODEL)
    first, again = (emit(tmp_path / "m.tflite", output_dir=tmp_path / d) for d in ("a", "b"))
    for name in first.files:
        assert (first.directory / name).read_bytes() == (again.directory / name).read_bytes()
    text = "".join((first.directory / name).read_text() for name in first.files)
    assert str(ROOT) not in text and str(tmp_path) not in text


@pytest.mark.parametrize("version", ["mixed widths 1", "streamed"])
def test_makefile_builds_and_passes_on_the_host(version: str, tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(VERSIONS[version]())
    emit(tmp_path / "m.tflite", output_dir=tmp_path / "project")
    output = make(tmp_path / "project", "test")
    assert "~~~ALL TESTS PASSED~~~" in output
    assert re.search(r"^STACK_BYTES=\d+$", output, re.MULTILINE)


def test_the_test_program_fails_on_another_output(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(MODEL)
    emit(tmp_path / "m.tflite", output_dir=tmp_path / "project")
    main = tmp_path / "project/main.cc"
    main.write_text(re.sub(r"kExpectedCrc32 = 0x\w+", "kExpectedCrc32 = 0x12345678", main.read_text()))
    with pytest.raises(AssertionError, match="EXPECTED_CRC32=0x12345678"):
        make(tmp_path / "project", "test")


def test_a_new_plan_in_the_same_folder_is_built_again(tmp_path: Path) -> None:
    whole, split_model = MODEL, VERSIONS["split at 8 bits"]()
    outputs = []
    for model in (whole, split_model):  # main.cc is the same text, the arena another
        emit(model, output_dir=tmp_path, name="m")
        outputs.append(make(tmp_path, "test"))
    arenas = [re.findall(r"^ARENA_BYTES=(\d+)$", output, re.MULTILINE) for output in outputs]
    assert arenas[0] != arenas[1]


def make(project: Path, target: str, **variables: str | Path) -> str:
    """Runs make in a project; its output."""
    settings = {"QUANTMCU_DIR": ROOT, "CXXFLAGS": "-O1 -Werror", **variables}
    command = ["make", "-j2", "-s", "-C", str(project), target, *(f"{k}={v}" for k, v in settings.items())]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_first_sample_of_inputs_is_embedded(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(MODEL)
    x = np.arange(24 * 24 * 3, dtype=np.int64).astype(np.int8).reshape(1, 24, 24, 3)
    np.savez(tmp_path / "x.npz", x=np.concatenate([x, x + 1]))
    emit(tmp_path / "m.tflite", output_dir=tmp_path / "project", inputs=tmp_path / "x.npz")
    text = (tmp_path / "project/main.cc").read_text()
    (body,) = re.findall(r"kInput\[\] = \{([^}]*)\}", text)
    assert np.array_equal(np.array([int(v) for v in body.split(",")], np.uint8), x.view(np.uint8).ravel())


def test_the_table_of_kernels_has_the_fields_of_the_struct() -> None:
    header = (ROOT / "tflm_kernels/portable/ops/kernels.h").read_text()
    (body,) = re.findall(r"struct Kernels \{(.*?)\};", header, re.DOTALL)
    assert [f.name for f in dataclasses.fields(Kernels)] == re.findall(r"\* (\w+);", body)


def test_tflm_projects_name_exactly_the_ops(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(VERSIONS["mixed widths 0"]())
    project = emit(tmp_path / "m.tflite", output_dir=tmp_path / "p", target="tflm", name="small")
    ops = (tmp_path / "p/small_ops.h").read_text()
    kinds = {op.kind for op in read_model(VERSIONS["mixed widths 0"]()).ops}
    assert len(re.findall(r"resolver\.Add\w+\(", ops)) == len(kinds)
    assert f"MicroMutableOpResolver<{len(kinds)}>" in ops
    assert 'AddCustom("QMCU_PATCH_STAGE", quantmcu::RegisterPatchStage<kStageKernels>())' in ops
    assert "quantmcu::kernels::DepthwiseConv2D,  // depthwise conv2d" in ops
    assert "nullptr,  // max pool2d" in ops
    assert "AddSoftmax()" in ops
    assert set(project.files) == {
        *("small_model_data.h", "small_model_data.cc", "small_ops.h", "small_test.cc", "main.cc", "Makefile", "BUILD")
    }


def test_tflm_projects_set_a_reader_before_they_allocate(tmp_path: Path) -> None:
    emit(VERSIONS["streamed"](), output_dir=tmp_path, target="tflm", name="small")
    for file in ("main.cc", "small_test.cc"):
        text = (tmp_path / file).read_text()
        assert 0 < text.index("quantmcu::SetInputReader(") < text.index("AllocateTensors()")
        assert "interpreter.input(" not in text


def test_the_command_writes_a_project_and_says_how_to_run_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "m.tflite").write_bytes(MODEL)
    flags = {"model": tmp_path / "m.tflite", "output_dir": tmp_path / "p", "core": "cortex-m4", "name": "small"}
    cli.run(["emit", *(f"--{name}={value}" for name, value in flags.items())])
    printed = capsys.readouterr().out
    assert re.search(
        r"small: arena [\d,]+ bytes; wrote small.h, small_c.h, small.cc, main.cc, Makefile, BUILD", printed
    )
    assert f"make -C {tmp_path / 'p'} test QUANTMCU_DIR={ROOT}" in printed
    assert "CORE ?= m4" in (tmp_path / "p/Makefile").read_text()


def refusal(tmp_path: Path, model: bytes = MODEL, **flags: object) -> str:
    (tmp_path / "m.tflite").write_bytes(model)
    with pytest.raises((UsageError, UnsupportedModelError)) as caught:
        emit(tmp_path / "m.tflite", output_dir=tmp_path / "project", **flags)  # type: ignore[arg-type]
    assert not (tmp_path / "project").exists()
    return str(caught.value)


def test_an_op_without_a_kernel_is_refused_by_name(tmp_path: Path) -> None:
    net = StockModel()
    x = net.input((1, 4))
    message = refusal(tmp_path, net.build(net.stock("ABS", [x], schema.AbsOptionsT(), x.shape)))
    assert "ABS 'map1' (op 0) has no portable kernel; covered are" in message and "SOFTMAX" in message


def test_flags_that_mean_nothing_are_refused(tmp_path: Path) -> None:
    assert "--target is elf; supported are aot and tflm" in refusal(tmp_path, target="elf")
    assert "--core is cortex-a72; supported are cortex-m0plus, cortex-m3" in refusal(tmp_path, core="cortex-a72")
    assert "--name is 3d; needed is a C++ identifier" in refusal(tmp_path, name="3d")
    assert "--name is float; needed is a C++ identifier" in refusal(tmp_path, name="float")


def test_a_float_model_is_refused(tmp_path: Path) -> None:
    assert "a float model" in refusal(tmp_path, shared_data.model("hello_world_float"))


@pytest.mark.parametrize(
    ("file", "name"),
    [("Person-Detect v2.tflite", "person_detect_v2"), ("3d.tflite", "model_3d"), ("int.tflite", "model_int")],
)
def test_the_name_is_made_of_the_file_name(file: str, name: str, tmp_path: Path) -> None:
    (tmp_path / file).write_bytes(MODEL)
    assert emit(tmp_path / file, output_dir=tmp_path / "project").name == name
