"""The options of plan and convert, defined once: keywords of the Python calls, flags of the command line."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.graph.calibration_result import CALIBRATION_METHODS, CalibrationMethod
from tflm_quantmcu.graph.target import CORES
from tflm_quantmcu.graph.types import Budget
from tflm_quantmcu.search.settings.base import Settings, at_least, setting
from tflm_quantmcu.search.settings.common import CompensationSettings, PinnedSettings, StageSettings, WeightCutSettings
from tflm_quantmcu.search.settings.hybrid import HybridSettings
from tflm_quantmcu.search.settings.memory_driven import MemoryDrivenSettings
from tflm_quantmcu.search.settings.rl import RlSettings
from tflm_quantmcu.search.settings.uniform import UniformSettings
from tflm_quantmcu.search.settings.vdqs import VdqsSettings


@dataclasses.dataclass(frozen=True, kw_only=True)
class ByteBounds(Settings):
    """Bounds on memory."""

    sram_bytes: int | None = setting(
        None,
        "Bound on the non-persistent arena (maps and scratch) of any core, in bytes. Without it the smallest is taken.",
        kind=int,
    )
    flash_bytes: int | None = setting(None, "Bound on the .tflite, in bytes.", kind=int, decides=False)


@dataclasses.dataclass(frozen=True, kw_only=True)
class WorkBounds(Settings):
    """Bounds on work, and the core that does it."""

    max_bit_ops: int | None = setting(
        None, "Bound on the BitOPs of one inference: MACs x input bits x weight bits, the worst case.", kind=int
    )
    max_instructions: int | None = setting(
        None, "Bound on the estimated instructions of our kernels on --core.", kind=int
    )
    core: str = setting(
        "cortex-m4",
        "Core whose instructions the report estimates, from the measured table that `bench` writes.",
        kind=str,
        choices=CORES,
        decides=False,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class SearchSettings(Settings):
    """Who chooses widths."""

    search: str = setting(
        "vdqs", "How bit widths are chosen: vdqs, uniform, memory_driven, rl or hybrid.", kind=str, decides=False
    )
    precision_overrides: Any = setting(
        None,
        "Widths set by hand: YAML, a list of {match: REGEX for the whole name of a tensor or layer, "
        "activation_bits: B, weight_bits: B}; the last rule that matches counts.",
        kind=str,
        decides=False,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class RunSettings(Settings):
    """Calibration, and how all runs and is written."""

    max_samples: int = setting(256, "Calibration samples used at most.", kind=int, check=at_least(1))
    calibration_method: str = setting(
        "own",
        "How ranges of feature maps are chosen: own keeps the model's at 8 bits and takes the least squared error "
        "below; the others choose anew at every width: all values, all but those beyond a percentile, the least "
        "squared error, or layer by layer the least error of its output.",
        kind=str,
        choices=CALIBRATION_METHODS,
        decides=False,
    )
    calibration_percentile: float = setting(
        99.99,
        "Share of values, in percent, beyond which calibration method percentile clips either end.",
        kind=float,
        decides=False,
    )
    seed: int = setting(
        0, "Seed of the choice of calibration samples, and of all that is random in a search.", kind=int
    )
    n_jobs: int = setting(
        -1,
        "Processes for calibration, evaluation and comparisons: -1 is one a core, 1 none. Results are the same.",
        kind=int,
        decides=False,
    )
    progress: bool = setting(True, "Progress bars on standard error.", kind=bool, decides=False)
    strip_metadata: bool = setting(
        False,
        "Leave the plan, the TFLite Metadata and all else that the device does not read out of the model; the offsets "
        "of feature maps in the arena (OfflineMemoryAllocation) stay.",
        kind=bool,
        decides=False,
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
    StageSettings,
    ByteBounds,
):
    """All options of `plan` and `convert`; the metadata of each field is its flag."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_jobs == 0 or self.n_jobs < -1:
            raise UsageError(f"--n_jobs is {self.n_jobs}; it must be -1 or at least 1")
        self.budget, self.method  # noqa: B018  (validates)

    @property
    def budget(self) -> Budget:
        return Budget(self.sram_bytes, self.flash_bytes, self.max_bit_ops, self.max_instructions)

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
