"""A model is made for a target: its bounds hold there, the file names it, and report and `inspect` tell every core."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import Any

import pytest

import tflm_quantmcu as qm
from tests.support import shared_data
from tests.support.edit_model import StockModel
from tests.support.least_arena import least_arena
from tests.support.networks import inverted_residual
from tests.support.plans import mixed
from tflm_quantmcu import cli
from tflm_quantmcu.app.inspection import describe_model
from tflm_quantmcu.app.reserve import (
    arena_bytes_on,
    losses_of_other_cores,
    reserved_by_core,
    unknown_persistent_bytes,
)
from tflm_quantmcu.arena.machine import CORTEX_M
from tflm_quantmcu.arena.persistent import replay_allocation
from tflm_quantmcu.arena.plan import plan_arena
from tflm_quantmcu.arena.predict import op_scratch_bytes, predict_arena
from tflm_quantmcu.base.errors import BudgetError, UsageError
from tflm_quantmcu.converter.convert import convert_model
from tflm_quantmcu.converter.emit.project import emit
from tflm_quantmcu.graph.target import ANY, CORES, DSP, KERNEL_VARIANTS, STOCK_KERNELS, Target, variant_of
from tflm_quantmcu.graph.types import ModelGraph
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.metadata import target_of
from tflm_quantmcu.tflite.model_file import ModelFile
from tflm_quantmcu.tflite.reader import load_model_t, read_model

MODEL = inverted_residual()
FIGURES = {
    *("arena_bytes", "nonpersistent_bytes", "persistent_bytes", "host_nonpersistent_bytes", "arena_by_core"),
    *("flash_bytes", "code_bytes", "macs", "bit_ops", "instructions", "cycles", "milliseconds"),
}


def convert(**options: Any) -> qm.ConversionResult:
    return qm.convert(MODEL, search="uniform", progress=False, **options)


@pytest.mark.parametrize("core", [*CORES, ANY])
def test_the_reported_arena_is_the_least_on_the_core(core: str) -> None:
    result = convert(core=core)
    graph = read_model(result.model)
    needed = [replay_allocation(graph, CORTEX_M, variant).needed_bytes for variant in Target.of(core).variants]
    assert result.report.as_dict()["after"]["arena_bytes"] == max(needed)
    assert result.report.verification.arena_by_variant.keys() >= set(Target.of(core).variants)
    assert target_of(load_model_t(result.model)) == (None if core == ANY else core)


@pytest.mark.parametrize("runtime", ("tflm", "aot"))
@pytest.mark.parametrize("core", ("m3", "m4", "m55", "any"))
def test_a_bound_holds_with_all_that_is_reserved(core: str, runtime: str) -> None:
    """The bound is half of what the unsplit network takes, or the smallest arena that a refusal names."""
    options = {"core": core, "runtime": runtime}
    unsplit = arena_bytes_on(read_model(MODEL), Target.of(core, runtime=runtime)).reserved_bytes
    with pytest.raises(BudgetError, match="--sram_bytes is 16 and the smallest arena reached is") as refusal:
        convert(sram_bytes=16, **options)
    (smallest,) = re.findall(r"reached is ([\d,]+) bytes", str(refusal.value))
    for bound in (unsplit // 2, int(smallest.replace(",", ""))):
        figures = convert(sram_bytes=bound, **options).report.as_dict()
        assert figures["fits"] and figures["after"]["arena_bytes"] <= bound


def test_ahead_of_time_the_arena_and_the_stack_count(tmp_path: Path) -> None:
    result = convert(core="m4", runtime="aot")
    project = emit(result.model, output_dir=tmp_path, core="m4", name="small")
    (stated,) = re.findall(r"SMALL_STACK_BYTES (\d+) ", (tmp_path / "small_c.h").read_text())
    assert result.report.converted.arena_bytes == project.arena_bytes + int(stated)


def test_the_scope_of_papers_is_maps_and_scratch() -> None:
    figures = convert(core="m4", sram_scope="nonpersistent").report.as_dict()["after"]
    graph = read_model(convert(core="m4").model)
    assert figures["arena_bytes"] == figures["nonpersistent_bytes"] == predict_arena(graph, DSP)


@pytest.mark.parametrize("runtime", ("tflm", "aot"))
def test_flash_is_the_model_and_our_code_or_the_model_alone(runtime: str) -> None:
    options = {"core": "m4", "runtime": runtime}
    figures = convert(**options).report.as_dict()["after"]
    model, code = figures["flash_bytes"], figures["code_bytes"]
    assert code > 10_000
    convert(flash_bytes=model + code, **options)
    try:  # another plan may have less code
        tighter = convert(flash_bytes=model + code - 1, **options).report.as_dict()["after"]
        assert tighter["flash_bytes"] + tighter["code_bytes"] < model + code
    except BudgetError as refusal:
        assert "--flash_bytes is" in str(refusal)
    with pytest.raises(BudgetError, match="--flash_bytes is"):
        convert(flash_bytes=model // 2, **options)
    convert(flash_bytes=model, flash_scope="model", **options)
    assert f"our code in flash on cortex-m4, beside TFLM's own: {code:,} bytes" in describe_model(
        convert(**options).model, Target.of(**options)
    )


def test_stock_ops_are_code_of_ours_where_they_run_on_our_kernels() -> None:
    before = {stock: convert(core="m4", stock_kernels=stock).report.as_dict()["before"] for stock in STOCK_KERNELS}
    assert before["quantmcu"]["code_bytes"] > before["reference"]["code_bytes"] == before["cmsis_nn"]["code_bytes"] == 0
    assert convert(core="host").report.as_dict()["after"]["code_bytes"] is None


def test_figures_have_stable_keys_and_are_written_as_json(tmp_path: Path) -> None:
    (tmp_path / "m.tflite").write_bytes(MODEL)
    flags = {"model": "m.tflite", "output": "out.tflite", "report_json": "report.json"}
    options = ["--search=uniform", "--noprogress", "--core=m7", "--sram_bytes=16KB"]
    cli.run(["convert", *(f"--{flag}={tmp_path / name}" for flag, name in flags.items()), *options])
    found = json.loads((tmp_path / "report.json").read_text())
    report = convert(core="cortex-m7", sram_bytes=16384).report
    assert found.pop("command").startswith("tflm_quantmcu convert --model=")
    assert report.details.repeat.startswith("tflm_quantmcu.convert(model, sram_bytes=16384, core='cortex-m7'")
    beside = {"layers", "arena_plot", "front", "patches", "why_not_smaller", "provenance"}
    assert {key: value for key, value in found.items() if key not in beside} == report.as_dict()
    assert beside <= found.keys()
    head = {"core": "cortex-m7", "board": "nucleo-h7a3zi", "runtime": "tflm", "sram_bytes": 16384, "fits": True}
    assert head.items() <= found.items()
    for figures in (found["before"], found["after"]):
        assert figures.keys() == FIGURES and figures["arena_by_core"].keys() == set(CORES)
        assert all(figures[name] is not None for name in FIGURES - {"code_bytes"})
        assert figures["arena_by_core"]["cortex-m7"] == figures["arena_bytes"]


@pytest.mark.parametrize("stock_kernels", STOCK_KERNELS)
def test_the_arena_of_every_core_is_that_of_the_stock_kernels(stock_kernels: str) -> None:
    """A call for that core and these kernels has the same."""
    figures = convert(core="m4", stock_kernels=stock_kernels, keep_stock_ops=True).report.as_dict()
    stock = read_model(MODEL)
    for core, num_bytes in figures["before"]["arena_by_core"].items():
        found = replay_allocation(stock, CORTEX_M, variant_of(core), stock_kernels)
        assert (
            num_bytes
            == found.needed_bytes
            == arena_bytes_on(stock, Target.of(core, stock_kernels=stock_kernels)).reserved_bytes
        )
    assert figures["after"]["arena_by_core"]["cortex-m4"] == figures["after"]["arena_bytes"]


def test_our_stock_kernels_ask_for_more_than_the_reference_where_they_unpack() -> None:
    before = {name: convert(core="m4", stock_kernels=name).report.as_dict()["before"] for name in STOCK_KERNELS[:2]}
    ours, reference = (before[name]["arena_by_core"] for name in STOCK_KERNELS[:2])
    assert all(ours[core] > reference[core] for core in ours)


def test_scratch_of_our_kernels_that_outweighs_all_else_is_said() -> None:
    result = qm.convert(shared_data.model("ad01_int8"), core="m4", search="uniform", progress=False)
    (note,) = [note for note in result.report.notes if "--stock_kernels reference" in note]
    fewer = Target.of("m4", stock_kernels="reference")
    assert f"needs {arena_bytes_on(read_model(shared_data.model('ad01_int8')), fewer).reserved_bytes:,} bytes" in note


def test_a_board_brings_its_core() -> None:
    figures = convert(board="nrf5340-dk").report.as_dict()
    assert (figures["board"], figures["core"]) == ("nrf5340-dk", "cortex-m33")
    assert figures["milliseconds_error"] == 0.08
    span, after = figures["longest_span"], figures["after"]
    assert 0 < span["cycles"] < after["cycles"] and 0 < span["milliseconds"] < after["milliseconds"]
    with pytest.raises(UsageError, match="--board nrf5340-dk has a cortex-m33, and --core is cortex-m4"):
        convert(board="nrf5340-dk", core="m4")


def test_inspect_tells_the_core_of_the_file_and_any_other() -> None:
    model = convert(core="m55").model
    graph = read_model(model)
    for asked, core in ((None, "cortex-m55"), (Target.of("m0+"), "cortex-m0plus")):
        text = describe_model(model, asked)
        assert "made for cortex-m55, --stock_kernels quantmcu" in text
        needed = replay_allocation(graph, CORTEX_M, variant_of(core)).needed_bytes
        assert f"tensor arena to reserve on {core}: {needed:,} bytes" in text
        assert all(f"{core} {n:,}" in text for core, n in reserved_by_core(graph, Target.of(core)).items())


@pytest.mark.parametrize("flags", ({"runtime": "aot"}, {"stock_kernels": "reference"}, {"stock_kernels": "cmsis_nn"}))
def test_inspect_takes_each_flag_of_a_target_alone(
    flags: dict[str, str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The core is then the one that the file names, or of a file that names none, any."""
    for name, model, core in (("converted", convert(core="m7", keep_stock_ops=True).model, "m7"), ("m", MODEL, ANY)):
        (tmp_path / f"{name}.tflite").write_bytes(model)
        cli.run(["inspect", str(tmp_path / f"{name}.tflite"), *(f"--{flag}={value}" for flag, value in flags.items())])
        target = Target.of(core, **flags)
        needed = arena_bytes_on(read_model(model), target).reserved_bytes
        what = "arena and stack" if "runtime" in flags else "tensor arena"
        where = "any core" if core == ANY else target.core
        assert f"{what} to reserve on {where}: {needed:,} bytes" in capsys.readouterr().out


def pinned_for_the_reference() -> ModelGraph:
    graph = read_model(convert_model(MODEL, mixed(read_model(MODEL), 0)))
    offsets = plan_arena(graph, [op_scratch_bytes(graph, op) for op in graph.ops]).offsets
    return dataclasses.replace(graph, offline_offsets=tuple(offsets.get(t, -1) for t in range(len(graph.tensors))))


def test_other_cores_that_pay_for_the_target_are_named_with_their_bytes() -> None:
    graph = pinned_for_the_reference()
    unpinned = dataclasses.replace(graph, offline_offsets=None)
    sentences = losses_of_other_cores(graph, Target.of("m3"))
    assert len(sentences) == 2
    assert sentences[0] == (
        f"offsets are pinned for cortex-m3: on cortex-m4, cortex-m7, cortex-m33 maps and scratch take "
        f"{predict_arena(graph, DSP):,} bytes, {predict_arena(unpinned, DSP):,} without them"
    )


@pytest.mark.parametrize("core", ("m3", "m4", "m55"))
def test_no_other_core_pays_where_the_bound_has_room(core: str) -> None:
    target = Target.of(core)
    graph = read_model(convert_model(MODEL, mixed(read_model(MODEL), 0), target=target, fits=lambda _: True))
    assert losses_of_other_cores(graph, target) == []


def test_a_named_core_takes_no_more_than_what_suits_all() -> None:
    plan = mixed(read_model(MODEL), 0)
    suits_all = read_model(convert_model(MODEL, plan))
    for core in CORES:
        own = read_model(convert_model(MODEL, plan, target=Target.of(core)))
        assert predict_arena(own, variant_of(core)) <= max(predict_arena(suits_all, v) for v in KERNEL_VARIANTS)


def test_of_an_op_whose_data_is_not_known_the_arena_is_an_upper_bound() -> None:
    net = StockModel()
    x = net.input((1, 4, 4, 2))
    model = net.build(net.stock("ADD_N", [x, x], schema.AddNOptionsT(), x.shape))
    graph = read_model(model)
    unknown = unknown_persistent_bytes(ModelFile(model))
    host = arena_bytes_on(graph, Target.of("host"), unknown_bytes=unknown)
    core = arena_bytes_on(graph, Target.of("m4"), unknown_bytes=unknown)
    assert unknown > 0 and not host.is_exact and not core.is_exact
    assert least_arena(model, at_most=2 * host.reserved_bytes) <= host.reserved_bytes
    assert core.reserved_bytes < host.reserved_bytes
    described = describe_model(model, Target.of("m4"))
    assert "tensor arena to reserve on cortex-m4: at most" in described
    assert "milliseconds: not known, for no table has ADD_N " in described
