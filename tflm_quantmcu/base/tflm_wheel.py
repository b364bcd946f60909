"""Finds TFLM's Python interpreter, of any version, and the functions in its library that our ops call (law F6).

Out: the wheel's modules and the addresses of five C++ functions. Refuses, in one sentence, a wheel that is missing,
that cannot be imported, or that lacks what we use of it.
"""

from __future__ import annotations

import ctypes
import functools
import importlib
import importlib.util
import inspect
from importlib import metadata
from pathlib import Path
from types import ModuleType

from tflm_quantmcu.base.errors import UsageError

DISTRIBUTION = "tflite-micro"
PACKAGE = "tflite_micro"
FIRST = "0.dev20260930204519"
INSTALL = f"pip install '{DISTRIBUTION}>={FIRST}'"

# How versions spell a function that takes the context: its scope, and the context's type as its argument. Since
# 0.dev20261002 the types, since 0.dev20261008 also the functions are in the namespace tflite::micro.
SPELLINGS = (
    ("6tflite", "13TfLiteContext"),
    ("6tflite", "NS_5micro13TfLiteContextE"),
    ("6tflite5micro", "NS0_13TfLiteContextE"),
)
# tflm_abi::ContextFunctions, in order: MicroContext<name>, the context's qualifiers, and the mangled types of the other
# arguments: m size_t, i int, Pi int*, PKcz (const char*, ...).
_FUNCTIONS = (
    ("AllocatePersistentBuffer", "P", "m"),
    ("RequestScratchBufferInArena", "P", "mPi"),
    ("GetScratchBuffer", "P", "i"),
    ("GetEvalTensor", "PK", "i"),
    ("ReportOpError", "P", "PKcz"),
)
# What we pass to the interpreter's `from_bytes`.
_FROM_BYTES = frozenset({"custom_op_registerers", "arena_size", "intrepreter_config"})


class ContextFunctions(ctypes.Structure):
    """tflm_abi::ContextFunctions: addresses."""

    _fields_ = [(name, ctypes.c_void_p) for name, _, _ in _FUNCTIONS]


def version() -> str:
    """The installed wheel's, or a word that there is none."""
    try:
        return metadata.version(DISTRIBUTION)
    except metadata.PackageNotFoundError:
        return "(unknown version)"


def refusal(reason: str) -> UsageError:
    """The sentence for a wheel that cannot serve."""
    sentence = f"{DISTRIBUTION} {version()} does not work with this package: {reason}"
    return UsageError(f"{sentence}; install one that does: pip install {DISTRIBUTION}=={FIRST}")


def wheel_module(name: str = "") -> ModuleType:
    """The wheel's package tflite_micro, or its module of that name.

    Raises:
      UsageError: there is no wheel, or it has no such module.
    """
    if importlib.util.find_spec(PACKAGE) is None:
        raise UsageError(f"TFLM's Python interpreter is not installed: {INSTALL}")
    try:
        return importlib.import_module(f"{PACKAGE}.{name}".rstrip("."))
    except Exception as error:  # whatever an unknown wheel raises
        raise refusal(str(error)) from None


@functools.cache
def interpreter_module() -> ModuleType:
    """The wheel's module with `Interpreter` and `InterpreterConfig`, by the public name that TFLM gives it.

    Raises:
      UsageError: there is no wheel, or its interpreter is called otherwise.
    """
    try:
        module = wheel_module().runtime
        missing = _FROM_BYTES - set(inspect.signature(module.Interpreter.from_bytes).parameters)
    except AttributeError as error:
        raise refusal(str(error)) from None
    if missing:
        raise refusal(f"Interpreter.from_bytes does not take {', '.join(sorted(missing))}")
    return module


def interpreter_library() -> Path:
    """The interpreter's extension library.

    Raises:
      UsageError: as of `interpreter_module`, or that module uses no such library.
    """
    try:
        return Path(interpreter_module()._runtime.__file__)
    except AttributeError as error:
        raise refusal(str(error)) from None


def context_functions(library: Path) -> ContextFunctions:
    """The functions of the interpreter's library that our ops call.

    Raises:
      UsageError: it does not export them in any spelling that we know.
    """
    loaded = ctypes.CDLL(str(library))
    found = [_address(loaded, name, pointer, others) for name, pointer, others in _FUNCTIONS]
    missing = [name for (name, _, _), address in zip(_FUNCTIONS, found, strict=True) if address is None]
    if missing:
        raise refusal(f"its library has no MicroContext{missing[0]} with the arguments that we know")
    return ContextFunctions(*found)


def _address(loaded: ctypes.CDLL, name: str, pointer: str, others: str) -> int | None:
    name = f"MicroContext{name}"
    for scope, context in SPELLINGS:
        symbol = f"_ZN{scope}{len(name)}{name}E{pointer}{context}{others}"
        if hasattr(loaded, symbol):
            return ctypes.cast(getattr(loaded, symbol), ctypes.c_void_p).value
    return None
