"""The lock files name every file by its hash; the page of licences says what the packages say."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from tools.licences import licence_of, listed, page
from tools.lock_hashes import LOCK, LOCKS, applies, requirements, with_hashes

SHA256 = re.compile(r"--hash=sha256:([0-9a-f]{64})")
BLOCK = re.compile(r"^(?!#)(\S+)==(\S+).*(?: \\\n    --hash=sha256:[0-9a-f]{64})+$", re.MULTILINE)


@pytest.mark.parametrize("path", LOCKS, ids=lambda path: path.name)
def test_every_package_has_its_version_and_hashes(path: Path) -> None:
    text = path.read_text("utf-8")
    blocks = list(BLOCK.finditer(text))
    assert len(blocks) == len(list(requirements(text))) > 20
    assert {line for line in text.splitlines() if not line.startswith("#")} == {
        line for block in blocks for line in block[0].splitlines()
    }
    hashes = {(canonicalize_name(block[1]), block[2]): set(SHA256.findall(block[0])) for block in blocks}
    assert with_hashes(text, hashes) == text


def test_a_package_is_locked_once_for_each_python() -> None:
    for path, pythons in LOCKS.items():
        for python in pythons:
            names = [
                canonicalize_name(requirement.name)
                for requirement in requirements(path.read_text("utf-8"))
                if applies(requirement, python)
            ]
            assert len(names) == len(set(names))


def test_licences_are_those_of_the_packages() -> None:
    found = listed()
    assert page(found).endswith("".join(f"| {name} | {licence} |\n" for name, licence in found.items()))
    assert set(found) == {canonicalize_name(r.name) for r in requirements(LOCK.read_text("utf-8"))}
    for name, licence in found.items():
        assert licence_of(name) in (None, licence)
    assert not {"not said", "not installed here"} & set(found.values())
