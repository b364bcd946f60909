"""Any bytes as calibration.npz: they are refused by one sentence, or are a calibration of a model or not of it."""

from __future__ import annotations

import io
import os
import random
import tempfile
import zipfile
from pathlib import Path

import atheris
import numpy as np

from tests.fuzz.targets import run

with atheris.instrument_imports(include=["tflm_quantmcu.calibration.calibration_file", "tflm_quantmcu.base"]):
    from tests.support.networks import inverted_residual
    from tflm_quantmcu.base.errors import QuantMcuError
    from tflm_quantmcu.calibration.calibration_file import load_calibration, require_calibration_of
    from tflm_quantmcu.tflite.canonical.canonical import canonical
    from tflm_quantmcu.tflite.model_file import ModelFile

GRAPH = canonical(ModelFile(inverted_residual(size=6, channels=2))).graph
_FOLDER = tempfile.TemporaryDirectory(dir="/dev/shm" if os.path.isdir("/dev/shm") else None)
_FILE = Path(_FOLDER.name) / "input.npz"
_DTYPES = ("i1", "i4", "i8", "u1", "f4", "f8", "U3", "S2", "?", "c8")
_ODD = (0, -1, 1, 255, 2**31, 2**62, -(2**63), float("nan"), float("inf"), 1e-320, 0.5)


def one_input(data: bytes) -> None:
    _FILE.write_bytes(data)
    try:
        require_calibration_of(load_calibration(_FILE), GRAPH)
    except QuantMcuError as error:
        assert len(str(error)) < 10_000


def mutate(data: bytes, rng: random.Random) -> bytes:
    """Other arrays, names, types, shapes and values; or another ZIP around the same."""
    with np.load(io.BytesIO(data)) as archive:
        arrays = dict(archive)
    for _ in range(rng.randint(1, 3)):
        _change(arrays, rng)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED, compresslevel=1) as archive:
        for name, array in arrays.items():
            member = io.BytesIO()
            np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)
            archive.writestr(f"{name}.npy", member.getvalue())
    return buffer.getvalue()


def _change(arrays: dict[str, np.ndarray], rng: random.Random) -> None:
    name = rng.choice(list(arrays))
    array, action = arrays[name], rng.randrange(7)
    if action == 0:
        del arrays[name]
    elif action == 1:
        arrays[rng.choice(["x", "outliers_99", "outliers_0", "samples", "names", "a/../b"])] = arrays.pop(name)
    elif action == 2:
        with np.errstate(all="ignore"):
            arrays[name] = array.astype(rng.choice(_DTYPES))
    elif action == 3:
        arrays[name] = array.reshape(rng.choice([(-1,), (1, -1), (-1, 1), (-1, 2)]))
    elif action == 4 and array.ndim:
        arrays[name] = array[: rng.randrange(len(array) + 1)]
    elif action == 5 and array.dtype.kind == "U":
        arrays[name] = np.array([rng.choice(["", "\x1b[2J", "x" * 300, "own", "percentile"])] * array.size).reshape(
            array.shape
        )
    elif array.size and array.dtype.kind in "iuf":
        flat = array.copy().ravel()
        with np.errstate(all="ignore"):
            flat[rng.randrange(flat.size)] = np.array(rng.choice(_ODD)).astype(array.dtype)
        arrays[name] = flat.reshape(array.shape)


if __name__ == "__main__":
    run(one_input, mutate)
