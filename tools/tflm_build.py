"""Builds programs with the real TFLM for a core. TFLM itself is compiled once a core, whatever programs want it.

In: a project that includes tflm_kernels/micro/project.mk, and a checkout of tflite-micro (TFLM_DIR, and TFLM_DOWNLOADS
as docs/emit.md says). Out: an image. Objects stay in build/tflm/, a folder for each core and for whose kernels TFLM's
ops run on; builds that want the same folder wait for each other. Refuses what cannot be built.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

from tflm_quantmcu.graph.target import short_core
from tools.qemu_run import QemuError

ROOT = Path(__file__).resolve().parents[1]
OBJECTS = ROOT / "build/tflm"
_RULES = ROOT / "tools/tflm_build.mk"
# Of all programs whose speed is nothing to anybody, for objects are shared.
_FLAGS = "-O1"


def cmsis_nn_folder() -> str | None:
    """CMSIS_NN_DIR, a checkout of CMSIS-NN, or None where it is not set."""
    return os.environ.get("CMSIS_NN_DIR")


def tflm_folders() -> dict[str, str] | None:
    """TFLM_DIR and TFLM_DOWNLOADS, or None where the first is not set."""
    tflm = os.environ.get("TFLM_DIR")
    return tflm_settings(tflm, os.environ.get("TFLM_DOWNLOADS")) if tflm else None


def tflm_settings(tflm_dir: str | Path, downloads: str | Path | None = None) -> dict[str, str]:
    """The two settings of a build; without `downloads` where TFLM's own Makefile puts them."""
    downloads = downloads or f"{tflm_dir}/tensorflow/lite/micro/tools/make/downloads"
    return {"TFLM_DIR": os.path.abspath(tflm_dir), "TFLM_DOWNLOADS": os.path.abspath(downloads)}


def build_program(
    project: Path,
    core: str,
    tflm: Mapping[str, str],
    *,
    cmsis_nn: str | Path | None = None,
    flags: str = _FLAGS,
    **settings: str,
) -> Path:
    """Builds a project's main; the image.

    Args:
      project: its folder.
      core: `cortex-m4` and its like, by any spelling that has a folder of that name in cores.bzl.
      tflm: of `tflm_settings`.
      cmsis_nn: a checkout of CMSIS-NN, on whose kernels TFLM's own ops then run; None for its reference kernels.
      flags: of the compiler; our kernels are compiled at -O3 whatever it says, as in every project.
      settings: of the Makefile, beside those.

    Raises:
      QemuError: it cannot be built.
    """
    core = short_core(core)
    objects = OBJECTS / f"{core}_{'cmsis_nn' if cmsis_nn else 'reference'}{'' if flags == _FLAGS else flags}"
    image = f"build/{core}/main"
    every = {"CORE": core, "QUANTMCU_DIR": ROOT, "CXXFLAGS": flags, "OBJECT_DIR": objects, "PYTHON": sys.executable}
    every |= {"CMSIS_NN_DIR": os.path.abspath(cmsis_nn) if cmsis_nn else "", **tflm, **settings}
    command = ["make", "-s", f"-j{os.cpu_count()}", "-C", str(project), "-f", "Makefile", "-f", str(_RULES), image]
    command += [f"{key}={value}" for key, value in every.items()]
    with _alone(objects):
        built = subprocess.run(command, capture_output=True, text=True)
    if built.returncode:
        raise QemuError(f"TFLM for {core} cannot be built: {built.stderr[-2000:]}")
    return project / image


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """No other process builds in the folder meanwhile."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
