"""The C++ kernels through tflm_kernels/portable/c_api.h, guards around all that they write."""

from __future__ import annotations

import ctypes
import dataclasses
import functools
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tflm_quantmcu.graph.types import Window
from tflm_quantmcu.law.arithmetic import OutputFormat
from tflm_quantmcu.law.packing import pack, run_bytes, unpack
from tflm_quantmcu.stage.layout import CACHE_MODES
from tflm_quantmcu.stage.program import StageProgram

PATH_VARIABLE = "TFLM_QUANTMCU_KERNELS"
BUILT = Path(__file__).parents[2] / "bazel-bin/tflm_kernels/portable/libquantmcu_kernels.so"
GUARD = np.full(64, 0xA5, np.uint8)


@functools.cache
def kernels() -> ctypes.CDLL:
    """The library; a test without it fails, for then nothing is proved."""
    path = Path(os.environ.get(PATH_VARIABLE, BUILT))
    if not path.is_file():
        pytest.fail(f"{path} is missing; build it with `make ops` or set {PATH_VARIABLE}")
    return ctypes.CDLL(str(path))


@dataclasses.dataclass(frozen=True)
class PackedMap:
    """A map [H, W, C] as a view: packed rows, `gap_bytes` that are not its own after each."""

    height: int
    width: int
    channels: int
    bits: int
    zero_point: int
    gap_bytes: int = 0

    @property
    def used_bytes(self) -> int:
        """Bytes of a row's pixels."""
        return self.width * run_bytes(self.channels, self.bits)

    @property
    def row_bytes(self) -> int:
        """Distance between rows."""
        return self.used_bytes + self.gap_bytes

    @property
    def words(self) -> list[int]:
        """The map as c_api.h's MAP."""
        shape = (self.height, self.width, self.channels)
        return [*shape, self.row_bytes, self.bits, self.zero_point]

    def store(self, values: np.ndarray) -> np.ndarray:
        """The bytes of values [H, W, C], the gaps full of guard bytes."""
        rows = self._empty_rows()
        runs = pack(values, self.bits)
        rows[:, : self.used_bytes] = runs.reshape(self.height, self.used_bytes)
        return rows.ravel()

    def load(self, data: np.ndarray) -> np.ndarray:
        """The values of bytes that a kernel wrote between guards, which must be untouched."""
        inside = slice(len(GUARD), len(data) - len(GUARD))
        rows = data[inside].reshape(self.height, self.row_bytes)
        outside = data.copy()
        outside[inside].reshape(rows.shape)[:, : self.used_bytes] = GUARD[0]
        assert (outside == GUARD[0]).all(), "the kernel wrote outside its output"
        shape = (self.height, self.width, run_bytes(self.channels, self.bits))
        runs = rows[:, : self.used_bytes].reshape(shape)
        values = unpack(runs, self.bits, self.channels)
        np.testing.assert_array_equal(runs, pack(values, self.bits), "unused bits are not 0")
        return values

    def guarded(self) -> np.ndarray:
        """Room for the map between guards."""
        return np.concatenate([GUARD, self._empty_rows().ravel(), GUARD])

    def _empty_rows(self) -> np.ndarray:
        return np.full((self.height, self.row_bytes), GUARD[0], np.uint8)


def run_kernel(
    name: str,
    maps: Sequence[PackedMap],
    values: Sequence[np.ndarray],
    words: Sequence[int],
    *constants: np.ndarray,
) -> np.ndarray:
    """Calls one op function of c_api.h.

    Args:
      name: of the function.
      maps: the inputs, then the output.
      values: int8 [H, W, C] an input.
      words: the parameters after the maps.
      constants: packed filter and table where the op has them.

    Returns:
      int8 [H, W, C].
    """
    params = np.array([w for m in maps for w in m.words] + list(words), np.int32)
    output = maps[-1].guarded()
    inputs = [m.store(v) for m, v in zip(maps[:-1], values, strict=True)]
    arrays = [params, *inputs, *constants]
    addresses = [address(a) for a in arrays]
    getattr(kernels(), name)(*addresses, ctypes.c_void_p(output.ctypes.data + len(GUARD)))
    return maps[-1].load(output)


def run_stage_on_kernels(program: StageProgram, x: np.ndarray, others: Sequence[np.ndarray] = ()) -> np.ndarray:
    """Runs the C++ patch stage on a batch int8 [N, H, W, C], and of further inputs, with guards around scratch too."""
    formats, shapes = program.formats[0], program.shapes
    ends = (*range(program.num_inputs), len(shapes) - 1)
    *sources, target = (PackedMap(*shapes[m], formats[m].bits, formats[m].zero_point) for m in ends)
    encoded, _keep_alive = _stage_arguments(*program.encode())
    error = StageError()
    num_bytes = ctypes.c_int32()
    _check(kernels().QuantMcuPatchStageRead(*encoded, ctypes.byref(num_bytes), ctypes.byref(error)), error)
    assert num_bytes.value == program.scratch_bytes
    samples = []
    for values in zip(x, *others, strict=True):
        read, output = [source.store(map) for source, map in zip(sources, values, strict=True)], target.guarded()
        addresses = (ctypes.c_void_p * len(read))(*(map.ctypes.data for map in read[1:]))
        scratch = np.concatenate([GUARD, np.full(num_bytes.value, 0x3C, np.uint8), GUARD])
        is_run = kernels().QuantMcuPatchStageRun(
            *encoded,
            address(read[0]),
            addresses,
            ctypes.c_void_p(scratch.ctypes.data + len(GUARD)),
            ctypes.c_void_p(output.ctypes.data + len(GUARD)),
            ctypes.byref(error),
        )
        _check(is_run, error)
        guards = np.concatenate([scratch[: len(GUARD)], scratch[-len(GUARD) :]])
        assert (guards == GUARD[0]).all(), "the stage wrote outside its scratch"
        samples.append(target.load(output))
    return np.stack(samples)


class StageError(ctypes.Structure):
    """QuantMcuStageError."""

    _fields_ = (
        ("item", ctypes.c_char_p),
        ("index", ctypes.c_int32),
        ("message", ctypes.c_char_p),
        ("found", ctypes.c_int32),
    )


def address(array: np.ndarray) -> ctypes.c_void_p:
    """The address of the array's first element."""
    return ctypes.c_void_p(array.ctypes.data)


def window_words(window: Window) -> list[int]:
    """The window as c_api.h's WINDOW."""
    return list(dataclasses.astuple(window))


def clamp_words(output: OutputFormat) -> list[int]:
    """The clamps as c_api.h's CLAMP."""
    return [output.clamp_min, output.clamp_max]


def why_refused(options: Mapping[str, Any], filters: np.ndarray, words: np.ndarray) -> str | None:
    """What the C++ reader says against a program; None if it accepts it."""
    encoded, _keep_alive = _stage_arguments(options, filters, words)
    error = StageError()
    num_bytes = ctypes.c_int32()
    if kernels().QuantMcuPatchStageRead(*encoded, ctypes.byref(num_bytes), ctypes.byref(error)):
        return None
    return f"{error.item.decode()} {error.index}: {error.message.decode()} (found {error.found})"


def _stage_arguments(options: Mapping[str, Any], filters: np.ndarray, words: np.ndarray) -> tuple[list[Any], Any]:
    """The first arguments of the stage functions, and what they point into."""
    keys = ("tile_height", "tile_width", "num_ops", "num_maps", "num_classes")
    rule = [options[f"outlier_{name}"] for name in ("low", "high", "share")]
    words_of_header = [*(options[k] for k in keys), CACHE_MODES.index(options["cache_mode"]), options["primed"], *rule]
    header = np.array(words_of_header, np.int32)
    arguments = [address(header), address(words), words.size, address(filters), filters.size]
    return arguments, (header, words, filters)


def _check(is_accepted: int, error: StageError) -> None:
    assert is_accepted, f"refused: {error.item.decode()} {error.index}: {error.message.decode()} (found {error.found})"
