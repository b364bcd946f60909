"""Converts models in a fixed set of ways and keeps the SHA-256 of all that was written: did a change change any byte?

    python -m tools.replay record before.txt --models FOLDER ...
    python -m tools.replay compare before.txt --models FOLDER ...     # after the change; exit code 1 if a row differs

In: folders of `.tflite` files, and any checkout of this project (--checkout, default this one), which is used by its
command line only. Out: a row a model and setting: the exit code, and the hashes or the refusal. Samples are random, of
a fixed seed; one process converts at a time.
"""

from __future__ import annotations

import argparse
import hashlib
import math
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from tflm_quantmcu.tflite import schema

ROOT = Path(__file__).resolve().parent.parent
SEED = 0
NUM_SAMPLES = 4
OUTPUTS = ("m_qmcu.tflite", "plan.json", "report.html")
_CALIBRATED = "--calibration_data x.npz --sram_bytes {bound}"
SETTINGS = {
    "uniform": "--search uniform",
    "uniform bounded": "--search uniform --sram_bytes {bound}",
    "streamed": "--search uniform --input streamed",
    "uniform 4 bits": "--search uniform --activation_bits 4 --weight_bits 4 --calibration_data x.npz",
    "vdqs": f"--search vdqs {_CALIBRATED}",
    "vdqs bit_ops": f"--search vdqs --vdqs_lambda 0.44 --vdqs_min_weight_bits 4 {_CALIBRATED}",
    "memory_driven": f"--search memory_driven {_CALIBRATED}",
}
_TYPES = {schema.TensorType.INT8: np.int8, schema.TensorType.UINT8: np.uint8, schema.TensorType.FLOAT32: np.float32}


def rows(checkout: Path, models: Sequence[Path]) -> Iterator[str]:
    """A row a conversion: model, setting, exit code, and hashes or refusal, separated by tabs."""
    for model in models:
        for name in SETTINGS:
            with tempfile.TemporaryDirectory() as folder:
                yield "\t".join([model.stem, name, _convert(checkout, model, SETTINGS[name], Path(folder))])


def _convert(checkout: Path, model: Path, flags: str, folder: Path) -> str:
    """Runs the command in a folder of its own, so that no path of this machine gets into what it writes."""
    shutil.copyfile(model, folder / "m.tflite")
    graph = schema.ModelT.InitFromPackedBuf(model.read_bytes(), 0).subgraphs[0]
    np.savez(folder / "x.npz", x=samples(graph))
    tflite, plan, report = OUTPUTS
    files = f"--model m.tflite --output {tflite} --plan {plan} --report {report}"
    arguments = shlex.split(f"convert {files} --n_jobs 1 {flags.format(bound=bound_of(graph))}")
    environment = {**os.environ, "PYTHONPATH": str(checkout), "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tflm_quantmcu.cli", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True)
    if done.returncode < 0:
        return f"killed by signal {-done.returncode}"
    if done.returncode:
        return f"exit {done.returncode}\t{(done.stderr.strip().splitlines() or [''])[-1]}"
    hashes = [f"{name} {hashlib.sha256((folder / name).read_bytes()).hexdigest()}" for name in OUTPUTS]
    return "\t".join(["exit 0", *hashes])


def samples(graph: schema.SubGraphT) -> np.ndarray:
    """Random inputs [NUM_SAMPLES, ...] of the first input's type; one number each for a model without inputs."""
    if graph.inputs is None or not len(graph.inputs):
        return np.zeros((NUM_SAMPLES, 1), np.int8)
    tensor = graph.tensors[graph.inputs[0]]
    values = np.random.default_rng(SEED).uniform(-1, 1, (NUM_SAMPLES, *tensor.shape[1:])).astype(np.float32)
    dtype = _TYPES.get(tensor.type, np.float32)
    if dtype == np.float32:
        return values
    return np.round(values * 127 + (128 if dtype == np.uint8 else 0)).astype(dtype)


def bound_of(graph: schema.SubGraphT) -> int:
    """A bound in bytes that models meet if split or lowered: three quarters of the most that an op's maps take."""
    return max((3 * _map_bytes(graph, op) // 4 for op in graph.operators or ()), default=1024)


def _map_bytes(graph: schema.SubGraphT, op: schema.OperatorT) -> int:
    tensors = [graph.tensors[t] for t in {*map(int, op.inputs), *map(int, op.outputs)} if t >= 0]
    is_written = {int(t) for other in graph.operators for t in other.outputs} | set(map(int, graph.inputs))
    maps = [t for t in tensors if any(t is graph.tensors[i] for i in is_written)]
    return sum(math.prod(map(int, t.shape)) for t in maps if t.shape is not None)


def differences(before: Sequence[str], after: Sequence[str]) -> list[str]:
    """A sentence a row that is not the same in both."""
    old, new = ({tuple(row.split("\t")[:2]): row.split("\t")[2:] for row in part} for part in (before, after))
    found = []
    for key in {**old, **new}:
        if old.get(key) == new.get(key):
            continue
        was, now = old.get(key, ["not there"]), new.get(key, ["not there"])
        parts = [f"{a} -> {b}" for a, b in zip(was, now, strict=False) if a != b] or [f"{was} -> {now}"]
        found.append(f"{', '.join(key)}: {'; '.join(parts)}")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("action", choices=("record", "compare"))
    parser.add_argument("file", type=Path)
    parser.add_argument("--checkout", type=Path, default=ROOT)
    parser.add_argument(
        "--models", type=Path, nargs="+", default=[ROOT.parent / "shared/data/models"], metavar="FOLDER"
    )
    arguments = parser.parse_args()
    models = sorted(path for folder in arguments.models for path in folder.glob("*.tflite"))
    if not models:
        sys.exit(f"no .tflite in {', '.join(map(str, arguments.models))}")
    found = []
    for row in rows(arguments.checkout.resolve(), models):
        print(row.replace("\t", "  "), flush=True)
        found.append(row)
    if arguments.action == "record":
        arguments.file.write_text("\n".join(found) + "\n")
        return
    changed = differences(arguments.file.read_text().splitlines(), found)
    print("\n".join(["", *changed, f"{len(changed)} of {len(found)} rows differ"]))
    sys.exit(bool(changed))


if __name__ == "__main__":
    main()
