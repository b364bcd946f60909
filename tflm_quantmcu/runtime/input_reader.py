"""Feeds models whose input is streamed, through the op library's one reader (tflm_kernels/micro/input_reader.h).

In: a whole sample, or a Python function that is asked for each region. What such a function does wrong ends the
inference.
"""

from __future__ import annotations

import contextlib
import ctypes
from collections.abc import Callable, Iterator

import numpy as np

from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.graph.types import Tensor

# (y, x, height, width) -> int8 [height, width, C]
InputReader = Callable[[int, int, int, int], np.ndarray]


class _InputRegion(ctypes.Structure):
    """quantmcu::InputRegion."""

    _fields_ = [
        ("y", ctypes.c_int32),
        ("x", ctypes.c_int32),
        ("height", ctypes.c_int32),
        ("width", ctypes.c_int32),
        ("row_bytes", ctypes.c_int32),
        ("pixels", ctypes.c_void_p),
    ]


class _StoredMap(ctypes.Structure):
    """quantmcu::StoredMap."""

    _fields_ = [("pixels", ctypes.c_void_p), ("width", ctypes.c_int32), ("pixel_bytes", ctypes.c_int32)]


_ReadFunction = ctypes.CFUNCTYPE(ctypes.c_bool, ctypes.c_void_p, ctypes.POINTER(_InputRegion))


class InputFeed:
    """Gives one model its streamed input.

    Args:
      library: the op library.
      tensor: the input [1, H, W, bytes].
      reader: is asked for every region; None: samples are read from memory.
    """

    def __init__(self, library: ctypes.CDLL, tensor: Tensor, reader: InputReader | None) -> None:
        self._library = library
        self._reader = reader
        self._tensor = tensor
        self._sample = np.zeros(tensor.shape, np.int8)
        self._map = _StoredMap(self._sample.ctypes.data, *tensor.shape[2:])
        self._failure: Exception | None = None
        # What C++ calls; it must live as long as this feed.
        self._callback = _ReadFunction(self._read)

    @property
    def has_reader(self) -> bool:
        """Whether a Python function gives the input, not `put`."""
        return self._reader is not None

    def put(self, sample: np.ndarray) -> None:
        """Takes the sample [1, H, W, bytes] that the next inference reads."""
        self._sample[:] = sample

    @contextlib.contextmanager
    def registered(self) -> Iterator[None]:
        """While it lasts, streamed stages read from this feed.

        Raises:
          UsageError: at its end, if the Python reader gave what no region holds; or whatever that reader raised.
        """
        self._failure = None
        if self._reader is None:
            self._library.QuantMcuSetInputReader(self._library.QuantMcuReadStoredMap, ctypes.byref(self._map))
        else:
            self._library.QuantMcuSetInputReader(self._callback, None)
        try:
            yield
        finally:
            self._library.QuantMcuSetInputReader(None, None)
        if self._failure is not None:
            raise self._failure

    def _read(self, _: int | None, region_pointer: ctypes._Pointer[_InputRegion]) -> bool:
        try:
            self._fill(region_pointer.contents)
        except Exception as error:  # nothing may leave a callback
            self._failure = error
        return self._failure is None

    def _fill(self, region: _InputRegion) -> None:
        assert self._reader is not None
        place = (region.y, region.x, region.height, region.width)
        shape = (region.height, region.width, self._tensor.shape[3])
        values = np.asarray(self._reader(*place))
        if values.shape != shape or values.dtype != np.int8:
            raise UsageError(
                f"input_reader{place} gave {values.dtype} {list(values.shape)}; the model needs int8 {list(shape)}"
            )
        for row, pixels in enumerate(values):
            ctypes.memmove(region.pixels + row * region.row_bytes, pixels.tobytes(), pixels.size)
