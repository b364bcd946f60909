"""Finds the C++ sources, which firmware projects compile: a checkout's own, or those that an installation holds.

setup.py takes the list of files from here, so nothing but the standard library may be imported.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from tflm_quantmcu.base.errors import UsageError

FOLDER = "sources"  # of the package, as setup.py lays it: a checkout as far as FILES go
# All C++, and what its build files and emitted projects' read; patterns as of Path.glob.
FILES = (
    "LICENSE",
    "third_party/arm_none_eabi/*",
    "third_party/tflm_abi/*",
    "tflm_kernels/*",
    "tflm_kernels/cmake/*",
    *(f"tflm_kernels/{folder}/**/*" for folder in ("aot", "boards", "cortex_m", "micro", "portable")),
    "tools/qemu_run.py",
    "zephyr/*",
)


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


def source_files(root: Path) -> list[Path]:
    """Paths below `root` of all FILES, sorted."""
    return sorted({path.relative_to(root) for pattern in FILES for path in root.glob(pattern) if path.is_file()})


def copy_sources(output_dir: str | os.PathLike[str]) -> int:
    """Copies the sources into a folder, which is made where it is missing; how many files.

    Raises:
      UsageError: as `kernel_sources`, or the folder cannot be written.
    """
    root = kernel_sources()
    files = source_files(root)
    try:
        for file in files:
            target = Path(output_dir, file)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(root / file, target)
    except OSError as error:
        raise UsageError(f"--output_dir {output_dir} cannot be written: {error.strerror or error}") from None
    return len(files)
