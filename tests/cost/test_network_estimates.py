"""What is estimated for split networks, against what emitted code takes in QEMU."""

from __future__ import annotations

import functools
from pathlib import Path

import pytest

import tflm_quantmcu as qm
from tests.support import shared_data
from tests.support.cortex_m import ROOT, skip_without_tools
from tflm_quantmcu.cost.instructions import load_table
from tflm_quantmcu.cost.plan_work import work_of
from tflm_quantmcu.runtime.samples import random_samples
from tflm_quantmcu.tflite.reader import read_model
from tools.crc_matrix import run_project

OBJECTS = ROOT / "build/estimates"  # kernels that are built once
CORES = ("m0plus", "m4", "m55")
TOLERANCE = 0.03


@functools.cache
def split(model: str) -> tuple[bytes, qm.ConversionResult]:
    """The model, and what it becomes when it is split as far as it goes."""
    data = shared_data.model(model)
    calibration = qm.calibrate_model(data, random_samples(read_model(data).input_tensors[0], 2))
    return data, qm.convert(data, calibration=calibration, search="uniform", activation_bits=8, weight_bits=8)


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("model", ["kws_dscnn_int8", "ic_resnet8_int8", "person_detect"])
def test_instructions_of_split_networks_are_estimated(model: str, core: str, tmp_path: Path) -> None:
    skip_without_tools()
    data, result = split(model)
    assert result.plan.stages
    qm.emit(result.model, output_dir=tmp_path, core=core, name="model")
    cell = run_project(tmp_path, core, OBJECTS / core)
    assert not cell.problem and cell.instructions
    work = work_of(read_model(data), result.plan, load_table(core))
    assert work.instructions == pytest.approx(cell.instructions, rel=TOLERANCE)
    assert work.cycles > work.instructions
