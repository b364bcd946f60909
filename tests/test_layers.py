"""The layer check passes on this tree and catches each kind of violation in a made-up one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from tools import check_layers

ROOT = Path(__file__).resolve().parent.parent


def _tree(root: Path, files: Mapping[str, str]) -> Path:
    """Writes the files: path below `root` -> text."""
    for path, text in files.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    return root


def test_this_tree_is_in_order():
    assert check_layers.check(ROOT) == []


def test_allowed_directions_pass(tmp_path):
    files = {
        "tflm_quantmcu/__init__.py": "from tflm_quantmcu import api",
        "tflm_quantmcu/types.py": "import numpy",
        "tflm_quantmcu/cost.py": "from tflm_quantmcu.types import Op",
        "tflm_quantmcu/search/vdqs.py": "from tflm_quantmcu import cost",
        "tflm_quantmcu/api.py": "from tflm_quantmcu.converter import reader",
        "tflm_quantmcu/cli.py": "from tflm_quantmcu import api",
        "converter/reader.py": "from ..types import Op\nfrom . import writer",
        "converter/writer.py": "from tflm_quantmcu.cost import arena",
        "tflm_kernels/portable/ops/add.h": "#include <stdint.h>",
        "tflm_kernels/micro/add.cc": '#include "tflm_kernels/portable/ops/add.h"',
    }
    assert check_layers.check(_tree(tmp_path, files)) == []


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        (
            "tflm_quantmcu/types.py",
            "import numpy\nfrom tflm_quantmcu.cost import arena",
            "tflm_quantmcu/types.py:2: types may not use analysis (tflm_quantmcu.cost); "
            "it may use nothing else of the project",
        ),
        (
            "tflm_quantmcu/cost.py",
            "def f():\n    from tflm_quantmcu import converter",
            "tflm_quantmcu/cost.py:2: analysis may not use converter (tflm_quantmcu.converter); it may use types",
        ),
        (
            "tflm_quantmcu/search/vdqs.py",
            "from ..converter.reader import read_model",
            "tflm_quantmcu/search/vdqs.py:1: search may not use converter "
            "(tflm_quantmcu.converter.reader); it may use types, analysis",
        ),
        (
            "converter/passes/split.py",
            "import tflm_quantmcu.api",
            "converter/passes/split.py:1: converter may not use interface (tflm_quantmcu.api); "
            "it may use types, analysis",
        ),
        (
            "tflm_kernels/portable/ops/add.cc",
            '#include <stdint.h>\n  # include "tflm_kernels/micro/add.h"',
            "tflm_kernels/portable/ops/add.cc:2: ops may not include tflm_kernels/micro/add.h; "
            "it may include tflm_kernels/portable/law/*, stdint.h, stddef.h, string.h",
        ),
        (
            "tflm_kernels/portable/law/packed.h",
            '#include "tflm_kernels/portable/ops/add.h"',
            "tflm_kernels/portable/law/packed.h:1: law may not include tflm_kernels/portable/ops/add.h; "
            "it may include stdint.h, stddef.h, string.h",
        ),
        (
            "tflm_kernels/cortex_m/dsp/add.cc",
            '#include "tflm_kernels/cortex_m/dsp/simd.h"\n#include "tflm_kernels/cortex_m/mve/packed.h"',
            "tflm_kernels/cortex_m/dsp/add.cc:2: dsp may not include tflm_kernels/cortex_m/mve/packed.h; "
            "it may include tflm_kernels/portable/law/*, tflm_kernels/portable/ops/*, "
            "stdint.h, stddef.h, string.h, arm_acle.h",
        ),
        (
            "tflm_kernels/aot/run.h",
            '#include "tensorflow/lite/c/common.h"',
            "tflm_kernels/aot/run.h:1: aot may not include tensorflow/lite/c/common.h; "
            "it may include tflm_kernels/portable/*, tflm_kernels/cortex_m/kernels.h, stdint.h, stddef.h, string.h",
        ),
    ],
)
def test_violation_is_named(tmp_path, path, text, expected):
    modules = ("__init__", "api", "cost", "types")
    files = {f"tflm_quantmcu/{name}.py": "" for name in modules}
    files |= {"converter/__init__.py": "", "converter/reader.py": "", path: text}
    assert check_layers.check(_tree(tmp_path, files)) == [expected]


def test_import_cycle_is_named(tmp_path):
    files = {
        "tflm_quantmcu/cost.py": "from tflm_quantmcu import tiles",
        "tflm_quantmcu/tiles.py": "from tflm_quantmcu.cost import arena",
    }
    (sentence,) = check_layers.check(_tree(tmp_path, files))
    assert sentence.startswith("import cycle: ")
    assert "tflm_quantmcu.cost" in sentence and "tflm_quantmcu.tiles" in sentence
