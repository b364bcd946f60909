"""What an installation holds is what the source tree holds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


def test_installation_has_every_module_of_the_tree(tmp_path):
    built = tmp_path / "lib"
    build = ["setup.py", "-q", "build", "--build-base", str(tmp_path)]
    subprocess.run([sys.executable, *build, "build_py", "--build-lib", str(built)], cwd=ROOT, check=True)
    expected = {
        target / path.relative_to(source)
        for source, target in (
            (ROOT / "tflm_quantmcu", built / "tflm_quantmcu"),
            (ROOT / "converter", built / "tflm_quantmcu" / "converter"),
        )
        for path in source.rglob("*.py")
    }
    assert set(built.rglob("*.py")) == expected


def test_converter_in_the_tree_is_the_subpackage():
    assert (ROOT / "tflm_quantmcu" / "converter").resolve() == ROOT / "converter"
