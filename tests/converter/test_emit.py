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
from tflm_quantmcu.arena.machine import CORTEX_M
from tflm_quantmcu.arena.persistent import replay_allocation
from tflm_quantmcu.base.errors import UnsupportedModelError, UsageError
from tflm_quantmcu.converter.convert import convert_model
from tflm_quantmcu.converter.emit.calls import calls_of
from tflm_quantmcu.converter.emit.memory_plan import plan_memory
from tflm_quantmcu.converter.emit.project import emit
from tflm_quantmcu.graph.target import DSP, KERNEL_VARIANTS, MVE, PLAIN, REFERENCE, variant_of
from tflm_quantmcu.law.stage_kernels import Kernels
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.runtime.samples import random_samples
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.reader import read_model
from tools import fault_injection

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


@pytest.mark.parametrize(
    ("recorded", "failure"),
    [
        (r"0x\w+(?=,  // of the outputs)", "FAILED: outputs: not those recorded"),
        (r"0x\w+(?=,  // of the constants)", "FAILED: constants: not those emitted"),
        (r"(?<=kMapCrc32s\[\] = \{\n)\d+", r"DIFFERENT_OP=0\s+FAILED: maps: not those recorded"),
    ],
)
def test_the_test_program_fails_where_anything_differs(recorded: str, failure: str, tmp_path: Path) -> None:
    emit(VERSIONS["mixed widths 0"](), output_dir=tmp_path)
    main = tmp_path / "main.cc"
    text, count = re.subn(recorded, "305419896", main.read_text())
    assert count == 1
    main.write_text(text)
    with pytest.raises(AssertionError, match=failure):
        make(tmp_path, "test")


@pytest.mark.parametrize("version", ["8-bit", "mixed widths 0", "streamed at mixed widths"])
def test_the_test_program_notices_single_bit_faults(version: str, tmp_path: Path) -> None:
    project = fault_injection.FaultyProject(emit(VERSIONS[version](), output_dir=tmp_path))
    faults = fault_injection.choose_faults(fault_injection.sites_of(project.source), 9, seed=0)
    assert [fault.site.kind for fault in faults] == 3 * ["weights", "tables", "code"]
    assert [reason for _, reason in fault_injection.inject(project, faults) if not reason] == []


def test_the_test_program_notices_faults_in_steps(tmp_path: Path) -> None:
    project = fault_injection.FaultyProject(emit(VERSIONS["mixed widths 0"](), output_dir=tmp_path))
    begin, end = project.source.index("\nStatus Step("), project.source.index("\nbool IsPlanRight(")
    sites = [s for s in fault_injection.sites_of(project.source) if begin < s.begin < end]
    faults = [fault_injection.Fault(site, 1) for site in sites[:: max(1, len(sites) // 5)]]
    assert len(faults) >= 5
    assert [reason for _, reason in fault_injection.inject(project, faults) if not reason] == []


@pytest.mark.parametrize(
    ("text", "bit", "bits", "wanted"),
    [
        ("200", 3, 8, "192"),
        ("0", 7, 8, "128"),
        ("5", 31, 32, "-2147483643"),
        ("-1", 0, 32, "-2"),
        ("1.0f", 22, 32, "1.5f"),
    ],
)
def test_a_fault_flips_one_bit(text: str, bit: int, bits: int, wanted: str) -> None:
    assert fault_injection.flipped(text, bit, bits) == wanted


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


def test_a_project_builds_and_passes_without_a_checkout(tmp_path: Path) -> None:
    project = emit(VERSIONS["mixed widths 1"](), output_dir=tmp_path / "here", name="small")
    moved = (tmp_path / "here").rename(tmp_path / "there")
    assert "~~~ALL TESTS PASSED~~~" in make(moved, "test", QUANTMCU_DIR="quantmcu")
    dependencies = "".join(path.read_text() for path in moved.rglob("build/**/*.d"))
    assert str(ROOT) not in dependencies
    used = {Path(name).resolve() for name in re.findall(r"[^\s:\\]+", dependencies)}
    bundled = [path for path in (moved / "quantmcu").rglob("*") if path.suffix in (".cc", ".h")]
    on_host = [p for p in bundled if "cortex_m" not in p.parts and p.parent.name != "boards"]
    assert [p for p in on_host if not any(u.match(f"*/{p.relative_to(moved)}") for u in used)] == []
    for path in bundled:
        assert "under the Apache License 2.0: see LICENSE." in path.read_text().split("\n")[0]
    assert (moved / "quantmcu/LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()
    assert project.is_bundled


def test_without_a_bundle_a_project_refers_to_the_sources(tmp_path: Path) -> None:
    project = emit(MODEL, output_dir=tmp_path, bundle=False)
    assert not (tmp_path / "quantmcu").exists()
    assert f"make -C {tmp_path} test QUANTMCU_DIR={ROOT}" in project.summary
    assert "~~~ALL TESTS PASSED~~~" in make(tmp_path, "test")


@pytest.mark.parametrize(("core", "folder"), [("host", "host"), ("cortex-m4", "m4"), ("m4", "m4")])
def test_make_takes_the_names_of_cores_that_emit_takes(core: str, folder: str, tmp_path: Path) -> None:
    emit(MODEL, output_dir=tmp_path)
    command = ["make", "-n", "-C", str(tmp_path), f"CORE={core}"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    assert f"-o build/{folder}/main" in printed
    assert ("-mcpu=cortex-m4" in printed) == (folder == "m4")


def test_make_refuses_a_core_that_is_none(tmp_path: Path) -> None:
    emit(MODEL, output_dir=tmp_path)
    done = subprocess.run(["make", "-C", str(tmp_path), "CORE=cortex-a72"], capture_output=True, text=True)
    assert done.returncode != 0
    assert "CORE is 'a72'; supported are host, cortex-m0plus cortex-m3 cortex-m4" in done.stderr


def test_the_first_samples_of_inputs_are_embedded(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(MODEL)
    x = np.arange(24 * 24 * 3, dtype=np.int64).astype(np.int8).reshape(1, 24, 24, 3)
    samples = np.concatenate([x + np.int8(i) for i in range(9)])
    np.savez(tmp_path / "x.npz", x=samples)
    emit(tmp_path / "m.tflite", output_dir=tmp_path / "project", inputs=tmp_path / "x.npz")
    text = (tmp_path / "project/main.cc").read_text()
    (body,) = re.findall(r"kInput\[\] = \{([^}]*)\}", text)
    assert np.array_equal(np.array([int(v) for v in body.split(",")], np.uint8), samples[:8].view(np.uint8).ravel())


def test_samples_of_a_calibration_come_first_and_random_ones_fill_up(tmp_path: Path) -> None:
    x = random_samples(read_model(MODEL).input_tensors[0], 3, seed=5)
    np.savez(tmp_path / "calibration.npz", samples=x)
    emit(MODEL, output_dir=tmp_path / "project", inputs=tmp_path / "calibration.npz")
    text = (tmp_path / "project/main.cc").read_text()
    (body,) = re.findall(r"kInput\[\] = \{([^}]*)\}", text)
    samples = np.array([int(v) for v in body.split(",")], np.uint8).view(np.int8).reshape(8, *x.shape[1:])
    assert np.array_equal(samples[:3], x)
    assert len(np.unique(samples[3:].reshape(5, -1), axis=0)) == 5


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
    assert 'AddCustom("QMCU_PATCH_STAGE", quantmcu::RegisterKnownPatchStage<kStageKernels, kStages>())' in ops
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
        r"small: arena [\d,]+ bytes; wrote small.h, .*small.cc, main.cc, Makefile, CMakeLists.txt, BUILD, quantmcu/\n",
        printed,
    )
    assert f"make -C {tmp_path / 'p'} test\n" in printed
    assert "CORE ?= m4" in (tmp_path / "p/Makefile").read_text()


def refusal(tmp_path: Path, model: bytes = MODEL, **flags: object) -> str:
    (tmp_path / "m.tflite").write_bytes(model)
    with pytest.raises((UsageError, UnsupportedModelError)) as caught:
        emit(tmp_path / "m.tflite", output_dir=tmp_path / "project", **flags)  # type: ignore[arg-type]
    assert not (tmp_path / "project").exists()
    return str(caught.value)


def test_an_op_without_a_kernel_is_refused_by_name(tmp_path: Path) -> None:
    net = StockModel()
    x, axis = net.input((1, 4)), net.constant(np.array([1], np.int32))
    message = refusal(tmp_path, net.build(net.stock("CUMSUM", [x, axis], schema.CumsumOptionsT(), x.shape)))
    assert "CUMSUM 'map2' (op 0) has no portable kernel; covered are" in message and "SOFTMAX" in message


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


def test_tflm_projects_set_the_least_arena_of_each_variant_aside(tmp_path: Path) -> None:
    model = VERSIONS["mixed widths 0"]()
    project = emit(model, output_dir=tmp_path, target="tflm", core="cortex-m4", name="small")
    least = {variant: replay_allocation(read_model(model), CORTEX_M, variant) for variant in KERNEL_VARIANTS}
    assert all(found.is_exact for found in least.values())
    header = (tmp_path / "small_model_data.h").read_text()
    host, *on_cores = map(int, re.findall(r"#define SMALL_ARENA_BYTES (\d+)", header))
    assert on_cores == [least[variant].needed_bytes for variant in (MVE, DSP, PLAIN, REFERENCE)]
    assert project.arena_bytes == least[DSP].needed_bytes < host
