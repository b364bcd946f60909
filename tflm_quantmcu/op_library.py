"""Finds and loads the library with our custom ops for TFLM's Python interpreter (law F6)."""

from __future__ import annotations

import ctypes
import functools
import os
from pathlib import Path

from tflm_quantmcu.errors import UsageError
from tflm_quantmcu.tflm_wheel import require_known_wheel

PATH_VARIABLE = "TFLM_QUANTMCU_OPS"
LIBRARY = "libquantmcu_ops.so"
REGISTERER = "QuantMcuRegisterOps"


def find_op_library() -> Path:
    """The library: $TFLM_QUANTMCU_OPS if set, else beside this package, else Bazel's output.

    Raises:
      UsageError: it is not there; the sentence names the places.
    """
    package = Path(__file__).resolve().parent
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


@functools.cache
def load_op_library(path: Path) -> ctypes.CDLL:
    """Loads the library for the whole process: TFLM looks up REGISTERER among the global symbols.

    Raises:
      UsageError: it cannot be loaded, is another library, or was not built for the installed TFLM wheel.
    """
    require_known_wheel()
    try:
        library = ctypes.CDLL(str(path), mode=ctypes.RTLD_GLOBAL)
        getattr(library, REGISTERER)
    except (OSError, AttributeError) as error:
        raise UsageError(f"{path} is not the op library: {error}; build it with `make ops`") from None
    return library
