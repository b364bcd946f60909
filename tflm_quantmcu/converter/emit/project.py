"""Writes the project of a model: what `tflm_quantmcu emit` does."""

from __future__ import annotations

import dataclasses
import os
import re
from pathlib import Path
from typing import Union

from tflm_quantmcu.base import programs
from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.base.files import read_bytes, write_atomically
from tflm_quantmcu.converter.emit.aot import emit_aot
from tflm_quantmcu.converter.emit.bundle import QUANTMCU_FOLDER, bundled_files
from tflm_quantmcu.converter.emit.recording import NUM_SAMPLES, record
from tflm_quantmcu.converter.emit.tflm import emit_tflm
from tflm_quantmcu.graph.target import HOST, require_core, variant_of
from tflm_quantmcu.native.sources import kernel_sources
from tflm_quantmcu.tflite.canonical.constants import fold_constants
from tflm_quantmcu.tflite.full_integer import require_full_integer
from tflm_quantmcu.tflite.missing_ops import runnable
from tflm_quantmcu.tflite.model_file import ModelFile
from tflm_quantmcu.tflite.writer import write_model

PathLike = Union[str, "os.PathLike[str]"]
TARGETS = ("aot", "tflm")

# Words that would not compile, or would shadow what emitted code uses.
_TAKEN = """
alignas alignof and asm auto bitand bitor bool break case catch char class compl const constexpr continue
decltype default delete do double else enum explicit export extern false final float for friend goto if inline
int long main mutable namespace new noexcept not nullptr operator or override private protected public
quantmcu register return short signed sizeof static std struct switch template tflite this throw true try
typedef typeid typename union unsigned using virtual void volatile while xor
"""


@dataclasses.dataclass(frozen=True)
class EmittedProject:
    """What was written.

    Attributes:
      directory: where.
      files: names in it, but for those of the bundle.
      name: of the model in the code.
      target: `aot` or `tflm`.
      core: that `make` builds for.
      arena_bytes: aot: all RAM but the stack; tflm: of the tensor arena that the code sets aside.
      is_bundled: it holds the C++ sources that it compiles.
    """

    directory: Path
    files: tuple[str, ...]
    name: str
    target: str
    core: str
    arena_bytes: int
    is_bundled: bool

    @property
    def summary(self) -> str:
        """What there is and how to run it, for the command line."""
        needed = [] if self.is_bundled else [f"QUANTMCU_DIR={kernel_sources()}"]
        needed += ["TFLM_DIR=<checkout of tflite-micro>"] if self.target == "tflm" else []
        files = [*self.files, *([f"{QUANTMCU_FOLDER}/"] if self.is_bundled else [])]
        command = " ".join(["make", "-C", str(self.directory), "test", *needed])
        absent = programs.missing(programs.ON_HOST if self.core == HOST else programs.ON_CORTEX_M)
        return (
            f"{self.name}: arena {self.arena_bytes:,} bytes; wrote {', '.join(files)}\nto run its test: {command}"
            + (f"\nwhich needs what is {absent}" if absent else "")
        )


def emit(
    model: bytes | PathLike,
    *,
    output_dir: PathLike,
    target: str = "aot",
    core: str = "host",
    inputs: PathLike | None = None,
    name: str | None = None,
    bundle: bool = True,
    num_samples: int = NUM_SAMPLES,
) -> EmittedProject:
    """Writes a C++ project that runs the model and tests itself against TFLM on this host.

    Args:
      model: a full-integer int8 `.tflite`, stock or converted, or its path.
      output_dir: is made where it is missing; files of the same names are replaced.
      target: `aot`: no TFLM, a static plan; `tflm`: an interpreter project in the shape of TFLM's hello_world.
      core: what it is built for by default: `host`, or `cortex-m0plus`, `-m3`, `-m4`, `-m7`, `-m33`, `-m55`.
      inputs: `.npz` of samples, or a saved calibration, whose first samples the test runs; what it lacks is random.
      name: a C++ identifier; by default made of the model's file name.
      bundle: the kernels that the project compiles are copied into it; else it refers to the sources by QUANTMCU_DIR.
      num_samples: that the test runs.

    Raises:
      UsageError: a name, a folder or samples that cannot be used.
      UnsupportedModelError: an op that the target does not run.
    """
    if target not in TARGETS:
        raise UsageError(f"--target is {target}; supported are {' and '.join(TARGETS)}")
    core = require_core(core, besides=(HOST,))
    chosen = _identifier(name, "model" if isinstance(model, bytes) else Path(model).stem)
    file = ModelFile(model if isinstance(model, bytes) else read_bytes(model, "--model"))
    tree = (
        None if file.graph.subgraphs else fold_constants(file)
    )  # there are no kernels for what TFLM computes on shapes
    file = runnable(file if tree is None else ModelFile(write_model(tree), file))
    require_full_integer(file.graph)
    recording = record(file, inputs, num_samples=num_samples)
    if target == "aot":
        files, arena_bytes = emit_aot(file.graph, recording, name=chosen, core=core, is_bundled=bundle)
    else:
        files, arena_bytes = emit_tflm(file, recording, name=chosen, core=core, is_bundled=bundle)
    bundled: dict[str, str] = {}
    if bundle:
        texts = files.values()
        bundled = bundled_files(kernel_sources(), target=target, variant=variant_of(core), emitted=texts)
    folder = _write(Path(output_dir), {**files, **bundled})
    return EmittedProject(folder, tuple(files), chosen, target, core, arena_bytes, bundle)


def _identifier(name: str | None, stem: str) -> str:
    if name is None:
        name = re.sub(r"[\W_]+", "_", stem, flags=re.ASCII).lower().strip("_")
        return name if _is_identifier(name) else f"model_{name}".rstrip("_")
    if not _is_identifier(name):
        raise UsageError(f"--name is {name}; needed is a C++ identifier of lower-case letters, digits and _")
    return name


def _is_identifier(name: str) -> bool:
    return bool(re.fullmatch(r"[a-z][a-z0-9_]*", name)) and name not in _TAKEN.split()


def _write(folder: Path, files: dict[str, str]) -> Path:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UsageError(f"--output_dir {folder} cannot be made: {error.strerror or error}") from None
    for name, text in files.items():
        path, data = folder / name, text.encode()
        path.parent.mkdir(parents=True, exist_ok=True)
        if not path.is_file() or path.read_bytes() != data:  # make builds again what is newer
            write_atomically(path, data)
    return folder
