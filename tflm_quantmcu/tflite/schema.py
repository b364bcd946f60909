"""The object tree of `.tflite` files, as TFLite's schema generates it: `schema.ModelT`, `schema.TensorType`, ...

The one place that knows where the generated file is. It is run by its location, as this module: of the package that it
lies in nothing else is imported.
"""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tflm_quantmcu.base.errors import UsageError

_FILE = "schema_py_generated.py"
# Package and folder in it, in the order of preference. TFLM moved its file in 0.dev20261009.
_PLACES = (
    ("tflite_micro", f"tensorflow/lite/micro/python/{_FILE}"),
    ("tflite_micro", f"tensorflow/lite/python/{_FILE}"),
    ("ai_edge_litert", _FILE),
    ("tensorflow", f"lite/python/{_FILE}"),
)
# A field as a keyword of its object: before 2026 files had neither, such as TensorFlow 2.19's.
_NEEDED = b"externalBuffer = "


def _find() -> Path:
    """The first generated file that is installed and new enough.

    Raises:
      UsageError: there is none.
    """
    for path in _candidates():
        if path.is_file() and _NEEDED in path.read_bytes():
            return path
    packages = ", ".join(dict.fromkeys(package for package, _ in _PLACES))
    raise UsageError(
        f"TFLite's schema ({_FILE}) of 2026 or newer is in none of {packages}; get it with: pip install tflite-micro"
    )


def _candidates() -> Iterator[Path]:
    for package, path in _PLACES:
        spec = importlib.util.find_spec(package)
        for folder in (spec and spec.submodule_search_locations) or ():
            yield Path(folder, path)


if TYPE_CHECKING:

    def __getattr__(name: str) -> Any: ...

else:
    SourceFileLoader(__name__, str(_find())).exec_module(sys.modules[__name__])
