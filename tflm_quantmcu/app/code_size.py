"""Bytes of flash that our own code takes beside a model: kernels, patch stages, glue, and the calls of emitted code.

In: a ModelGraph, stock or converted, and a Target. Out: bytes, as the linker keeps them in the project that `emit`
writes for it. TFLM's own code, the C library and the application are not counted.
"""

from __future__ import annotations

from collections.abc import Collection

from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.converter.emit.calls import calls_of
from tflm_quantmcu.cost.code_sizes import PATCH_STAGE_AOT, code_bytes_of, tflm_units
from tflm_quantmcu.graph.target import ANY, AOT, CORES, HOST, QUANTMCU, Target, variant_of
from tflm_quantmcu.graph.types import ModelGraph
from tflm_quantmcu.law.kernel_calls import KernelCall
from tflm_quantmcu.native.linked import linked_kernel, regular_kernels, stage_units

TOTAL, MODEL = FLASH_SCOPES = "total", "model"
# Of emitted code: what a call of a kernel with its three to six addresses takes, in the images of shared models.
_BYTES_A_CALL = 38


def code_bytes(graph: ModelGraph, target: Target) -> int | None:
    """Bytes of code on the core, or on the one of all cores that takes the most.

    None on the host, of what the runtime refuses, where no table has a kernel yet, and of a network that runs as a
    whole, whose ops link our kernels of all widths.
    """
    if target.core == HOST or (graph.subgraphs and target.stock_kernels == QUANTMCU):
        return None
    cores = CORES if target.core == ANY else (target.core,)
    try:
        found = [_on_core(graph, core, target) for core in cores]
    except UnsupportedModelError:
        return None
    known = [num_bytes for num_bytes in found if num_bytes is not None]
    return max(known) if len(known) == len(found) else None


def counted_flash(model_bytes: int, code: int | None, scope: str) -> int:
    """What `--flash_bytes` bounds."""
    return model_bytes + (code or 0 if scope == TOTAL else 0)


def _on_core(graph: ModelGraph, core: str, target: Target) -> int | None:
    variant = variant_of(core)
    if target.runtime != AOT:
        return code_bytes_of(core, tflm_units(graph, variant, target.stock_kernels))
    calls = [call for op in graph.ops for call in calls_of(graph, op, variant=variant)]
    regular = regular_kernels(graph, calls, variant)
    units = {unit for call in calls for unit in _units_of(call, variant, regular)}
    kernels = code_bytes_of(core, units | stage_units(graph, variant, regular))
    return None if kernels is None else kernels + _BYTES_A_CALL * len(calls)


def _units_of(call: KernelCall, variant: str, regular: Collection[str]) -> frozenset[str]:
    if call.kernel == "PatchStage":
        return frozenset((PATCH_STAGE_AOT,))
    return linked_kernel(call.kernel, [call.params], variant, regular).units
