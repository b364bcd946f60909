"""What is estimated for split networks, against what emitted code takes in QEMU."""

from __future__ import annotations

import functools

import pytest

import tflm_quantmcu as qm
from experiments.device_time import measured_row
from tests.parity import test_product_ops, test_rearranging_ops, test_relation_ops
from tests.parity.test_stock_op_parity import Zoo
from tests.support import shared_data
from tests.support.cortex_m import skip_without_tools
from tflm_quantmcu.runtime.samples import random_samples
from tflm_quantmcu.tflite.reader import read_model

CORES = ("cortex-m0plus", "cortex-m4", "cortex-m55")
STEPPED_AT_MOST = 1.03  # of Invoke
NUM_CASES = 4
STOCK_OPS = {
    "products": tuple(test_product_ops.OPS.values()),
    "convolutions": (test_product_ops.grouped_convolution, test_product_ops.transposed_convolution),
    "images": tuple(test_rearranging_ops.IMAGES.values()),
    "floats": tuple(test_relation_ops.OPS[name] for name in test_relation_ops.GROUPS["floats"]),
}
TOLERANCE, SPAN_TOLERANCE, HOOK_SHARE = 0.03, 0.05, 0.0005


@functools.cache
def split(model: str, core: str | None = None, sram_bytes: int | None = None) -> bytes:
    """The model as it is split, without a bound unless there is one."""
    data = shared_data.model(model)
    calibration = qm.calibrate_model(data, random_samples(read_model(data).input_tensors[0], 2), progress=False)
    bound = {} if core is None else {"core": core, "sram_bytes": sram_bytes}
    result = qm.convert(data, calibration=calibration, search="uniform", progress=False, **bound)
    assert result.plan.stages
    return result.model


@pytest.mark.parametrize("core", CORES)
@pytest.mark.parametrize("model", ["kws_dscnn_int8", "ic_resnet8_int8", "person_detect"])
def test_time_and_the_longest_span_of_split_networks_are_estimated(model: str, core: str) -> None:
    skip_without_tools()
    require_estimated(model, core)


def test_steps_through_many_columns_of_tiles_take_little_more() -> None:
    skip_without_tools()
    row = measured_row("resnet8", "cortex-m55", "converted", split("ic_resnet8_int8", "cortex-m55", 13668))
    assert not row.problem and row.measured and row.measured.num_calls > 60
    assert row.measured.stepped <= row.measured.instructions * STEPPED_AT_MOST


def test_paddings_of_maps_that_keep_their_format_are_estimated_as_copies() -> None:
    skip_without_tools()
    require_estimated("mcunet_vww80", "cortex-m4")


@pytest.mark.parametrize("ops", STOCK_OPS)
def test_networks_of_ops_without_an_op_of_ours_are_estimated(ops: str) -> None:
    skip_without_tools()
    zoo = Zoo((1, 256))
    for case in range(NUM_CASES):
        for make in STOCK_OPS[ops]:
            zoo.add(make(zoo, case))
    row = measured_row(ops, "cortex-m4", "unsplit", zoo.build())
    assert not row.problem and row.measured and row.estimated and not row.estimated.unknown
    assert row.estimated.instructions == pytest.approx(row.measured.instructions, rel=TOLERANCE)


def require_estimated(model: str, core: str) -> None:
    """What a split network takes in QEMU is what was estimated."""
    row = measured_row(model, core, "converted", split(model))
    assert not row.problem and row.measured and row.estimated and not row.estimated.unknown
    assert row.estimated.instructions == pytest.approx(row.measured.instructions, rel=TOLERANCE)
    assert row.estimated.cycles == pytest.approx(row.measured.cycles, rel=TOLERANCE)
    assert row.estimated.longest is not None
    assert row.estimated.longest.instructions == pytest.approx(row.measured.longest, rel=SPAN_TOLERANCE)
    assert row.measured.num_calls > 3
    assert row.measured.hooked <= row.measured.instructions * (1 + HOOK_SHARE)
    assert row.measured.stepped <= row.measured.instructions * STEPPED_AT_MOST
