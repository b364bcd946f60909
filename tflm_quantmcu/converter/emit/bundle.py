"""The C++ sources that an emitted project compiles, to be copied into it: it then needs no checkout.

In: the folder of the sources and what the project is. Out: files below QUANTMCU_FOLDER, name -> text, at their
places in a checkout, each with a line that names its licence.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.graph.target import DSP, MVE, PLAIN, REFERENCE

QUANTMCU_FOLDER = "quantmcu"

_LIST = "tflm_kernels/sources.txt"
_SHARED_GROUPS = ("kernels", "self_test", "host", "cortex_m")
_GROUPS = {"aot": ("rv32",), "tflm": ("program", "micro", "fast_ops", PLAIN, DSP, MVE)}
# What builds and runs a project beside its sources; patterns.
_TOOLS = (
    "LICENSE",
    "tflm_kernels/boards/*.mk",
    "tflm_kernels/boards/*.ld",
    "tflm_kernels/boards/mps*.cc",
    "third_party/arm_none_eabi/cores.bzl",
    "tools/qemu_run.py",
)
_TARGET_TOOLS = {
    "aot": ("tflm_kernels/aot/project.mk", "tflm_kernels/CMakeLists.txt", "tflm_kernels/cmake/*.cmake"),
    "tflm": ("tflm_kernels/micro/project.mk", "tflm_kernels/boards/tflm/debug_log.cc"),
}
_INCLUDE = re.compile(r'^#\s*include "([^"]+)"', re.MULTILINE)


def bundled_files(root: Path, *, target: str, variant: str, emitted: Iterable[str]) -> dict[str, str]:
    """The files.

    Args:
      root: the folder that holds tflm_kernels/.
      target: `aot` or `tflm`.
      variant: of the kernels that an AOT project is planned for; it runs no others.
      emitted: texts of the project's own sources, whose includes come too.

    Raises:
      UsageError: a source is missing.
    """
    groups = {*_SHARED_GROUPS, *_GROUPS[target], *((variant,) if variant != REFERENCE else ())}
    listed = [line for line in _read(root, _LIST).splitlines() if line.startswith("#") or line.split()[0] in groups]
    sources = [f"tflm_kernels/{line.split()[1]}" for line in listed if not line.startswith("#")]
    tools = [_relative(root, path) for p in (*_TOOLS, *_TARGET_TOOLS[target]) for path in sorted(root.glob(p))]
    texts = {name: _read(root, name) for name in (*sources, *tools)}
    texts |= headers_of(root, (*texts.values(), *emitted))
    texts[_LIST] = "\n".join(listed) + "\n"
    version = re.sub(r"^# (tflm_quantmcu [\d.]+).*", r"\1", listed[0])
    notice = f"Part of {version}, under the Apache License 2.0: see LICENSE."
    return {f"{QUANTMCU_FOLDER}/{name}": _with_notice(name, texts[name], notice) for name in sorted(texts)}


def headers_of(root: Path, texts: Iterable[str]) -> dict[str, str]:
    """All headers of ours that the texts include, directly or not."""
    found: dict[str, str] = {}
    waiting = [name for text in texts for name in _includes(root, text)]
    while waiting:
        name = waiting.pop()
        if name not in found:
            found[name] = _read(root, name)
            waiting += _includes(root, found[name])
    return found


def _includes(root: Path, text: str) -> Iterator[str]:
    return (name for name in _INCLUDE.findall(text) if (root / name).is_file())


def _relative(root: Path, path: Path) -> str:
    return path.relative_to(root).as_posix()


def _read(root: Path, name: str) -> str:
    try:
        return (root / name).read_text(encoding="utf-8")
    except OSError as error:
        raise UsageError(
            f"--bundle copies {root / name}, which cannot be read: "
            f"{error.strerror or error}; --nobundle refers to a checkout"
        ) from None


def _with_notice(name: str, text: str, notice: str) -> str:
    if name == "LICENSE":
        return text
    begin, end = {".cc": ("// ", ""), ".h": ("// ", ""), ".ld": ("/* ", " */")}.get(Path(name).suffix, ("# ", ""))
    head, rest = text.split("\n", 1) if text.startswith("#!") else ("", text)
    return f"{head}{head and chr(10)}{begin}{notice}{end}\n{rest}"
