"""The stack that emitted code states: a table for all kernels, and more for a patch stage than for a dense network."""

from __future__ import annotations

import csv

import pytest

from tests.support import networks
from tests.support.plans import split
from tests.support.tiny_models import TinyModel
from tflm_quantmcu.app.reserve import arena_bytes_on
from tflm_quantmcu.converter.convert import convert_model
from tflm_quantmcu.graph.op_kinds import OP_KINDS
from tflm_quantmcu.graph.target import AOT, CORES, Target, variant_of
from tflm_quantmcu.native.linked import kernel_name
from tflm_quantmcu.tflite.reader import read_model
from tools.stack_depth import TABLE

ROWS = list(csv.DictReader(TABLE.open()))
VARIANTS = {variant_of(core) for core in CORES}


def test_every_kernel_of_every_variant_has_a_row() -> None:
    kernels = {kernel_name(kind.kernel) for kind in OP_KINDS.values() if kind.kernel}
    for variant in VARIANTS:
        units = {row["unit"] for row in ROWS if row["variant"] == variant}
        assert kernels <= units, kernels - units
    assert all(0 <= int(row["bytes"]) < 4096 for row in ROWS)


def stack_of(model: bytes, core: str) -> int:
    arena = arena_bytes_on(read_model(model), Target.of(core, runtime=AOT))
    return arena.reserved_bytes - arena.nonpersistent_bytes


@pytest.mark.parametrize("core", ("m0plus", "m4", "m55"))
def test_what_runs_decides(core: str) -> None:
    net = TinyModel()
    dense = net.build(net.softmax(net.input((1, 16))))
    model = networks.inverted_residual()
    halved = convert_model(model, split(read_model(model)))
    assert 256 < stack_of(dense, core) < stack_of(model, core) < stack_of(halved, core) < 4096
    assert stack_of(dense, core) <= 640
