"""Writes the SHA-256 of every file that `make setup` may install into the lock files, behind its package.

In: requirements files, `name==version [; marker]` a line. Out: the same lines with `--hash` of the wheels that pip
takes on their Pythons on Linux x86_64; pip then installs nothing else. The index is asked through pip. Refuses a
package without a wheel.

    python -m tools.lock_hashes
"""

from __future__ import annotations

import itertools
import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

LOCK = Path(__file__).resolve().parents[1] / "third_party" / "python" / "requirements.txt"
# Lock file -> the Pythons that it is for.
LOCKS = {LOCK: ("3.11", "3.12", "3.13"), LOCK.with_name("requirements-3.13.txt"): ("3.13",)}
_GLIBCS = (28, 40)  # 2.28 and 2.40: pip takes the wheel of the newest that the machine has
_HASH = re.compile(r"\s*\\\n\s*--hash=\S+")


def requirements(text: str) -> Iterator[Requirement]:
    """Those of a lock file, hashes aside."""
    for line in _HASH.sub("", text).splitlines():
        if line and not line.startswith("#"):
            yield Requirement(line)


def applies(requirement: Requirement, python: str) -> bool:
    """Whether a Python, as in "3.11", installs it."""
    versions = {"python_version": python, "python_full_version": f"{python}.0"}
    return requirement.marker is None or requirement.marker.evaluate(versions)


def with_hashes(text: str, hashes: dict[tuple[str, str], set[str]]) -> str:
    """The lock file's text with these: (canonical name, version) -> of its files."""
    lines = []
    for line in _HASH.sub("", text).splitlines():
        lines.append(line)
        if line and not line.startswith("#"):
            found = sorted(hashes[_key(Requirement(line))])
            lines[-1] = " \\\n".join([line, *(f"    --hash=sha256:{digest}" for digest in found)])
    return "\n".join(lines) + "\n"


def _key(requirement: Requirement) -> tuple[str, str]:
    (version,) = requirement.specifier
    return canonicalize_name(requirement.name), version.version


def _platforms(glibc: int) -> Iterator[str]:
    """Tags of the wheels that run with glibc 2.`glibc`, the best first."""
    for tag in (*(f"_2_{n}" for n in range(glibc, 4, -1)), "2014", "2010", "1"):
        yield from ("--platform", f"manylinux{tag}_x86_64")


def _found(text: str, python: str, glibc: int) -> Iterator[tuple[tuple[str, str], str]]:
    """What pip would install on a Python with glibc 2.`glibc`, and the SHA-256 of its wheel."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "requirements.txt"
        wanted = [requirement for requirement in requirements(text) if applies(requirement, python)]
        file.write_text("".join(f"{requirement.name}{requirement.specifier}\n" for requirement in wanted))
        command = [
            *(sys.executable, "-m", "pip", "--disable-pip-version-check", "install", "--quiet", "--dry-run"),
            *(
                "--ignore-installed",
                "--no-deps",
                "--ignore-requires-python",
                "--only-binary=:all:",
                "--python-version",
                python,
            ),
            *(*_platforms(glibc), "--target", f"{folder}/target", "--report", "-", "-r", str(file)),
        ]
        done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(done.stderr)
    report = json.loads(done.stdout)
    for item in report["install"]:
        key = canonicalize_name(item["metadata"]["name"]), item["metadata"]["version"]
        yield key, item["download_info"]["archive_info"]["hashes"]["sha256"]


def lock(path: Path, pythons: Sequence[str]) -> None:
    """Writes the hashes into a lock file."""
    text = path.read_text(encoding="utf-8")
    hashes: dict[tuple[str, str], set[str]] = {}
    for python, glibc in itertools.product(pythons, _GLIBCS):
        print(f"lock_hashes: {path.name}, Python {python}, glibc 2.{glibc}", flush=True)
        for key, digest in _found(text, python, glibc):
            hashes.setdefault(key, set()).add(digest)
    path.write_text(with_hashes(text, hashes), encoding="utf-8")


if __name__ == "__main__":
    for path, pythons in LOCKS.items():
        lock(path, pythons)
