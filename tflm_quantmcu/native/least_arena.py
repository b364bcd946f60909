"""The smallest arena in which TFLM prepares a model: it takes more to prepare than it uses afterwards.

What is missing then it does not always notice: an arena that is a little too small ends the process. So a process of
its own tries (least_arena_child.py), each size in a fork, which may die.
"""

from __future__ import annotations

import functools
import signal
import subprocess
import sys
from collections.abc import Sequence

from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.native.kernel_scratch import REFERENCE, variant_number
from tflm_quantmcu.native.op_library import find_op_library
from tflm_quantmcu.placement.memory import ARENA_ALIGNMENT
from tflm_quantmcu.tflite.model_file import ModelFile

_SECONDS = 600
_KEPT = 64
# Modules are looked for where this process finds them.
_CHILD = """
import sys
library, registerers, variant, low, high, step, *sys.path[:] = sys.argv[1:]
from tflm_quantmcu.native.least_arena_child import answer
answer(library, registerers.split(), int(variant), int(low), int(high), int(step))
"""


def least_arena_bytes(
    model: ModelFile, *, used_bytes: int, sufficient_bytes: int, registerers: Sequence[str], variant: str = REFERENCE
) -> int:
    """The smallest multiple of 16 in which TFLM's AllocateTensors succeeds on this host.

    Args:
      model: one that TFLM prepares.
      used_bytes: of the arena, as TFLM counts them once it is prepared: it takes no less to prepare.
      sufficient_bytes: an arena in which it was prepared.
      registerers: functions of the op library that add ops; none for a model that TFLM runs by itself.
      variant: of the kernels whose scratch our ops ask for.

    Raises:
      UnsupportedModelError: the process that tried it ended otherwise than with an answer.
    """
    library = str(find_op_library()) if registerers else ""
    names = " ".join(registerers)
    return _least(model.data, library, names, variant_number(variant), used_bytes, sufficient_bytes)


@functools.lru_cache(maxsize=_KEPT)
def _least(data: bytes, library: str, registerers: str, variant: int, used_bytes: int, sufficient_bytes: int) -> int:
    numbers = [str(n) for n in (variant, used_bytes, sufficient_bytes, ARENA_ALIGNMENT)]
    command = [sys.executable, "-c", _CHILD, library, registerers, *numbers, *sys.path]
    try:
        child = subprocess.run(command, input=data, capture_output=True, timeout=_SECONDS, check=False)
    except (OSError, subprocess.TimeoutExpired) as error:
        raise UnsupportedModelError(f"how large an arena the model needs was not found: {error}") from None
    if child.returncode:
        how = f"was ended by {signal.Signals(-child.returncode).name}" if child.returncode < 0 else "failed: "
        said = child.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise UnsupportedModelError(f"the process that tried how large an arena the model needs {how}{said}")
    return int(child.stdout)
