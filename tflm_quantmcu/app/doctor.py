"""Looks at what an installation needs: what is there, what is missing, and the line that installs it.

TensorFlow, which takes seconds to import, is asked for its version only.
"""

from __future__ import annotations

import dataclasses
import platform
import shutil
import subprocess
from collections.abc import Callable
from importlib import metadata

from tflm_quantmcu.base import programs, tflm_wheel
from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.native.handshake import load_op_library
from tflm_quantmcu.native.op_library import find_op_library
from tflm_quantmcu.native.sources import kernel_sources

EVERYTHING = "everything"
# What commands call, and what for.
_PROGRAMS = (
    ("make", "building emitted projects"),
    ("g++", "emitted projects on this host"),
    ("arm-none-eabi-g++", "emitted projects on a Cortex-M"),
    ("qemu-system-arm", "running these without a board"),
)


@dataclasses.dataclass(frozen=True)
class Finding:
    """One thing that was looked for.

    Attributes:
      name: what it is.
      needed_for: by whom; EVERYTHING is missed by every command.
      found: its version or place; None: it is missing or does not work.
      remedy: then, the line that installs it, or what is wrong in one sentence.
    """

    name: str
    needed_for: str
    found: str | None
    remedy: str = ""

    def __str__(self) -> str:
        if self.found is not None:
            return f"  ok       {self.name:20} {self.found}"
        return f"  MISSING  {self.name:20} needed for {self.needed_for}: {self.remedy}"


def examine() -> list[Finding]:
    """Everything, in the order in which a user needs it."""
    findings = [
        Finding("Python", EVERYTHING, platform.python_version()),
        _tried("TFLM", _tflm),
        _tried("op library", lambda: str(find_op_library())),
        _tried("TFLM with our ops", _handshake),
        _tried("C++ sources", lambda: str(kernel_sources())),
        *(_distribution(name, "Keras models", "keras") for name in ("tensorflow", "keras")),
        _distribution("matplotlib", "pictures", "plots"),
    ]
    return findings + [_program(*program) for program in _PROGRAMS]


def require(findings: list[Finding]) -> None:
    """Refuses an installation in which no command works as it should.

    Raises:
      UsageError: the sentence names what is missing.
    """
    missing = [f.name for f in findings if f.found is None and f.needed_for == EVERYTHING]
    if missing:
        raise UsageError(f"missing: {', '.join(missing)}; the lines above say what to do")


def _tried(name: str, look: Callable[[], str]) -> Finding:
    try:
        return Finding(name, EVERYTHING, look())
    except UsageError as error:
        return Finding(name, EVERYTHING, None, str(error))


def _tflm() -> str:
    tflm_wheel.interpreter_module()
    return f"{tflm_wheel.DISTRIBUTION} {tflm_wheel.version()}"


def _handshake() -> str:
    load_op_library(find_op_library())
    return "a model with an op of ours gives its bytes"


def _distribution(name: str, needed_for: str, extra: str) -> Finding:
    try:
        return Finding(name, needed_for, metadata.version(name))
    except metadata.PackageNotFoundError:
        return Finding(name, needed_for, None, f"pip install 'tflm_quantmcu[{extra}]'")


def _program(name: str, needed_for: str) -> Finding:
    packages = programs.PACKAGES[name]
    path = shutil.which(name)
    if path is None:
        return Finding(name, needed_for, None, f"apt-get install {packages}")
    done = subprocess.run([path, "--version"], capture_output=True, text=True, check=False)
    if done.returncode:
        return Finding(name, needed_for, None, f"{path} does not run; apt-get install {packages}")
    return Finding(name, needed_for, done.stdout.partition("\n")[0])
