"""Finds and loads the library with our custom ops for TFLM's Python interpreter (law F6)."""

from __future__ import annotations

import ctypes
import functools
import os
from pathlib import Path

from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.base.tflm_wheel import context_functions, interpreter_library
from tflm_quantmcu.graph.target import QUANTMCU, REFERENCE

PATH_VARIABLE = "TFLM_QUANTMCU_OPS"
LIBRARY = "libquantmcu_ops.so"
REGISTERER = "QuantMcuRegisterOps"
FAST_OPS_REGISTERER = "QuantMcuRegisterFastOps"  # in the places of TFLM's own


def find_op_library() -> Path:
    """The library: $TFLM_QUANTMCU_OPS if set, else beside this package, else Bazel's output.

    Raises:
      UsageError: it is not there; the sentence names the places.
    """
    package = Path(__file__).resolve().parents[1]
    named = os.environ.get(PATH_VARIABLE)
    built = package.parent / "bazel-bin" / "tflm_kernels" / "micro" / LIBRARY
    places = [Path(named)] if named else [package / LIBRARY, built]
    for place in places:
        if place.is_file():
            return place
    raise UsageError(
        f"the op library is needed and not at {' or '.join(map(str, places))}; build it with "
        f"`make ops`, or name it in {PATH_VARIABLE}"
    )


def registerers_of(has_own_ops: bool, variant: str, stock_kernels: str) -> list[str]:
    """The functions of the library that add a model's ops to TFLM's resolver.

    Args:
      has_own_ops: whether the model has ops of ours.
      variant: of our kernels, whose scratch ops ask for; with the reference TFLM's own ops run on TFLM's kernels.
      stock_kernels: one of STOCK_KERNELS.
    """
    fast = [FAST_OPS_REGISTERER] if stock_kernels == QUANTMCU and variant != REFERENCE else []
    return ([REGISTERER] if has_own_ops else []) + fast


@functools.cache
def open_op_library(path: Path) -> ctypes.CDLL:
    """Loads the library for the whole process: TFLM looks up REGISTERER among the global symbols.

    Raises:
      UsageError: it cannot be loaded, or is another library.
    """
    try:
        library = ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
        library[REGISTERER], library["QuantMcuSetContextFunctions"]
    except (OSError, AttributeError) as error:
        raise UsageError(f"{path} is not the op library: {error}; build it with `make ops`") from None
    return library


@functools.cache
def connect_op_library(path: Path) -> ctypes.CDLL:
    """Opens the library and hands it the functions of the installed TFLM wheel.

    Whether the two work together, handshake.py finds out.

    Raises:
      UsageError: as `open_op_library`, or there is no wheel that has the functions.
    """
    library = open_op_library(path)
    library.QuantMcuSetContextFunctions(ctypes.byref(context_functions(interpreter_library())))
    return library
