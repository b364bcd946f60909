"""The options of plan and convert, defined once: keywords of the Python calls, flags of the command line."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.calibration.outliers import PHIS
from tflm_quantmcu.cost.bench import CORES
from tflm_quantmcu.graph.calibration_result import CALIBRATION_METHODS, CalibrationMethod
from tflm_quantmcu.graph.types import BIT_WIDTHS, COMPENSATIONS, PINNED_LAYERS, Budget
from tflm_quantmcu.stage.build import INPUT_MODES

_NO_PARAMETERS = (
    "calibration_method",
    "calibration_percentile",
    "core",
    "flash_bytes",
    "n_jobs",
    "precision_overrides",
    "progress",
    "search",
    "strip_metadata",
)

OBJECTIVES = ("cycles", "bit_ops")
DEFAULT_LAMBDA = 0.5
HYBRID_REGULARISERS = ("bit_ops", "instructions")


def _option(default: Any, help: str, *, kind: type, choices: tuple[Any, ...] = ()) -> Any:
    return dataclasses.field(default=default, metadata={"help": help, "kind": kind, "choices": choices})


@dataclasses.dataclass(frozen=True, kw_only=True)
class Options:
    """All options of `plan` and `convert`; the metadata of each field is its flag."""

    sram_bytes: int | None = _option(
        None,
        "Bound on the non-persistent arena (maps and scratch) of any core, in bytes. Without it the smallest is taken.",
        kind=int,
    )
    flash_bytes: int | None = _option(None, "Bound on the .tflite, in bytes.", kind=int)
    input: str = _option(
        "resident",
        "Where the network's input is: whole in the arena, or given to the first patch stage region by region by a "
        "reader of yours (a camera, external flash), so that the arena has no input.",
        kind=str,
        choices=INPUT_MODES,
    )
    max_macs_ratio: float | None = _option(
        None,
        "Bound on MACs over those of the unsplit network, halos that are computed again included. Default 1: nothing "
        "is computed twice; with --sram_bytes whatever the bound takes.",
        kind=float,
    )
    max_bit_ops: int | None = _option(
        None, "Bound on the BitOPs of one inference: MACs x input bits x weight bits, the worst case.", kind=int
    )
    max_instructions: int | None = _option(
        None, "Bound on the estimated instructions of our kernels on --core.", kind=int
    )
    core: str = _option(
        "cortex-m4",
        "Core whose instructions the report estimates, from the measured table that `bench` writes.",
        kind=str,
        choices=tuple(f"cortex-{core}" for core in CORES),
    )
    search: str = _option("vdqs", "How bit widths are chosen: vdqs, uniform, memory_driven, rl or hybrid.", kind=str)
    precision_overrides: Any = _option(
        None,
        "Widths set by hand: YAML, a list of {match: REGEX for the whole name of a tensor or layer, "
        "activation_bits: B, weight_bits: B}; the last rule that matches counts.",
        kind=str,
    )
    pinned_layers: str = _option(
        "none",
        "Layers whose weights keep 8 bits, of all searches that lower weights; the network's input and output "
        "maps always do.",
        kind=str,
        choices=PINNED_LAYERS,
    )
    vdpc: str = _option(
        "static",
        "When patches are classified: once, by position, from the calibration; when they run (dynamic), by a pass over "
        "the input of each; or never (off), all are ordinary.",
        kind=str,
        choices=("static", "dynamic", "off"),
    )
    vdpc_phi: float = _option(
        0.999,
        "Coverage of the fitted Gaussian beyond which a value is an outlier.",
        kind=float,
        choices=PHIS,
    )
    vdpc_outlier_fraction: float | None = _option(
        None,
        "Share of outliers above which a patch keeps 8 bits; default twice that of the whole map, 0: any outlier.",
        kind=float,
    )
    objective: str | None = _option(
        None,
        "What search vdqs lowers widths for. cycles, the default: it lowers what a bound needs and nothing else, for "
        "BitOPs saved make no core faster. bit_ops: QuantMCU's own trade of entropy against BitOPs, which "
        "--vdqs_lambda sets and, where it is given, asks for.",
        kind=str,
        choices=(None, *OBJECTIVES),
    )
    vdqs_lambda: float | None = _option(
        None,
        f"Weight of the entropy loss against the BitOPs saved, 0 to 1, of --objective bit_ops; default "
        f"{DEFAULT_LAMBDA}.",
        kind=float,
    )
    vdqs_min_bits: int = _option(
        4, "Smallest width that VDQS gives a map; below 4 expect to fine-tune.", kind=int, choices=BIT_WIDTHS
    )
    vdqs_min_weight_bits: int = _option(
        8, "Smallest width that VDQS gives weights of patch stages; 4 suits it.", kind=int, choices=BIT_WIDTHS
    )
    memory_driven_min_bits: int = _option(
        2, "Smallest width of maps and weights, of search memory_driven.", kind=int, choices=BIT_WIDTHS
    )
    memory_driven_margin: float = _option(
        0.05,
        "Searches memory_driven and rl cut, of the weights whose share of all is less than this below the largest, the "
        "earliest layer's.",
        kind=float,
    )
    rl_episodes: int = _option(150, "Episodes that search rl plays; each evaluates a plan once.", kind=int)
    rl_warmup_episodes: int = _option(20, "The first episodes of search rl, with random actions.", kind=int)
    rl_min_bits: int = _option(2, "Smallest width of maps and weights, of search rl.", kind=int, choices=BIT_WIDTHS)
    hybrid_steps: int = _option(200, "Steps that search hybrid trains its gates.", kind=int)
    hybrid_batch: int = _option(32, "Samples of each step of search hybrid.", kind=int)
    hybrid_mu0: float = _option(
        0.003,
        "Weight of the work against the error of the scores, of search hybrid: more lowers more; 0.01 and above expect "
        "to fine-tune.",
        kind=float,
    )
    hybrid_regulariser: str = _option(
        "bit_ops",
        "The work that search hybrid weighs: BitOPs, or instructions on --core.",
        kind=str,
        choices=HYBRID_REGULARISERS,
    )
    hybrid_min_bits: int = _option(
        2, "Smallest width of maps and weights, of search hybrid.", kind=int, choices=BIT_WIDTHS
    )
    activation_bits: int = _option(8, "Width of feature maps, of search uniform.", kind=int, choices=BIT_WIDTHS)
    weight_bits: int = _option(8, "Width of weights, of search uniform.", kind=int, choices=BIT_WIDTHS)
    compensation: str = _option(
        "weights",
        "What makes up for widths below 8 bits, from the calibration samples: biases and the rounding of weights, "
        "biases alone (bias), or nothing (off).",
        kind=str,
        choices=COMPENSATIONS,
    )
    max_samples: int = _option(256, "Calibration samples used at most.", kind=int)
    calibration_method: str = _option(
        "own",
        "How ranges of feature maps are chosen: own keeps the model's at 8 bits and takes the least squared error "
        "below; the others choose anew at every width: all values, all but those beyond a percentile, the least "
        "squared error, or layer by layer the least error of its output.",
        kind=str,
        choices=CALIBRATION_METHODS,
    )
    calibration_percentile: float = _option(
        99.99, "Share of values, in percent, beyond which calibration method percentile clips either end.", kind=float
    )
    seed: int = _option(
        0, "Seed of the choice of calibration samples, and of all that is random in a search.", kind=int
    )
    n_jobs: int = _option(
        -1,
        "Processes for calibration, evaluation and comparisons: -1 is one a core, 1 none. Results are the same.",
        kind=int,
    )
    progress: bool = _option(True, "Progress bars on standard error.", kind=bool)
    strip_metadata: bool = _option(
        False,
        "Leave the plan, the TFLite Metadata and all else that the device does not read out of the model; the offsets "
        "of feature maps in the arena (OfflineMemoryAllocation) stay.",
        kind=bool,
    )

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = getattr(self, field.name)
            choices = field.metadata["choices"]
            if choices and value not in choices:
                supported = ", ".join(str(c) for c in choices if c is not None)
                raise UsageError(f"--{field.name} is {value}; supported are {supported}")
        self._check_trade()
        fraction = self.vdpc_outlier_fraction
        if fraction is not None and not 0 <= fraction <= 1:
            raise UsageError(f"--vdpc_outlier_fraction is {fraction}; it must be from 0 to 1")
        if not 0 <= self.memory_driven_margin <= 1:
            raise UsageError(f"--memory_driven_margin is {self.memory_driven_margin}; it must be from 0 to 1")
        if self.rl_episodes < 1:
            raise UsageError(f"--rl_episodes is {self.rl_episodes}; it must be at least 1")
        if self.rl_warmup_episodes < 0:
            raise UsageError(f"--rl_warmup_episodes is {self.rl_warmup_episodes}; it must be at least 0")
        for name in ("hybrid_steps", "hybrid_batch"):
            if getattr(self, name) < 1:
                raise UsageError(f"--{name} is {getattr(self, name)}; it must be at least 1")
        if not self.hybrid_mu0 >= 0:
            raise UsageError(f"--hybrid_mu0 is {self.hybrid_mu0}; it must be at least 0")
        if self.max_macs_ratio is not None and not self.max_macs_ratio >= 1:
            raise UsageError(f"--max_macs_ratio is {self.max_macs_ratio}; it must be at least 1")
        if self.max_samples < 1:
            raise UsageError(f"--max_samples is {self.max_samples}; it must be at least 1")
        if self.n_jobs == 0 or self.n_jobs < -1:
            raise UsageError(f"--n_jobs is {self.n_jobs}; it must be -1 or at least 1")
        self.budget, self.method  # noqa: B018  (validates)

    def _check_trade(self) -> None:
        if self.vdqs_lambda is None:
            return
        if not 0 <= self.vdqs_lambda <= 1:
            raise UsageError(f"--vdqs_lambda is {self.vdqs_lambda}; it must be from 0 to 1")
        if self.objective == "cycles":
            raise UsageError("--vdqs_lambda weighs BitOPs, which --objective cycles does not; use --objective bit_ops")

    @property
    def trade(self) -> Mapping[str, Any]:
        """The objective and its lambda, defaults filled in; lambda is None where BitOPs do not count."""
        if self.objective == "bit_ops" or self.vdqs_lambda is not None:
            given = DEFAULT_LAMBDA if self.vdqs_lambda is None else self.vdqs_lambda
            return {"objective": "bit_ops", "vdqs_lambda": given}
        return {"objective": "cycles", "vdqs_lambda": None}

    @property
    def budget(self) -> Budget:
        return Budget(self.sram_bytes, self.flash_bytes, self.max_bit_ops, self.max_instructions)

    @property
    def method(self) -> CalibrationMethod:
        return CalibrationMethod(self.calibration_method, self.calibration_percentile)

    @property
    def parameters(self) -> Mapping[str, Any]:
        """What decides a plan beside its calibration, for its provenance."""
        given = {name: value for name, value in dataclasses.asdict(self).items() if name not in _NO_PARAMETERS}
        return {**given, **self.trade}

    @property
    def search_flags(self) -> Mapping[str, Any]:
        """The parameters but the bounds and the seed, which searches take as arguments of their own."""
        return {n: value for n, value in self.parameters.items() if n not in (*self.budget.flags, "seed")}

    @staticmethod
    def of(keywords: Mapping[str, Any]) -> Options:
        """Options from keyword arguments.

        Raises:
          UsageError: an unknown keyword or a value out of range.
        """
        known = {f.name for f in dataclasses.fields(Options)}
        for name in keywords:
            if name not in known:
                raise UsageError(f"there is no option '{name}'; there are {', '.join(sorted(known))}")
        return Options(**keywords)
