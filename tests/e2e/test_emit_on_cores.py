"""Emitted code in QEMU, a core for each variant of the kernels: TFLM's bytes, in the arena and stack declared."""

from __future__ import annotations

import itertools
import re
import subprocess
from pathlib import Path

import pytest

import tflm_quantmcu as qm
from tests.parity import test_rearranging_ops, test_relation_ops
from tests.parity.test_stock_op_parity import Zoo
from tests.random_networks.generator import family_of, random_network
from tests.support import networks, shared_data
from tests.support.cortex_m import skip_without_tools
from tests.support.emitted_on_core import make_test, run_project
from tests.support.plans import mixed, split
from tests.support.streamed import streamed
from tests.tflite.canonical import test_shortcuts
from tflm_quantmcu.converter.convert import convert_model
from tflm_quantmcu.converter.emit.project import emit
from tflm_quantmcu.graph.target import variant_of
from tflm_quantmcu.tflite.canonical.canonical import canonical
from tflm_quantmcu.tflite.model_file import ModelFile
from tflm_quantmcu.tflite.reader import read_model

CORES = ("m0plus", "m4", "m55")
SMALL = networks.inverted_residual()


@pytest.fixture(scope="module")
def objects(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the kernels' objects stay from one project to the next."""
    return tmp_path_factory.mktemp("objects")


@pytest.mark.parametrize("core", CORES)
def test_versions_of_a_network_run_on_the_core(core: str, objects: Path, tmp_path: Path) -> None:
    skip_without_tools()
    graph = read_model(SMALL)
    plans = (split(graph), streamed(split(graph)), mixed(graph, 0))
    whole, halved, fed, narrowed = (
        run_project(model, core, tmp_path / str(i), objects)
        for i, model in enumerate((SMALL, *(convert_model(SMALL, plan) for plan in plans)))
    )
    assert whole["OUTPUT_CRC32"] == halved["OUTPUT_CRC32"] == fed["OUTPUT_CRC32"] != narrowed["OUTPUT_CRC32"]
    assert int(fed["ARENA_BYTES"]) < int(halved["ARENA_BYTES"])
    assert int(halved["ARENA_BYTES"]) < int(whole["ARENA_BYTES"]) / 4


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("model", [networks.in_place((1, 8, 10, 8)), networks.flattened(6)], ids=["in place", "flat"])
def test_ops_in_place_and_stages_of_flattened_maps_run_on_the_core(
    model: bytes, core: str, objects: Path, tmp_path: Path
) -> None:
    skip_without_tools()
    result = qm.convert(model, search="uniform", max_slowdown=3.0, progress=False)
    whole, halved = (
        run_project(data, core, tmp_path / str(i), objects) for i, data in enumerate((model, result.model))
    )
    assert whole["OUTPUT_CRC32"] == halved["OUTPUT_CRC32"]
    assert int(halved["ARENA_BYTES"]) <= int(whole["ARENA_BYTES"])


@pytest.mark.parametrize("core", CORES)
def test_shortcuts_computed_ahead_run_on_the_core(core: str, objects: Path, tmp_path: Path) -> None:
    skip_without_tools()
    model = canonical(ModelFile(test_shortcuts.residual(channels=16, stride=2)))
    whole, *halved = (
        run_project(data, core, tmp_path / str(i), objects)["OUTPUT_CRC32"]
        for i, data in enumerate(
            (
                model.data,
                convert_model(model, test_shortcuts.ahead(model, (1, 1), primed=False)),
                convert_model(model, test_shortcuts.ahead(model, (2, 3), primed=True)),
            )
        )
    )
    assert halved == [whole] * 2


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("family", ["groups", "attention"])
def test_ops_without_an_op_of_ours_run_on_the_core(family: str, core: str, objects: Path, tmp_path: Path) -> None:
    skip_without_tools()
    seed = next(seed for seed in range(100) if family_of(seed) == family)
    run_project(random_network(seed), core, tmp_path, objects)


@pytest.mark.parametrize("core", CORES)
def test_relations_rows_and_rearranged_values_run_on_the_core(core: str, objects: Path, tmp_path: Path) -> None:
    skip_without_tools()
    zoo = Zoo((1, 256))
    for case in range(2):
        for make in test_relation_ops.OPS.values():
            zoo.add(make(zoo, case))
        for make, dtype in itertools.product(test_rearranging_ops.OPS, test_rearranging_ops.TYPES):
            zoo.add(make(zoo, case, dtype))
        for make in test_rearranging_ops.IMAGES.values():
            zoo.add(make(zoo, case))
    run_project(zoo.build(), core, tmp_path, objects)


@pytest.mark.parametrize("core", CORES)
def test_a_step_beyond_the_arena_faults(core: str, objects: Path, tmp_path: Path) -> None:
    """Told of 16 bytes less than it takes, the model touches the guard behind its arena."""
    skip_without_tools()
    project = emit(SMALL, output_dir=tmp_path, core=f"cortex-{core}")
    header = tmp_path / f"{project.name}_c.h"
    stated, less = (f"_ARENA_BYTES {project.arena_bytes - cut} " for cut in (0, 16))
    assert stated in header.read_text()
    header.write_text(header.read_text().replace(stated, less))
    done = make_test(core, tmp_path, objects)
    assert "FAULT: data access violation" in done.stdout
    assert done.returncode != 0


@pytest.mark.parametrize("core", CORES)
def test_an_image_holds_the_kernels_of_its_model_and_no_other(core: str, objects: Path, tmp_path: Path) -> None:
    skip_without_tools()
    run_project(convert_model(SMALL, split(read_model(SMALL))), core, tmp_path, objects)
    symbols = subprocess.run(
        ["arm-none-eabi-nm", "-C", str(tmp_path / f"build/{core}/main")], check=True, capture_output=True, text=True
    ).stdout
    name = r" (?:T |W void )quantmcu::(?:reference|plain|dsp|mve)::(\w+?)(?:Of<[\d, ]+>|ScratchBytes)?"
    assert set(re.findall(name + r"\(quantmcu::\w+Params const&", symbols)) == {
        *("Conv2D", "DepthwiseConv2D", "Add"),  # of the stage
        *(["Conv2DRegular"] if variant_of(f"cortex-{core}") == "dsp" else []),  # what Conv2D leaves regular calls to
        *("AveragePool2D", "FullyConnected", "Softmax"),
    }


@pytest.mark.parametrize("core", CORES)
def test_a_real_model_runs_on_the_core(core: str, objects: Path, tmp_path: Path) -> None:
    skip_without_tools()
    run_project(shared_data.model("kws_dscnn_int8"), core, tmp_path, objects)
