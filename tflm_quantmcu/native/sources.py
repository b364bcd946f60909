"""Finds the C++ sources, which firmware projects compile: a checkout's own, or those that an installation holds."""

from __future__ import annotations

from pathlib import Path

from tflm_quantmcu.base.errors import UsageError

FOLDER = "sources"  # of the package, as setup.py lays it; it holds tflm_kernels/ and what that needs


def kernel_sources() -> Path:
    """The folder that holds tflm_kernels/: what `QUANTMCU_DIR` of emitted projects and `-I` of a compiler name.

    Raises:
      UsageError: this installation holds no sources.
    """
    package = Path(__file__).resolve().parents[1]
    places = (package / FOLDER, package.parent)
    for place in places:
        if (place / "tflm_kernels").is_dir():
            return place
    raise UsageError(f"there is no folder tflm_kernels in {' or '.join(map(str, places))}; install tflm_quantmcu anew")
