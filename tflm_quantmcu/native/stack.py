"""The stack that emitted code takes on a core, as `tools/stack_depth.py` read it from the compiler's call graphs.

In: a model and the calls of its ops outside of patch stages. Out: bytes that `Invoke` takes at most below its caller's
frame, GCC at -O2, -O3 and -Os, on the core of a variant that takes the most. Handlers of interrupts, hooks and readers
come on top.
"""

from __future__ import annotations

import csv
import functools
import io
from collections.abc import Collection, Iterable, Mapping
from importlib import resources

from tflm_quantmcu.graph.target import REFERENCE
from tflm_quantmcu.graph.types import ModelGraph
from tflm_quantmcu.law.kernel_calls import KernelCall
from tflm_quantmcu.native.linked import linked_kernel, stage_units
from tflm_quantmcu.stage.custom_ops import PATCH_STAGE

# Of a patch stage: what it takes itself above a kernel that it calls, and while it calls none.
STAGE_ABOVE_KERNELS, STAGE_ALONE = "stage above kernels", "stage alone"
HEADINGS = ("variant", "unit", "bytes")
ROUNDED_TO = 64
# Of the host's frames, which hold words of 64 bits, no table is made; stated in words of 32 bits.
_ON_HOST = 2560
# Frames of Invoke and its C entry, and of what kernels call of the C library.
_OF_INVOKE = 192


def stack_bytes_of(graph: ModelGraph, calls: Iterable[KernelCall], variant: str, regular: Collection[str] = ()) -> int:
    """Bytes of stack that emitted code takes at most.

    Args:
      graph: the model.
      calls: of its ops outside of stages, patch stages among them.
      variant: of the kernels that run.
      regular: of `linked.regular_kernels`.
    """
    if variant == REFERENCE:
        return _ON_HOST
    depths = _depths()[variant]
    outside = [linked_kernel(call.kernel, [call.params], variant, regular) for call in calls if call.kernel != _STAGE]
    deepest = max((_depth(depths, unit) for kernel in outside for unit in kernel.units), default=0)
    if any(op.kind == PATCH_STAGE for op in graph.ops):
        units = stage_units(graph, variant, regular)
        inside = [_depth(depths, unit) for unit in units if not unit.endswith("ScratchBytes")]
        deepest = max(deepest, depths[STAGE_ALONE], depths[STAGE_ABOVE_KERNELS] + max(inside))
    return -(-(deepest + _OF_INVOKE) // ROUNDED_TO) * ROUNDED_TO


_STAGE = "PatchStage"


def _depth(depths: Mapping[str, int], unit: str) -> int:
    """A kernel's bytes; of one that the variant has none of its own of, the portable one's."""
    own = depths.get(unit)
    return depths[f"{REFERENCE}::{unit.partition('::')[2]}"] if own is None else own


@functools.cache
def _depths() -> Mapping[str, Mapping[str, int]]:
    """Variant -> unit -> bytes."""
    text = (resources.files("tflm_quantmcu.native") / "data" / "stack.csv").read_text()
    found: dict[str, dict[str, int]] = {}
    for cells in csv.DictReader(io.StringIO(text)):
        found.setdefault(cells["variant"], {})[cells["unit"]] = int(cells["bytes"])
    return found
