"""The RAM that a model's user must reserve on a target: what `--sram_bytes` bounds.

In: a ModelGraph, stock or converted, and a Target. Out: ArenaBytes. On TFLM that is the least tensor arena in which
AllocateTensors succeeds on the core; ahead of time the static arena and the stack that emitted code declares.
"""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence

from tflm_quantmcu.arena.machine import CORTEX_M
from tflm_quantmcu.arena.machine import HOST as THIS_HOST
from tflm_quantmcu.arena.persistent import replay_allocation
from tflm_quantmcu.arena.predict import predict_arena
from tflm_quantmcu.converter.emit.calls import calls_of
from tflm_quantmcu.converter.emit.memory_plan import plan_memory
from tflm_quantmcu.graph.target import AOT, CORES, HOST, KERNEL_VARIANTS, REFERENCE, Target, cores_of
from tflm_quantmcu.graph.types import ModelGraph
from tflm_quantmcu.law.kernel_calls import KernelCall
from tflm_quantmcu.native.linked import regular_kernels
from tflm_quantmcu.native.stack import stack_bytes_of
from tflm_quantmcu.placement.memory import ARENA_ALIGNMENT, align
from tflm_quantmcu.runtime.interpreter import Interpreter
from tflm_quantmcu.tflite.missing_ops import runnable
from tflm_quantmcu.tflite.model_file import ModelFile

SRAM_SCOPES = TOTAL, NONPERSISTENT = "total", "nonpersistent"
# Of stack, at most, by an op of ours on any core, TFLM's own frames aside; tools/stack_depth.py counts them.
OPS_STACK_BYTES = {"Init": 512, "Prepare": 2048, "Eval": 3840}


@dataclasses.dataclass(frozen=True)
class ArenaBytes:
    """RAM of a model on one target.

    Attributes:
      reserved_bytes: all that must be reserved.
      nonpersistent_bytes: feature maps and kernels' scratch.
      persistent_bytes: what TFLM keeps beside them; 0 ahead of time.
      is_exact: false where an op's data on 32 bits is not known and that of this 64-bit host stands for it: then
        reserved and persistent bytes are upper bounds.
    """

    reserved_bytes: int
    nonpersistent_bytes: int
    persistent_bytes: int
    is_exact: bool = True

    def counted(self, scope: str) -> int:
        """Those of a scope of SRAM_SCOPES."""
        return self.nonpersistent_bytes if scope == NONPERSISTENT else self.reserved_bytes


def arena_bytes_on(graph: ModelGraph, target: Target, *, unknown_bytes: int = 0) -> ArenaBytes:
    """RAM on the target, with the kernels that take the most of those that may run.

    Args:
      graph: the model.
      target: where it runs.
      unknown_bytes: as `unknown_persistent_bytes` of the model, or of the one that it was converted from.

    Raises:
      UnsupportedModelError: an op whose scratch is not known, or which the runtime does not run.
    """
    found = [_with_variant(graph, target, variant, unknown_bytes) for variant in target.variants]
    return max(found, key=lambda arena: (arena.reserved_bytes, arena.nonpersistent_bytes))


def reserved_by_core(graph: ModelGraph, target: Target, *, unknown_bytes: int = 0) -> dict[str, int]:
    """Core -> bytes that must be reserved there, whatever core the model was made for."""
    on_cores = {core: dataclasses.replace(target, core=core, board=None) for core in CORES}
    return {c: arena_bytes_on(graph, t, unknown_bytes=unknown_bytes).reserved_bytes for c, t in on_cores.items()}


def unknown_persistent_bytes(model: ModelFile) -> int:
    """Persistent bytes, as TFLM records them on this host, of ops whose data is not known."""
    found = replay_allocation(model.graph, THIS_HOST)
    if not found.is_exact:
        model = runnable(model)
        found = replay_allocation(model.graph, THIS_HOST)
    if found.is_exact:
        return 0
    return Interpreter(model).allocations().persistent_bytes - found.persistent.total


def losses_by_variant(graph: ModelGraph, target: Target) -> dict[str, tuple[int, int]]:
    """Variants of our kernels, not the target's, that take more maps and scratch with pinned offsets than without.

    Returns:
      Variant -> (bytes with them, bytes without).
    """
    unpinned = dataclasses.replace(graph, offline_offsets=None)
    others = [variant for variant in KERNEL_VARIANTS if variant not in target.variants]
    stock = target.stock_kernels
    found = {v: (predict_arena(graph, v, stock), predict_arena(unpinned, v, stock)) for v in others}
    return {variant: (pinned, own) for variant, (pinned, own) in found.items() if pinned > own}


def losses_of_other_cores(graph: ModelGraph, target: Target) -> list[str]:
    """`losses_by_variant`, a sentence each."""
    return [
        f"offsets are pinned for {target.core}: on {', '.join(cores_of(variant))} maps and scratch take {pinned:,} "
        f"bytes, {own:,} without them"
        for variant, (pinned, own) in losses_by_variant(graph, target).items()
    ]


def stack_sentence(graph: ModelGraph, target: Target) -> str:
    """How much stack an inference takes at most, and whether that is among the bytes to reserve."""
    if target.runtime == AOT:
        most = max(_emitted_stack_bytes(graph, _calls(graph, variant), variant) for variant in target.variants)
        return f"stack: Invoke takes at most {most:,} bytes, which are among those to reserve"
    init, prepare, evaluate = OPS_STACK_BYTES.values()
    return (
        f"stack beside the arena: our ops take at most {init:,} bytes in Init, {prepare:,} in Prepare and {evaluate:,} "
        "in Eval, TFLM's own frames aside"
    )


def less_with_reference_kernels(stock: ModelGraph, converted: ModelGraph, target: Target) -> list[str]:
    """A sentence where the model as it came needs less on TFLM's own kernels than the converted one on the target's.

    Args:
      stock: the model as it came.
      converted: what it became.
      target: what that was made for.
    """
    if target.runtime == AOT or target.stock_kernels == REFERENCE:
        return []
    found = arena_bytes_on(stock, dataclasses.replace(target, stock_kernels=REFERENCE))
    more = arena_bytes_on(converted, target).reserved_bytes - found.reserved_bytes
    if more <= 0 or not found.is_exact:
        return []
    return [
        f"as it came, on TFLM's own slower kernels (--stock_kernels {REFERENCE}), the model needs "
        f"{found.reserved_bytes:,} bytes, {more:,} fewer: what our kernels take as scratch"
    ]


def _calls(graph: ModelGraph, variant: str) -> list[tuple[KernelCall, ...]]:
    """The calls of emitted code, an op each."""
    return [calls_of(graph, op, variant=variant) for op in graph.ops]


def _emitted_stack_bytes(graph: ModelGraph, calls: Sequence[Sequence[KernelCall]], variant: str) -> int:
    every = list(itertools.chain(*calls))
    return stack_bytes_of(graph, every, variant, regular_kernels(graph, every, variant))


def _with_variant(graph: ModelGraph, target: Target, variant: str, unknown_bytes: int) -> ArenaBytes:
    if target.runtime == AOT:
        calls = _calls(graph, variant)
        arena = plan_memory(graph, calls).arena_bytes
        return ArenaBytes(arena + _emitted_stack_bytes(graph, calls, variant), arena, 0)
    stock = target.stock_kernels
    found = replay_allocation(graph, THIS_HOST if target.core == HOST else CORTEX_M, variant, stock)
    arena, persistent = predict_arena(graph, variant, stock), found.persistent.total
    if found.is_exact:
        return ArenaBytes(found.needed_bytes, arena, persistent)
    reserved = align(found.needed_bytes + unknown_bytes, ARENA_ALIGNMENT) + ARENA_ALIGNMENT  # may be padded otherwise
    return ArenaBytes(reserved, arena, persistent + unknown_bytes, is_exact=False)
