"""The options of plan and convert, defined once: keywords of the Python calls, flags of the command line."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from tflm_quantmcu.base.byte_sizes import parse_bytes
from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.graph.calibration_result import CALIBRATION_METHODS, CalibrationMethod
from tflm_quantmcu.graph.target import ANY, BOARDS, CORES, DEFAULT_CORE, HOST, RUNTIMES, Target
from tflm_quantmcu.graph.types import Budget
from tflm_quantmcu.search.settings.accuracy import AccuracySettings
from tflm_quantmcu.search.settings.base import Settings, at_least, between, setting
from tflm_quantmcu.search.settings.common import CompensationSettings, PinnedSettings, StageSettings, WeightCutSettings
from tflm_quantmcu.search.settings.hybrid import HybridSettings
from tflm_quantmcu.search.settings.memory_driven import MemoryDrivenSettings
from tflm_quantmcu.search.settings.rl import RlSettings
from tflm_quantmcu.search.settings.uniform import UniformSettings
from tflm_quantmcu.search.settings.vdqs import VdqsSettings

_CALIBRATION = "calibration"


@dataclasses.dataclass(frozen=True, kw_only=True)
class ByteBounds(Settings):
    """Bounds on memory; sizes may be text (`byte_sizes.parse_bytes`)."""

    GROUP = "what you want"

    sram_bytes: int | None = setting(
        None,
        "Bound on the RAM to reserve on the target, as 65536, 64KB or 64KiB: with --runtime tflm the tensor arena that "
        "AllocateTensors needs there, with aot arena and stack. Without it the smallest is taken.",
        kind=str,
        brief="RAM to reserve at most, such as 65536 or 64KB",
        value="SIZE",
    )
    sram_scope: str = setting(
        "total",
        "What --sram_bytes bounds: all that must be reserved (total), or feature maps and kernels' scratch alone "
        "(nonpersistent), as papers count.",
        kind=str,
        choices=("total", "nonpersistent"),
    )
    flash_bytes: int | None = setting(
        None,
        "Bound on the flash that the model and our code take, in bytes, or as 1MB or 1MiB.",
        kind=str,
        decides=False,
        brief="bytes of flash at most",
        value="SIZE",
    )
    flash_scope: str = setting(
        "total",
        "What --flash_bytes bounds: the .tflite and our kernels and glue beside it, as linked for --core (total; "
        "TFLM's own code is not counted), or the .tflite alone (model).",
        kind=str,
        choices=("total", "model"),
        decides=False,
    )

    def __post_init__(self) -> None:
        for name in ("sram_bytes", "flash_bytes"):
            if (size := getattr(self, name)) is not None:
                object.__setattr__(self, name, parse_bytes(size, name))
        super().__post_init__()


@dataclasses.dataclass(frozen=True, kw_only=True)
class TargetSettings(Settings):
    """What a model is made for; the core is named in full, whatever it was called."""

    GROUP = "target"

    core: str | None = setting(
        None,
        f"What the model is made for: {', '.join(CORES)}, {HOST}, or {ANY}: bytes of the core that takes the most, "
        f"instructions of the M4. Default: the core of --board, else {DEFAULT_CORE}. m4 is read as cortex-m4.",
        kind=str,
        brief=f"such as {DEFAULT_CORE} (default), cortex-m0plus or any",
    )
    board: str | None = setting(
        None,
        f"Board that the model is made for, which brings its core: {', '.join(BOARDS)}.",
        kind=str,
        brief=f"such as {next(iter(BOARDS))}; brings its core",
        decides=False,
    )
    runtime: str = setting(
        "tflm",
        "What runs the model on the target: TFLM with our op library, or C++ that `emit` writes ahead of time (aot).",
        kind=str,
        brief="TFLM with our ops (default), or emitted C++",
        choices=RUNTIMES,
    )
    stock_kernels: str = setting(
        "quantmcu",
        "Kernels of the ops that stay TFLite's own: ours where there are any, which `RegisterFastOps` adds to a "
        "resolver, TFLM's reference kernels alone, or those of TFLM that is built with CMSIS-NN.",
        kind=str,
    )

    keep_stock_ops: bool = setting(
        False,
        "Leave ops that stay at 8 bits outside of stages stock ops. Otherwise they become ours where TFLM then keeps "
        "fewer bytes and the target is not slower.",
        kind=bool,
        decides=False,
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "core", self.target.core)

    @property
    def target(self) -> Target:
        return Target.of(self.core, self.board, self.runtime, self.stock_kernels)


@dataclasses.dataclass(frozen=True, kw_only=True)
class WorkBounds(Settings):
    """Bounds on work."""

    GROUP = "what you want"

    max_bit_ops: int | None = setting(
        None,
        "Bound on the BitOPs of one inference: MACs x input bits x weight bits, the worst case.",
        kind=int,
        check=at_least(0),
    )
    max_instructions: int | None = setting(
        None, "Bound on the estimated instructions of our kernels on --core.", kind=int, check=at_least(0)
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchSettings(Settings):
    """Who chooses widths."""

    GROUP = "search"

    search: str = setting(
        "vdqs",
        "How bit widths are chosen: vdqs, uniform, memory_driven, rl or hybrid.",
        kind=str,
        decides=False,
        brief="vdqs (default), uniform, memory_driven, rl or hybrid",
    )
    precision_overrides: Any = setting(
        None,
        "Widths set by hand: YAML, a list of {match: REGEX for the whole name of a tensor or layer, "
        "activation_bits: B, weight_bits: B}; the last rule that matches counts.",
        kind=str,
        value="FILE",
        decides=False,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunSettings(Settings):
    """Calibration, and how all runs and is written."""

    GROUP = "how it runs"

    max_samples: int = setting(
        256, "Calibration samples used at most.", kind=int, check=at_least(1), group=_CALIBRATION
    )
    calibration_method: str = setting(
        "own",
        "How ranges of feature maps are chosen: own keeps the model's at 8 bits and takes the least squared error "
        "below; the others choose anew at every width: all values, all but those beyond a percentile, the least "
        "squared error, or layer by layer the least error of its output.",
        kind=str,
        choices=CALIBRATION_METHODS,
        decides=False,
        group=_CALIBRATION,
    )
    calibration_percentile: float = setting(
        99.99,
        "Share of values, in percent, beyond which calibration method percentile clips either end.",
        kind=float,
        decides=False,
        group=_CALIBRATION,
    )
    seed: int = setting(
        0,
        "Seed of the choice of calibration samples, and of all that is random in a search.",
        kind=int,
        check=between(0, 2**32 - 1),
    )
    n_jobs: int = setting(
        -1,
        "Processes for calibration, evaluation and comparisons: -1 is one a core, 1 none. Results are the same.",
        kind=int,
        decides=False,
    )
    progress: bool = setting(
        True,
        "No progress on standard error; without a terminal there is none.",
        kind=bool,
        decides=False,
        group="output",
    )
    strip_metadata: bool = setting(
        False,
        "Leave the plan, the TFLite Metadata and all else that the device does not read out of the model; the offsets "
        "of feature maps in the arena (OfflineMemoryAllocation) stay.",
        kind=bool,
        decides=False,
        group="output",
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options(  # fields, and with them the entries of provenance, come from the last base to the first
    RunSettings,
    CompensationSettings,
    UniformSettings,
    HybridSettings,
    RlSettings,
    WeightCutSettings,
    MemoryDrivenSettings,
    VdqsSettings,
    PinnedSettings,
    SearchSettings,
    WorkBounds,
    TargetSettings,
    StageSettings,
    AccuracySettings,
    ByteBounds,
):
    """All options of `plan` and `convert`; the metadata of each field is its flag."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_jobs == 0 or self.n_jobs < -1:
            raise UsageError(f"--n_jobs is {self.n_jobs}; it must be -1 or at least 1")
        self.budget, self.method, self.target  # noqa: B018  (validates)
        if self.calibration_percentile != CalibrationMethod().percentile and self.calibration_method != "percentile":
            raise UsageError(
                f"--calibration_percentile is used by --calibration_method percentile alone, not by "
                f"{self.calibration_method}; drop the flag or use that method"
            )

    @property
    def budget(self) -> Budget:
        return Budget(self.sram_bytes, self.flash_bytes, self.max_bit_ops, self.max_instructions)

    @property
    def target(self) -> Target:
        return Target.of(self.core, self.board, self.runtime, self.stock_kernels)

    @property
    def method(self) -> CalibrationMethod:
        return CalibrationMethod(self.calibration_method, self.calibration_percentile)

    @property
    def search_flags(self) -> Mapping[str, Any]:
        """What was changed of what decides a plan, but the bounds and the seed, which searches take as arguments of
        their own."""
        defaults, left_out = Options(), (*self.budget.flags, "seed")
        given = {name: getattr(self, name) for name in self.parameters if name not in left_out}
        return {name: value for name, value in given.items() if value != getattr(defaults, name)}

    @staticmethod
    def of(keywords: Mapping[str, Any]) -> Options:
        """Options from keyword arguments.

        Raises:
          UsageError: an unknown keyword or a value out of range.
        """
        known = Options.names()
        for name in keywords:
            if name not in known:
                raise UsageError(f"there is no option '{name}'; there are {', '.join(sorted(known))}")
        return Options(**keywords)
