"""Writes third_party/python/licences.md: under which licence each package of the lock file is, as the package says.

In: the lock file, and the packages that are installed. Out: one table; those for another Python keep their row. A test
holds the page against what is installed.

    python -m tools.licences
"""

from __future__ import annotations

import importlib.metadata
import re
from collections.abc import Mapping

from packaging.utils import canonicalize_name

from tools.lock_hashes import LOCK, requirements

PAGE = LOCK.with_name("licences.md")
_HEAD = """# Licences of Python packages

What `make setup` installs ([requirements.txt](requirements.txt)), as the packages' own metadata say; `python -m
tools.licences` writes this page. Of these an installation of tflm_quantmcu takes its core alone (`setup.py`): the rest
is for Keras, plots and development. Nothing of them is copied into this repository, its wheel or emitted code.

| package | licence |
|---|---|
"""
_ROW = re.compile(r"^\| (\S+) \| (.*) \|$", re.MULTILINE)
_CLASSIFIER = "License :: OSI Approved :: "
# What the metadata do not say, their repositories do.
_SILENT = dict.fromkeys(("atheris", "namex", "tflite-micro"), "Apache-2.0")
_LONGEST = 60  # some have the whole text there


def licence_of(package: str) -> str | None:
    """The licence that an installed package names: SPDX expression, short text or classifiers; else None."""
    try:
        data = importlib.metadata.metadata(package).json
    except importlib.metadata.PackageNotFoundError:
        return None
    text = str(data.get("license_expression") or data.get("license") or "").strip()
    if text and "\n" not in text and len(text) <= _LONGEST:
        return text
    classifiers = data.get("classifier", [])
    classes = [c.removeprefix(_CLASSIFIER) for c in classifiers if c.startswith(_CLASSIFIER)]
    return ", ".join(classes) or _SILENT.get(package, "not said")


def listed() -> dict[str, str]:
    """The page's rows: package -> licence."""
    text = PAGE.read_text(encoding="utf-8") if PAGE.is_file() else ""
    return {name: licence for name, licence in _ROW.findall(text) if name != "package"}


def page(before: Mapping[str, str]) -> str:
    """The page's text; packages that are not installed keep what it said before."""
    names = sorted({canonicalize_name(requirement.name) for requirement in requirements(LOCK.read_text("utf-8"))})
    rows = [f"| {name} | {licence_of(name) or before.get(name, 'not installed here')} |" for name in names]
    return _HEAD + "\n".join(rows) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(listed()), encoding="utf-8")
