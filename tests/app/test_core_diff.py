"""A model here and elsewhere, map by map: equal, and a fault in what was built is found in its stage."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.support import networks
from tests.support.cortex_m import skip_without_tools
from tests.support.plans import split
from tflm_quantmcu.app.core_diff import diff_core, run_project
from tflm_quantmcu.converter.convert import convert_model
from tflm_quantmcu.converter.emit.project import emit
from tflm_quantmcu.tflite.canonical.canonical import canonical
from tflm_quantmcu.tflite.model_file import ModelFile


@pytest.fixture(scope="module")
def converted() -> ModelFile:
    source = canonical(ModelFile(networks.inverted_residual()))
    return ModelFile(convert_model(source, split(source.graph)))


def test_a_core_computes_every_map_as_this_host_does(converted: ModelFile) -> None:
    skip_without_tools()
    found = diff_core(converted, None, "cortex-m4", num_samples=2)
    assert (found.first, found.num_different, found.num_ops) == ("", 0, len(converted.graph.ops))
    assert str(found).endswith("maps on 2 samples: all equal")


def test_a_fault_in_what_was_built_is_found_in_its_stage(converted: ModelFile, tmp_path: Path) -> None:
    skip_without_tools()
    emit(converted.data, output_dir=tmp_path, core="cortex-m4", num_samples=2, name="net")
    code = (tmp_path / "net.cc").read_text()
    filters = re.compile(r"(kOp(\d+)PatchStageFilters\[\] = \{\s*)(\d+|0x[0-9a-f]+)")
    found = filters.search(code)
    assert found is not None
    changed = int(found[3], 0) ^ 0x40
    (tmp_path / "net.cc").write_text(filters.sub(lambda match: f"{match[1]}{changed}", code, count=1))
    diff = run_project(converted, tmp_path, "cortex-m4", num_samples=2)
    assert diff.first.startswith("layer '") and f"(QMCU_PATCH_STAGE, op {found[2]}) with map" in diff.first
    assert diff.num_different >= 2 and "on sample 0" in diff.first
