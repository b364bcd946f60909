"""One model's figures: bytes on the target and on every core, work, as predicted and as recorded on TFLM."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Mapping
from typing import Any

from tflm_quantmcu.app.code_size import code_bytes
from tflm_quantmcu.app.reserve import ArenaBytes, arena_bytes_on, reserved_by_core, unknown_persistent_bytes
from tflm_quantmcu.arena.machine import CORTEX_M
from tflm_quantmcu.arena.persistent import PersistentBytes, persistent_bytes
from tflm_quantmcu.arena.plan import plan_arena
from tflm_quantmcu.arena.predict import arena_by_variant, largest_scratch_bytes, predict_arena
from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.cost.boards import milliseconds
from tflm_quantmcu.cost.instructions import load_table
from tflm_quantmcu.cost.model_time import ModelTime, time_of_model
from tflm_quantmcu.cost.network_cost import Cost
from tflm_quantmcu.graph.target import Target
from tflm_quantmcu.graph.types import ModelGraph
from tflm_quantmcu.runtime.allocations import Allocations
from tflm_quantmcu.search.options import Options
from tflm_quantmcu.tflite.model_file import ModelFile


@dataclasses.dataclass(frozen=True)
class Memory:
    """What a model takes: RAM, and flash for itself.

    Attributes:
      on_target: RAM on the target; None where the runtime does not run the model.
      arena_bytes: of it, what `--sram_bytes` bounds.
      reserved_by_core: core -> RAM to reserve there.
      arena_by_variant: variant of our kernels -> predicted arena for feature maps and scratch, on TFLM.
      host_arena_bytes: the same on this host, whose kernels are the reference.
      recorded_non_persistent_bytes: the same, as TFLM records it on this host, which runs the reference kernels.
      recorded_persistent_bytes: nodes, eval tensors and op data as TFLM records them on the 64-bit host.
      persistent: the same on a Cortex-M, predicted; None where an op's data is not known.
      input_excluded_bytes: of an arena that the network input is not part of (convention b); the arena itself is
        convention a.
      flash_bytes: of the `.tflite`.
    """

    on_target: ArenaBytes | None
    arena_bytes: int | None
    reserved_by_core: Mapping[str, int]
    arena_by_variant: Mapping[str, int]
    host_arena_bytes: int
    recorded_non_persistent_bytes: int
    recorded_persistent_bytes: int
    persistent: PersistentBytes | None
    input_excluded_bytes: int
    flash_bytes: int


def memory_of(model: ModelFile, recorded: Allocations, options: Options, *, may_not_run: bool = False) -> Memory:
    """Counts a model's bytes.

    Args:
      model: the `.tflite`.
      recorded: by TFLM on this host.
      options: of the conversion.
      may_not_run: whether the target's runtime may refuse the model; its bytes are then None.

    Raises:
      UnsupportedModelError: an op whose scratch is not known, or which the runtime does not run.
    """
    graph, target = model.graph, options.target
    unknown_bytes = unknown_persistent_bytes(model)
    stock = target.stock_kernels
    scratch_bytes = [largest_scratch_bytes(graph, op, stock) for op in graph.ops]
    on_target, by_core = None, {}
    try:
        on_target = arena_bytes_on(graph, target, unknown_bytes=unknown_bytes)
        by_core = reserved_by_core(graph, target, unknown_bytes=unknown_bytes)
    except UnsupportedModelError:
        if not may_not_run:
            raise
    return Memory(
        on_target=on_target,
        arena_bytes=None if on_target is None else on_target.counted(options.sram_scope),
        reserved_by_core=by_core,
        arena_by_variant=arena_by_variant(graph, stock),
        host_arena_bytes=predict_arena(graph),
        recorded_non_persistent_bytes=recorded.non_persistent_bytes,
        recorded_persistent_bytes=recorded.persistent_bytes,
        persistent=persistent_bytes(graph, CORTEX_M, target.variants[-1], stock),
        input_excluded_bytes=plan_arena(graph, scratch_bytes, without_inputs=True).arena_bytes,
        flash_bytes=len(model.data),
    )


@dataclasses.dataclass(frozen=True)
class Work:
    """What a model does in one inference, and the code that does it.

    Attributes:
      cost: MACs and BitOPs; the stage's are those of the same ops in both models.
      time: on the target's core, estimated.
      milliseconds: on the target's board, estimated; None where they are not known.
      longest_milliseconds: of the longest span between two calls of a hook; as `milliseconds`.
      code_bytes: of our code in flash on the target, TFLM's own left out; None where it is not known.
    """

    cost: Cost
    time: ModelTime
    milliseconds: float | None
    longest_milliseconds: float | None
    code_bytes: int | None

    @staticmethod
    def of(graph: ModelGraph, target: Target, cost: Cost) -> Work:
        """The work of a model, of which its MACs and BitOPs are known."""
        time = time_of_model(graph, target, load_table(target.timed_core))
        on_board = functools.partial(milliseconds, target.timed_core, target.board)
        longest = on_board(time.longest) if time.longest else None
        return Work(cost, time, on_board(time), longest, code_bytes(graph, target))


@dataclasses.dataclass(frozen=True)
class Figures(Work, Memory):
    """One model's figures."""

    @property
    def instructions(self) -> int | None:
        """Instructions on the target's core; None where the model has an op that no table knows."""
        return None if self.time.unknown else self.time.instructions

    @property
    def cycles(self) -> int | None:
        """The documented ones of these."""
        return None if self.time.unknown else self.time.cycles

    @property
    def longest_cycles(self) -> int | None:
        """Documented cycles of the longest span between two calls of a hook."""
        return None if self.time.unknown or not self.time.longest else self.time.longest.cycles

    @property
    def predicted_non_persistent_bytes(self) -> int:
        """Bytes on this host, which runs TFLM's reference kernels."""
        return self.host_arena_bytes

    def longest_span(self) -> dict[str, Any] | None:
        """What runs the longest between two calls of a hook, of JSON's types; None where it is not known."""
        span = self.time.longest
        if span is None or span.unknown:
            return None
        return {
            "label": span.label,
            "instructions": span.instructions,
            "cycles": span.cycles,
            "milliseconds": self.longest_milliseconds,
        }

    def as_dict(self) -> dict[str, Any]:
        """What `ConversionReport.as_dict` has under `before` and `after`."""
        found = self.on_target
        return {
            "arena_bytes": self.arena_bytes,
            "nonpersistent_bytes": found and found.nonpersistent_bytes,
            "persistent_bytes": found and found.persistent_bytes,
            "host_nonpersistent_bytes": self.recorded_non_persistent_bytes,
            "flash_bytes": self.flash_bytes,
            "code_bytes": self.code_bytes,
            "macs": self.cost.macs,
            "bit_ops": self.cost.bit_ops,
            "instructions": self.instructions,
            "cycles": self.cycles,
            "milliseconds": self.milliseconds,
            "arena_by_core": dict(self.reserved_by_core),
        }


def figures_of(memory: Memory, work: Work) -> Figures:
    """Both together."""
    return Figures(**vars(memory), **vars(work))
