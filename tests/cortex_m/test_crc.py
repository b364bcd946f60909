"""The portable kernels write the same bytes on every core, and on RISC-V of 32 bits, as on the host."""

from __future__ import annotations

import pytest

from tests.support.cortex_m import CORES, results_on_host, run_on_core, run_on_rv32

OPS = {
    "add",
    "average_pool2d",
    "conv2d",
    "depthwise_conv2d",
    "difference",
    "fully_connected",
    "lut",
    "max_pool2d",
    "patch_stage",
    "product",
    "requantize",
}


def test_every_op_and_width_has_a_crc_of_its_own():
    crcs = results_on_host("kernel_crc")
    assert {key.rsplit("_", 1)[0] for key in crcs} == OPS
    assert len(crcs) == len(OPS) * 9
    assert len(set(crcs.values())) == len(crcs), "two cases wrote the same bytes: the values tell too little"


@pytest.mark.parametrize("core", CORES)
def test_kernels_write_the_same_bytes_on_the_core(core):
    run = run_on_core(core, "kernel_crc")
    assert run.exit_code == 0, run.output
    assert run.results == results_on_host("kernel_crc")


def test_kernels_write_the_same_bytes_on_rv32(tmp_path):
    run = run_on_rv32("kernel_crc", ("patch_stage_case",), tmp_path)
    assert run.exit_code == 0, run.output
    assert run.results == results_on_host("kernel_crc")


def test_what_main_returns_on_rv32_is_the_exit_code(tmp_path):
    assert run_on_rv32("startup", (), tmp_path).exit_code == 42
