"""What README and docs show runs: blocks of commands and of Python, in the order of a page, beside files as it names.

A block that is not run says why in a comment before it: `<!-- not run: reason -->`.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pytest
from sklearn.datasets import load_digits

import tflm_quantmcu as qm
from tflm_quantmcu.cli.main import run

ROOT = Path(__file__).resolve().parents[1]
GENERATED = ("docs/reference/python.md",)  # signatures, held against the code by test_reference.py
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "tflm_kernels").rglob("*.md"))]
BLOCK = re.compile(r"^(<!-- not run: .+ -->\n)?```(\w*)\n((?:.*\n)*?)```$", re.MULTILINE)
COMMANDS = "docs/reference/commands.md"
BUDGET = 16 * 1024  # bytes; one that the model of this test meets at 8 bits


def blocks_of(page: Path) -> list[tuple[str, str]]:
    """(language, text) of the blocks to run; the language of commands is empty."""
    found = BLOCK.finditer(page.read_text(encoding="utf-8"))
    return [(match[2], match[3]) for match in found if match[2] in ("", "python") and not match[1]]


def commands_of(text: str) -> list[str]:
    """The command lines of a block, continued ones joined."""
    return [line for line in text.replace("\\\n", " ").splitlines() if line.strip()]


NAMES = [str(page.relative_to(ROOT)) for page in PAGES]
WITH_BLOCKS = [name for name in NAMES if name not in GENERATED and blocks_of(ROOT / name)]


@pytest.fixture(scope="module")
def things(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """A folder with the files and the names with the values that pages take for granted."""
    keras = pytest.importorskip("keras")
    folder = tmp_path_factory.mktemp("documents")
    images, y = load_digits(return_X_y=True)
    x = np.kron(images.reshape(-1, 8, 8, 1) / 16, np.ones((1, 3, 3, 1))).astype(np.float32)
    model = _trained(keras, x[128:], y[128:])
    model.save(folder / "m.keras")
    calibration = qm.calibrate_model(model, x[:64], progress=False)
    for name in ("c.npz", "calibration.npz"):
        qm.save_calibration(calibration, folder / name)
    (folder / "m.tflite").write_bytes(calibration.model)
    np.savez(folder / "x.npz", x=x[:64])
    for name in ("xy", "search", "test"):
        np.savez(folder / f"{name}.npz", x=x[:96], y=y[:96])
    plan = qm.plan(calibration.model, calibration=calibration, sram_bytes=BUDGET, progress=False)
    result = qm.convert(calibration.model, calibration=calibration, plan=plan, progress=False)
    result.save(folder / "m_qmcu.tflite")
    image = np.zeros((24, 24, 1), np.int8)
    values = {
        "keras": keras,
        "joblib": joblib,
        "model": model,
        "result": result,
        "image": image,
        "x": x[:64],
        "y": y[:64],
    }
    values |= {"representative_data": x[:64], "x_representative": x[:64], "x_train": x[:64], "y_train": y[:64]}
    return folder, values | {"x_held_out": x[64:96], "y_held_out": y[64:96]}


def _trained(keras: Any, x: np.ndarray, y: np.ndarray) -> Any:
    layers = keras.layers
    keras.utils.set_random_seed(0)
    convolutions = [layers.Conv2D(8, 3, strides=1 + i % 2, padding="same", activation="relu") for i in range(4)]
    model = keras.Sequential(
        [keras.Input(x.shape[1:]), *convolutions, layers.Flatten(), layers.Dense(10, activation="softmax")]
    )
    model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])
    model.fit(x, y, epochs=3, verbose=0)
    return model


@pytest.mark.parametrize("name", WITH_BLOCKS)
def test_the_blocks_of_a_page_run(
    name: str, things: tuple[Path, dict[str, Any]], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder, values = things
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    monkeypatch.chdir(tmp_path)
    if name == COMMANDS:  # README's block runs it, which takes as long as all that this page shows beside it
        assert any("tflm_quantmcu bench " in text for _, text in blocks_of(ROOT / "README.md"))
        monkeypatch.setattr("tflm_quantmcu.cost.bench.bench", _as_bench)
    names = {"qm": qm, **values}
    for language, text in blocks_of(ROOT / name):
        if language:
            exec(compile(text, name, "exec"), names)
        else:
            for line in commands_of(text):
                _run(line, tmp_path)


def _as_bench(core: str, *, output: str) -> str:
    """Takes what `bench` takes and counts nothing."""
    assert core == "cortex-m4" and output == "m4.csv"
    return ""


def _run(line: str, home: Path) -> None:
    words = shlex.split(line, comments=True)
    if words[0] == "tflm_quantmcu":
        run(words[1:])
        return
    paths = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT), "HOME": str(home)}
    done = subprocess.run(["bash", "-c", line], env=os.environ | paths, capture_output=True, text=True)
    assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"


@pytest.mark.parametrize("name", NAMES)
def test_modules_that_a_page_runs_exist(name: str) -> None:
    text = (ROOT / name).read_text(encoding="utf-8")
    modules = set(re.findall(r"python -m ((?:tools|experiments|tflm_kernels)[\w.]*)", text))
    missing = [module for module in modules if importlib.util.find_spec(module) is None]
    assert not missing


def test_a_block_that_is_not_run_says_why(tmp_path: Path) -> None:
    page = tmp_path / "page.md"
    page.write_text(
        "<!-- not run: reason -->\n```\nrm x\n```\n\n```cpp\ny\n```\n\n```\na \\\n  b  # c\n```\n```python\nz\n```\n"
    )
    commands, python = blocks_of(page)
    assert commands_of(commands[1]) == ["a    b  # c"] and python == ("python", "z\n")
