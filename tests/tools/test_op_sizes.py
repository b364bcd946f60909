"""The committed sizes of TFLM's op data and options are those that a core allocates."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.cortex_m import skip_without_tools
from tflm_quantmcu.arena.op_sizes import COLUMNS, OpSizes, op_sizes, to_csv
from tflm_quantmcu.graph.target import CMSIS_NN, STOCK_REFERENCE
from tools.op_sizes import measured, registered_ops
from tools.qemu_run import QemuError
from tools.tflm_build import cmsis_nn_folder, tflm_folders

RESOLVER = """
  TfLiteStatus AddAbs(const TFLMRegistration& registration = Register_ABS()) {
    return AddBuiltin(BuiltinOperator_ABS, registration, ParseAbs);
  }
  TfLiteStatus AddCircularBuffer() {
    return AddCustom("CIRCULAR_BUFFER", tflite::Register_CIRCULAR_BUFFER());
  }
  TfLiteStatus AddDynamicUpdateSlice() {
    return AddBuiltin(BuiltinOperator_DYNAMIC_UPDATE_SLICE,
                      Register_DYNAMIC_UPDATE_SLICE(), ParseDynamicUpdateSlice);
  }
"""


def test_builtin_ops_are_read_from_the_resolver(tmp_path: Path) -> None:
    header = tmp_path / "tensorflow/lite/micro/micro_mutable_op_resolver.h"
    header.parent.mkdir(parents=True)
    header.write_text(RESOLVER)
    assert registered_ops(tmp_path) == {"ABS": "AddAbs", "DYNAMIC_UPDATE_SLICE": "AddDynamicUpdateSlice"}
    with pytest.raises(QemuError, match="is no checkout of tflite-micro"):
        registered_ops(tmp_path / "absent")


def test_a_table_is_text_in_a_fixed_order() -> None:
    text = to_csv({"SUB": OpSizes(56, 56, 2, 1), "ABS": OpSizes(24, 24, 0, 1)})
    assert text.splitlines() == [",".join(COLUMNS), "ABS,24,24,0,1", "SUB,56,56,2,1"]


@pytest.mark.parametrize("core", ("cortex-m4", "cortex-m55"))
@pytest.mark.parametrize("kernels", (STOCK_REFERENCE, CMSIS_NN))
def test_the_committed_table_is_that_of_a_core(core: str, kernels: str, tmp_path: Path) -> None:
    folders, cmsis_nn = tflm_folders(), cmsis_nn_folder() if kernels == CMSIS_NN else None
    if folders is None or (cmsis_nn is None and kernels == CMSIS_NN):
        pytest.skip("TFLM_DIR or CMSIS_NN_DIR is not set: the sizes of TFLM's op data are not checked")
    skip_without_tools()
    tflm, downloads = Path(folders["TFLM_DIR"]), Path(folders["TFLM_DOWNLOADS"])
    found = measured(core, tflm, cmsis_nn and Path(cmsis_nn), tmp_path, downloads=downloads)
    known = {kind: (getattr(n, kernels), n.options, n.alignment) for kind, n in op_sizes().items()}
    assert {kind: found[kind] for kind in known} == known
