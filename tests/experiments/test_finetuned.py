"""The row of a fine-tuned plan, of scikit-learn's digits, which need no file."""

from __future__ import annotations

import argparse
import pathlib

import pytest

from experiments.judging.finetuned import tuned_row

SRAM_BYTES = 10_436  # below what 8 bits reach


@pytest.mark.long
def test_a_fine_tuned_plan_keeps_the_budget_and_is_judged_as_it_was(tmp_path: pathlib.Path) -> None:
    row = tuned_row(
        argparse.Namespace(
            network="resnet_digits",
            data_dir=tmp_path,
            output_dir=tmp_path,
            sram_bytes=SRAM_BYTES,
            epochs=1,
            distill=True,
        )
    )
    assert row.num_judged == 600
    assert 0 < row.planned_arena <= SRAM_BYTES and 0 < row.tuned_arena <= SRAM_BYTES
    assert row.points == pytest.approx(row.int8 - row.tuned, abs=0.02)
    assert row.int8 > 80 and row.planned > 80 and row.tuned > 80
