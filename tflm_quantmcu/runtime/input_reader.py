"""Feeds models whose input is streamed, through the op library's one reader (tflm_kernels/micro/input_reader.h).

In: a whole sample, or a Python function that is asked for each region. What such a function does wrong ends the
inference, and what interrupts it comes out of the inference.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import sys
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.graph.types import Tensor
from tflm_quantmcu.native.exclusive import changed, exclusive

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


# Innermost last: an input reader may run another model.
_registered: list[InputFeed] = []


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
        self._failure: BaseException | None = None
        # What C++ calls; it must live as long as this feed.
        self._reading = self._read
        self._callback = _ReadFunction(self._reading)

    @property
    def has_reader(self) -> bool:
        """Whether a Python function gives the input, not `put`."""
        return self._reader is not None

    def put(self, sample: np.ndarray) -> None:
        """Takes the sample, int8 [1, H, W, bytes], that the next inference reads."""
        self._sample[:] = sample

    @contextlib.contextmanager
    def registered(self) -> Iterator[None]:
        """While it lasts, streamed stages read from this feed.

        Raises:
          UsageError: at its end, if the Python reader gave what no region holds; or whatever that reader raised.
        """
        self._failure = None
        with exclusive():
            outer, unraisablehook = _registered[-1:], sys.unraisablehook
            with changed(lambda: self._leave(outer, unraisablehook)):
                _registered.append(self)
                self._enter()
                sys.unraisablehook = functools.partial(self._keep_dropped, unraisablehook)
                yield
        if self._failure is not None:
            raise self._failure

    def _enter(self) -> None:
        if self._reader is None:
            self._library.QuantMcuSetInputReader(self._library.QuantMcuReadStoredMap, ctypes.byref(self._map))
        else:
            self._library.QuantMcuSetInputReader(self._callback, None)

    def _leave(self, outer: list[InputFeed], unraisablehook: Callable[[sys.UnraisableHookArgs], object]) -> None:
        """Back to the feed whose Python reader runs this one's model, if there is one."""
        sys.unraisablehook = unraisablehook
        if self in _registered:
            _registered.remove(self)
        self._library.QuantMcuSetInputReader(None, None)
        for feed in outer:
            feed._enter()

    def _keep_dropped(self, otherwise: Callable[[Any], object], dropped: sys.UnraisableHookArgs) -> None:
        """Keeps what Python drops: an interrupt that comes just before or behind the lines of `_read` that catch it."""
        if dropped.object is self._reading or repr(self._reading) in (dropped.err_msg or ""):
            self._failure = self._failure or dropped.exc_value
        else:
            otherwise(dropped)

    def _read(self, _: int | None, region_pointer: ctypes._Pointer[_InputRegion]) -> bool:
        try:
            if self._failure is None:
                self._fill(region_pointer.contents)
        except BaseException as error:  # nothing may leave a callback
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
