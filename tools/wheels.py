"""Puts TFLM wheels side by side below build/wheels/PYTHON/, a folder a version, for tests that run one after the other.

    python -m tools.wheels            # what is missing of VERSIONS and of a newest one
    python -m tools.wheels --newest   # what is newest on the index now

What cannot be fetched is said and left out; tests/e2e/test_tflm_wheels.py says which versions it did not find.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from tflm_quantmcu.base.tflm_wheel import DISTRIBUTION, FIRST

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "build" / "wheels" / str(sys.implementation.cache_tag)
NEWEST = FOLDER / "newest"  # the version that was newest when the index was last asked
# The first, and behind it one for each change of TFLM's binary interface or of its modules.
VERSIONS = (FIRST, "0.dev20261002230103", "0.dev20261006214927", "0.dev20261009205824")


def fetch(requirement: str) -> str:
    """Installs what pip finds for a requirement, without its dependencies, below FOLDER; returns its version.

    Raises:
      subprocess.CalledProcessError: pip cannot; `stderr` has its words.
    """
    with tempfile.TemporaryDirectory(dir=FOLDER) as temporary:
        folder = Path(temporary, "wheel")
        pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "install", "--no-deps"]
        command = [*pip, "--only-binary", ":all:", "--target", str(folder), requirement]
        subprocess.run(command, check=True, capture_output=True, text=True)
        (info,) = folder.glob("*.dist-info")
        version = info.name.removesuffix(".dist-info").partition("-")[2]
        target = FOLDER / version
        shutil.rmtree(target, ignore_errors=True)
        folder.rename(target)
    return version


def fetch_or_say(requirement: str) -> str | None:
    """The version that `fetch` brought; None where pip cannot, which is said."""
    try:
        version = fetch(requirement)
    except subprocess.CalledProcessError as error:
        words = error.stderr.strip().rpartition("\n")[2]
        print(f"wheels: {requirement} IS MISSING: {words}", file=sys.stderr)
        return None
    print(f"wheels: {version} is in {FOLDER.relative_to(ROOT)}")
    return version


def main(arguments: Sequence[str]) -> int:
    """0; with --newest 1 if that could not be fetched."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    for version in VERSIONS:
        if not (FOLDER / version).is_dir():
            fetch_or_say(f"{DISTRIBUTION}=={version}")
    asks_for_newest = "--newest" in arguments
    if NEWEST.is_file() and not asks_for_newest:
        return 0
    newest = fetch_or_say(f"{DISTRIBUTION}>={FIRST}")
    if newest:
        NEWEST.write_text(f"{newest}\n")
    return int(asks_for_newest and newest is None)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
