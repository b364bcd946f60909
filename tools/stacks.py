"""Installs the wheel into whole environments, compares what they give and measures what an installation costs.

    python -m tools.stacks          # the same bytes here with pinned packages as on Python 3.13 with the newest?
    python -m tools.stacks --core   # seconds and megabytes of an installation without TensorFlow, on Python 3.13

In: a Python 3.13 (tools/python313.py finds it) and the network; about 700 MB, or 60 MB with --core. Out: build/stacks/,
a table, and exit code 1 where bytes differ or the test of an emitted project fails.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

from tools import python313
from tools.package import build_wheel

ROOT = Path(__file__).resolve().parents[1]
FOLDER = ROOT / "build" / "stacks"
# A Keras model of fixed weights, converted and run; prints versions, and digests of what came out.
_PROBE = """
import hashlib, json, platform, sys
from importlib import metadata
import keras, numpy as np
import tflm_quantmcu as qm
rng = np.random.default_rng(0)
layers = keras.layers
model = keras.Sequential([
    keras.Input((32, 32, 3)),
    layers.Conv2D(8, 3, padding="same", activation="relu"),
    layers.DepthwiseConv2D(3, strides=2, padding="same", activation="relu"),
    layers.Conv2D(16, 1, activation="relu"),
    layers.GlobalAveragePooling2D(),
    layers.Dense(4, activation="softmax"),
])
model.set_weights([rng.normal(0, 0.3, w.shape).astype(np.float32) for w in model.get_weights()])
x = rng.uniform(-1, 1, (64, 32, 32, 3)).astype(np.float32)
calibration = qm.calibrate_model(model, x)
found = {"int8": calibration.model}
for bits in (8, 4):
    options = {"search": "uniform", "activation_bits": bits, "weight_bits": bits, "strip_metadata": True}
    found[f"{bits} bits"] = qm.convert(model, calibration=calibration, **options).model
    found[f"outputs, {bits} bits"] = qm.Interpreter(found[f"{bits} bits"]).predict(x[:16]).tobytes()
qm.emit(found["8 bits"], output_dir="project")
names = ("tensorflow", "keras", "numpy", "protobuf", "tflite-micro", "tflite-support")
versions = {d.metadata["Name"].lower().replace("_", "-"): d.version for d in metadata.distributions()}
print(json.dumps({
    "versions": {"python": platform.python_version(), **{n: versions.get(n, "none") for n in names}},
    "digests": {name: hashlib.sha256(data).hexdigest()[:16] for name, data in found.items()},
}))
"""


def pinned(wheel: Path) -> Path:
    """An environment with this Python's packages and the wheel; its Python."""
    folder = _empty("pinned")
    _run([sys.executable, "-m", "venv", "--without-pip", folder])
    _pip(folder, "install", "--no-deps", "--no-index", str(wheel))
    (packages,) = folder.glob("lib/*/site-packages")
    # Folders named so have no .pth files, hence no editable package.
    (packages / "theirs.pth").write_text(sysconfig.get_path("purelib"), "utf-8")
    return folder / "bin/python"


def newest(wheel: Path, python: Path, extra: str) -> Path:
    """A new environment with the wheel and the newest of all that it asks for; its Python."""
    folder = _empty("newest" if extra else "core")
    _run([python, "-m", "venv", "--without-pip", folder])
    _pip(folder, "install", "--no-compile", f"{wheel}{extra}")
    return folder / "bin/python"


def probe(python: Path) -> Mapping[str, Mapping[str, str]]:
    """What _PROBE prints in an empty folder; the project that it emits there is built by CMake and tested.

    Raises:
      subprocess.CalledProcessError: a step failed; its words are on stderr.
    """
    environment = {**os.environ, "TF_CPP_MIN_LOG_LEVEL": "3", "CUDA_VISIBLE_DEVICES": "-1"}
    environment.pop("PYTHONPATH", None)
    folder = _empty("work")
    folder.mkdir()
    done = subprocess.run([python, "-c", _PROBE], cwd=folder, env=environment, stdout=subprocess.PIPE, text=True)
    done.check_returncode()
    _run(["cmake", "-S", folder / "project", "-B", folder / "build"], quiet=True)
    _run(["cmake", "--build", folder / "build"], quiet=True)
    _run(["ctest", "--test-dir", folder / "build"], quiet=True)
    return json.loads(done.stdout.splitlines()[-1])


def table(stacks: Mapping[str, Mapping[str, Mapping[str, str]]]) -> tuple[str, bool]:
    """A line a version and a digest, a column a stack; and whether all digests agree."""
    first, *others = stacks.values()
    lines = [f"{'':18} " + " ".join(f"{name:>20}" for name in stacks)]
    for part in ("versions", "digests"):
        for name in first[part]:
            lines.append(f"{name:18} " + " ".join(f"{stack[part][name]:>20}" for stack in stacks.values()))
    return "\n".join(lines), all(other["digests"] == first["digests"] for other in others)


def megabytes(python: Path) -> float:
    """Of all that is installed, without bytecode."""
    (packages,) = python.parents[1].glob("lib/*/site-packages")
    return sum(path.stat().st_size for path in packages.rglob("*") if path.is_file() and path.suffix != ".pyc") / 1e6


def _empty(name: str) -> Path:
    folder = FOLDER / name
    shutil.rmtree(folder, ignore_errors=True)
    FOLDER.mkdir(parents=True, exist_ok=True)
    return folder


def _pip(folder: Path, *arguments: str) -> None:
    python = str(folder / "bin" / "python")
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", "--python", python]
    _run([*pip, *arguments])


def _run(command: Sequence[str | Path], *, quiet: bool = False) -> None:
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL if quiet else None)


def main(arguments: Sequence[str]) -> int:
    python = python313.find()
    if python is None:
        print("stacks: there is no Python 3.13 here, in PATH or in pyenv", file=sys.stderr)
        return 2
    wheel = build_wheel(_empty("dist"))
    if "--core" in arguments:
        start = time.monotonic()
        core = newest(wheel, python, "")
        print(f"without TensorFlow: {time.monotonic() - start:.1f} s, {megabytes(core):.0f} MB")
        return 0
    found = {"pinned": probe(pinned(wheel)), "newest": probe(newest(wheel, python, "[keras]"))}
    text, is_equal = table(found)
    print(f"{text}\n{'the same bytes' if is_equal else 'THE BYTES DIFFER'}")
    return int(not is_equal)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
