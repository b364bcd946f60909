"""Many models in one image: AOT projects of several networks, compiled with kernels that are compiled once.

Each project's own self-test is what runs: of every feature map the CRC32 is TFLM's, of every map inside stages the
oracle's, and outputs, constants, plan, stack and arena are as they must be (docs/emit.md).
"""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from tflm_quantmcu.converter.emit.project import emit
from tflm_quantmcu.native.sources import kernel_sources

_FLAGS = ("-std=c++17", "-O2", "-fno-exceptions", "-fno-rtti", "-DQUANTMCU_SELF_TEST")


def run_on_host(models: Sequence[bytes], folder: Path) -> int:
    """Compiles and runs the AOT tests of the models in one program; returns how many passed, which is all of them.

    Raises:
      AssertionError: a test failed, or code did not compile; the message has the program's own words.
    """
    objects = _kernel_objects(folder / "kernels")
    names = [f"net{i}" for i in range(len(models))]
    for name, model in zip(names, models, strict=True):
        emit(model, output_dir=folder / name, target="aot", core="host", name=name, bundle=False)
        for source in (f"{name}.cc", "main.cc"):
            output = folder / name / f"{source}.o"
            _run("g++", *_FLAGS, f"-I{_root()}", f"-Dmain={name}_main", "-c", folder / name / source, "-o", output)
            objects.append(output)
    driver = folder / "driver.cc"
    calls = "".join(f'  if ({name}_main() != 0) {{ puts("{name} FAILED"); return 1; }}\n' for name in names)
    declared = "".join(f"int {name}_main();\n" for name in names)
    driver.write_text(f"#include <stdio.h>\n{declared}int main() {{\n{calls}  return 0;\n}}\n")
    _run("g++", *_FLAGS, driver, *objects, "-o", folder / "tests")
    output = _run(folder / "tests")
    assert output.count("ALL TESTS PASSED") == len(models), output
    return len(models)


def _kernel_objects(folder: Path) -> list[Path]:
    folder.mkdir(parents=True, exist_ok=True)
    objects = []
    lines = (_root() / "tflm_kernels/sources.txt").read_text().splitlines()
    for part, source in (line.split() for line in lines if not line.startswith("#")):
        if part in ("program", "kernels", "self_test", "host"):
            output = folder / f"{source.replace('/', '_')}.o"
            if not output.exists():
                _run("g++", *_FLAGS, f"-I{_root()}", "-c", _root() / "tflm_kernels" / source, "-o", output)
            objects.append(output)
    return objects


def _root() -> Path:
    return Path(kernel_sources())


def _run(*command: object) -> str:
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False)
    assert done.returncode == 0, f"{command[0]} failed: {done.stdout[-2000:]}{done.stderr[-2000:]}"
    return done.stdout
