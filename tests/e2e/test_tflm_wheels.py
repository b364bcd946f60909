"""Every TFLM wheel that `make wheels` fetched gives the bytes of the pinned one: models, outputs and arena."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from tools.wheels import FOLDER, NEWEST, ROOT, VERSIONS

FEWEST_IN_CI = 3


def _wanted() -> tuple[str, ...]:
    """All that `make wheels` fetches; of the newest, what it was."""
    newest = NEWEST.read_text().strip() if NEWEST.is_file() else "the newest"
    return tuple(dict.fromkeys([*VERSIONS, newest]))


def _outputs(target: Path, *folders: Path) -> dict[str, np.ndarray]:
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, folders))}
    command = [sys.executable, "-m", "tests.support.wheel_outputs", str(target)]
    result = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    with np.load(target) as found:
        return dict(found)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """What the installed wheel gives, which is the pinned one."""
    return _outputs(tmp_path_factory.mktemp("installed") / "outputs.npz")


@pytest.mark.parametrize("version", _wanted())
def test_a_wheel_gives_the_same_bytes(version: str, tmp_path: Path, installed: dict[str, np.ndarray]) -> None:
    if not (FOLDER / version).is_dir():
        pytest.skip(f"the wheel {version} is missing; `make wheels` fetches it")
    found = _outputs(tmp_path / "outputs.npz", FOLDER / version)
    assert found.pop("version") == version
    expected = {name: values for name, values in installed.items() if name != "version"}
    assert found.keys() == expected.keys()
    for name, values in expected.items():
        assert np.array_equal(found[name], values), name


def test_8_bits_are_stock_tflms_bytes(installed: dict[str, np.ndarray]) -> None:
    assert np.array_equal(installed["split: output"], installed["stock: output"])
    assert not np.array_equal(installed["mixed: output"], installed["stock: output"])


@pytest.mark.skipif(os.environ.get("CI") != "true", reason="CI alone must have the wheels")
def test_ci_has_enough_wheels() -> None:
    there = [version for version in _wanted() if (FOLDER / version).is_dir()]
    assert len(there) >= FEWEST_IN_CI, f"of {', '.join(_wanted())} only {', '.join(there) or 'none'} were fetched"
