"""The layer check passes on this tree and catches each kind of violation in a made-up one."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from pathlib import Path

import pytest

from tools import check_layers

ROOT = Path(__file__).resolve().parent.parent
ARROWS = [(room, used) for room in check_layers.ROOMS for used in room.uses]


def _tree(root: Path, files: Mapping[str, str]) -> Path:
    """Writes the files: path below `root` -> text."""
    for path, text in files.items():
        target = root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)
    return root


@pytest.fixture(scope="module")
def uses() -> list[check_layers.Use]:
    return check_layers.python_uses(ROOT)


def test_this_tree_is_in_order():
    assert check_layers.check(ROOT) == []


def test_every_room_has_a_folder_and_says_what_lives_there():
    for room in check_layers.ROOMS:
        assert (ROOT / check_layers.PACKAGE / room.name / "__init__.py").read_text().startswith('"""')


@pytest.mark.parametrize(("room", "used"), ARROWS, ids=[f"{room.name or 'top'}-{used}" for room, used in ARROWS])
def test_every_arrow_of_the_table_is_needed(uses, room, used):
    less = dataclasses.replace(room, uses=[name for name in room.uses if name != used])
    rooms = [less if r is room else r for r in check_layers.ROOMS]
    assert list(check_layers.room_violations(uses, rooms))


def test_allowed_directions_pass(tmp_path):
    files = {
        "tflm_quantmcu/__init__.py": "from tflm_quantmcu.app import api",
        "tflm_quantmcu/cli/main.py": "def main():\n    from tflm_quantmcu.app import api",
        "tflm_quantmcu/graph/types.py": "import numpy",
        "tflm_quantmcu/cost/network_cost.py": "from tflm_quantmcu.graph.types import Op",
        "tflm_quantmcu/search/vdqs.py": "from tflm_quantmcu.cost import network_cost",
        "tflm_quantmcu/app/api.py": "from ..converter import convert\ndef f():\n    from ..keras_bridge import mapping",
        "tflm_quantmcu/converter/convert.py": "from ..graph.types import Op\nfrom . import rewrite",
        "tflm_quantmcu/converter/rewrite.py": "from tflm_quantmcu.arena.plan import plan_arena",
        "tflm_quantmcu/keras_bridge/mapping.py": "import tensorflow as tf\nfrom keras import layers",
        "tflm_quantmcu/search/gates.py": "from tflm_quantmcu.keras_bridge.mapping import tf",
        "tflm_kernels/portable/ops/add.h": "#include <stdint.h>",
        "tflm_kernels/micro/add.cc": '#include "tflm_kernels/portable/ops/add.h"',
    }
    assert check_layers.check(_tree(tmp_path, files)) == []


@pytest.mark.parametrize(
    ("path", "text", "expected"),
    [
        (
            "tflm_quantmcu/graph/types.py",
            "import numpy\nfrom tflm_quantmcu.cost.bench import BenchRow",
            "tflm_quantmcu/graph/types.py:2: graph may not use cost (tflm_quantmcu.cost.bench); it may use base",
        ),
        (
            "tflm_quantmcu/placement/best.py",
            "def f():\n    from tflm_quantmcu import converter",
            "tflm_quantmcu/placement/best.py:2: placement may not use converter (tflm_quantmcu.converter); "
            "it may use nothing else of the project",
        ),
        (
            "tflm_quantmcu/lowering/ops.py",
            "from ..converter.convert import convert_model",
            "tflm_quantmcu/lowering/ops.py:1: lowering may not use converter (tflm_quantmcu.converter.convert); "
            "it may use base, graph, law",
        ),
        (
            "tflm_quantmcu/law/ranges.py",
            "import tflm_quantmcu as qm",
            "tflm_quantmcu/law/ranges.py:1: law may not use the package's top (tflm_quantmcu); it may use base, graph",
        ),
        (
            "tflm_quantmcu/graph/names.py",
            "def f():\n    import tensorflow.lite",
            "tflm_quantmcu/graph/names.py:2: graph may not import tensorflow; "
            "keras_bridge.*, search.gates, search.gate_training, finetuning.*, app.keras_export may",
        ),
        (
            "tflm_quantmcu/app/api.py",
            "from tflm_quantmcu.keras_bridge import mapping",
            "tflm_quantmcu/app/api.py:1: tflm_quantmcu.keras_bridge.mapping loads TensorFlow; "
            "import it inside the function that needs it",
        ),
        (
            "tflm_quantmcu/stray.py",
            "import numpy",
            f"tflm_quantmcu/stray.py stands in no room; the rooms are "
            f"{', '.join(room.name for room in check_layers.ROOMS if room.name)}",
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
            "it may include tflm_kernels/portable/*, tflm_kernels/cortex_m/kernels.h, tflm_kernels/cortex_m/among.h, "
            "tflm_kernels/boards/*, stdint.h, stddef.h, string.h, stdbool.h",
        ),
    ],
)
def test_violation_is_named(tmp_path, path, text, expected):
    modules = (
        "__init__",
        "converter/__init__",
        "converter/convert",
        "cost/bench",
        "graph/types",
        "keras_bridge/mapping",
    )
    files = {f"tflm_quantmcu/{name}.py": "" for name in modules} | {path: text}
    assert check_layers.check(_tree(tmp_path, files)) == [expected]


def test_import_cycle_is_named(tmp_path):
    files = {
        "tflm_quantmcu/cost/bench.py": "from tflm_quantmcu.cost import plan_work",
        "tflm_quantmcu/cost/plan_work.py": "from tflm_quantmcu.cost.bench import BenchRow",
    }
    (sentence,) = check_layers.check(_tree(tmp_path, files))
    assert sentence.startswith("import cycle: ")
    assert "tflm_quantmcu.cost.bench" in sentence and "tflm_quantmcu.cost.plan_work" in sentence
