"""The matrix: a small network gives TFLM's bytes on every target, and what does not is shown and fails."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from tests.support.cortex_m import ROOT, skip_without_tools
from tests.support.tiny_models import TinyModel
from tflm_quantmcu.base.programs import ON_RV32, missing
from tools import crc_matrix
from tools.crc_matrix import TARGETS, Cell, Row, cell_of_failed_build
from tools.qemu_run import RV32

OBJECTS = ROOT / "build/crc_matrix"  # kernels that are built once


def network() -> bytes:
    """A stem and a separable convolution; their map is the output, so that its CRC32 tells of every value."""
    rng = np.random.default_rng(3)
    net = TinyModel()
    x = net.input((1, 24, 24, 3))
    x = net.conv2d(x, rng.integers(-127, 128, (16, 3, 3, 3), dtype=np.int8), scale=0.4, activation="RELU")
    x = net.depthwise_conv2d(x, rng.integers(-127, 128, (3, 3, 16), dtype=np.int8), stride=(2, 2), scale=2.0)
    return net.build(net.conv2d(x, rng.integers(-127, 128, (6, 1, 1, 16), dtype=np.int8), scale=9.0))


def row(**cells: Cell) -> Row:
    return Row("m", "VDQS", "8 4", 0, 0x12, {target: Cell(0x12, 1000) for target in TARGETS} | cells)


def test_a_small_network_is_tflms_function_on_all_targets(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    skip_without_tools()
    (tmp_path / "small.tflite").write_bytes(network())
    versions = {label: crc_matrix.VERSIONS[label] for label in ("8-bit split", "VDQS, 2 bits")}
    monkeypatch.setattr(crc_matrix, "VERSIONS", versions)
    targets = [target for target in TARGETS if target != RV32 or not missing(ON_RV32)]
    monkeypatch.setattr(crc_matrix, "TARGETS", targets)
    exit_code = crc_matrix.main(["--models", str(tmp_path), "--num_inputs", "1", "--output_dir", str(OBJECTS)])
    printed = capsys.readouterr()
    assert exit_code == 0, printed.err
    assert f"2 inferences on {len(targets)} targets: 0 differ or failed, 0 cells were not run" in printed.out
    lines = [line for line in printed.out.splitlines() if "/small" in line]
    (split_bits, *split), (narrow_bits, *narrow) = ([c.strip() for c in line.split("│")[3:-1]] for line in lines)
    assert split_bits == "8" and narrow_bits.endswith("2")
    assert len(set(split[1:])) == len(set(narrow[1:])) == 1
    assert split[1] != narrow[1]


def test_another_crc_and_a_failed_program_end_with_1(capsys: pytest.CaptureFixture[str]) -> None:
    rows = [row(), row(m4=Cell(0x13, 1000)), row(m55=Cell(0x12, 1000, is_failure=True))]
    assert crc_matrix.report(rows[:1], []) == 0
    assert crc_matrix.report(rows, []) == 1
    printed = capsys.readouterr()
    assert "NOT AS TFLM: m VDQS, input 0: m4\n" in printed.err
    assert "NOT AS TFLM: m VDQS, input 0: m55\n" in printed.err
    assert "00000013" in printed.out


def test_what_does_not_fit_a_board_is_said_and_is_no_failure(capsys: pytest.CaptureFixture[str]) -> None:
    errors = (
        "ld: m section `.arena' will not fit in region `EXTERNAL'\nld: region `EXTERNAL' overflowed by 12345 bytes\n"
    )
    cell = cell_of_failed_build(errors)
    assert cell == Cell(problem="does not fit: EXTERNAL 12,345 B too small")
    assert crc_matrix.report([row(m4=cell)], []) == 0
    assert "1 cells were not run" in capsys.readouterr().out


def test_a_program_that_does_not_build_is_a_failure() -> None:
    assert cell_of_failed_build("model.cc:1: error: no\n") == Cell(problem="model.cc:1: error: no", is_failure=True)


def test_models_that_cannot_be_split_are_named_with_the_reason(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    net = TinyModel()
    (tmp_path / "flat.tflite").write_bytes(net.build(net.logistic(net.input((1, 4)))))
    assert crc_matrix.main(["--models", str(tmp_path), "--output_dir", str(tmp_path / "out")]) == 1
    assert f"left out: {tmp_path / 'flat.tflite'}: " in capsys.readouterr().out


def test_an_empty_folder_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert crc_matrix.main(["--models", str(tmp_path)]) == 2
    assert "holds no .tflite" in capsys.readouterr().err
