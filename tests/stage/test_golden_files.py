"""Whole files of each format version (docs/format.md), as the converters of their day wrote them.

A file of version 2 or 3 is read and runs, version 1 is refused by name, in Python and by Prepare. The networks are
`networks.inverted_residual(size=8, channels=2)`, split at 8 bits or at mixed widths; they are never written anew.
"""

from __future__ import annotations

import re
import zlib
from pathlib import Path

import numpy as np
import pytest

from tests.support import networks
from tests.support.plans import mixed
from tflm_quantmcu.app.inspection import describe_model
from tflm_quantmcu.base.errors import UnsupportedModelError, UsageError
from tflm_quantmcu.converter.convert import convert_model
from tflm_quantmcu.converter.emit.project import emit
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.runtime.samples import random_samples
from tflm_quantmcu.stage.custom_ops import PREFIX, decode_options
from tflm_quantmcu.stage.format_version import FORMAT_VERSION, READ_SINCE
from tflm_quantmcu.tflite.reader import read_model

FOLDER = Path(__file__).parent / "golden"
SOURCE = networks.inverted_residual(size=8, channels=2)
RUN = {2: ("split", "mixed"), 3: ("split", "mixed")}
MIXED_CRC32 = 0x99EE7A88  # of the outputs for random_samples(input, 3), in both versions


def golden(version: int, name: str) -> bytes:
    return (FOLDER / f"format_{version}_{name}.tflite").read_bytes()


def run(model: bytes) -> np.ndarray:
    interpreter = Interpreter(model)
    return interpreter.run(random_samples(interpreter.inputs[0], 3))


def test_every_version_is_kept() -> None:
    kept = {path.name for path in FOLDER.iterdir()}
    assert kept == {"format_1_split.tflite", *(f"format_{v}_{n}.tflite" for v, names in RUN.items() for n in names)}
    assert set(RUN) == set(READ_SINCE) and max(RUN) == FORMAT_VERSION


@pytest.mark.parametrize(("version", "name"), [(v, n) for v, names in RUN.items() for n in names])
def test_a_file_says_its_version_and_who_runs_it(version: int, name: str) -> None:
    ops = [op for op in read_model(golden(version, name)).ops if op.kind.startswith(PREFIX)]
    assert {decode_options(op.custom_options)["version"] for op in ops} == {version}
    words = f"format {version}: runs with tflm_quantmcu {READ_SINCE[version]} and later"
    assert words in describe_model(golden(version, name))


@pytest.mark.parametrize("version", RUN)
def test_files_that_are_read_compute_what_they_did(version: int) -> None:
    assert np.array_equal(run(golden(version, "split")), run(SOURCE))
    assert zlib.crc32(run(golden(version, "mixed")).tobytes()) == MIXED_CRC32


def test_the_converter_of_today_makes_the_same_function() -> None:
    today = convert_model(SOURCE, mixed(read_model(SOURCE), 0))
    assert np.array_equal(run(today), run(golden(FORMAT_VERSION, "mixed")))


def test_version_1_is_refused_by_name(tmp_path: Path) -> None:
    model = golden(1, "split")
    with pytest.raises(UnsupportedModelError, match="QMCU_PATCH_STAGE: version is 1; supported is 2 to 3"):
        Interpreter(model)
    words = re.escape("QMCU_PATCH_STAGE has version 1; supported are 2 and 3: convert the original model anew")
    with pytest.raises(UsageError, match=words):
        describe_model(model)
    with pytest.raises((UsageError, UnsupportedModelError), match="version"):
        emit(model, output_dir=tmp_path)
