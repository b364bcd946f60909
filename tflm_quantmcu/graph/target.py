"""What a model is made for: a core, the kernels that run on it, and the runtime around them.

In: names as users write them. Out: a Target, which planning, pinning, budgets and reports ask. Refuses what is not
known. All lists of cores, boards and kernel variants are here; cores.bzl has how each core is compiled for.
"""

from __future__ import annotations

import dataclasses

from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.base.suggest import did_you_mean

KERNEL_VARIANTS = REFERENCE, PLAIN, DSP, MVE = "reference", "plain", "dsp", "mve"
HOST, ANY = "host", "any"
# Which of our kernels run where.
VARIANTS = {
    HOST: REFERENCE,
    "cortex-m0plus": PLAIN,
    "cortex-m3": PLAIN,
    "cortex-m4": DSP,
    "cortex-m7": DSP,
    "cortex-m33": DSP,
    "cortex-m55": MVE,
}
CORES = tuple(core for core in VARIANTS if core != HOST)
DEFAULT_CORE = "cortex-m4"
BOARDS = {
    "nucleo-l4r5zi": "cortex-m4",
    "nucleo-h7a3zi": "cortex-m7",
    "nucleo-u575zi": "cortex-m33",
    "nrf5340-dk": "cortex-m33",
    "nucleo-g0b1re": "cortex-m0plus",
    "corstone-300": "cortex-m55",
}
RUNTIMES = TFLM, AOT = "tflm", "aot"
# Whose kernels run the ops that stay TFLite's own.
STOCK_KERNELS = QUANTMCU, STOCK_REFERENCE, CMSIS_NN = "quantmcu", "reference", "cmsis_nn"
_PREFIX = "cortex-"


def core_named(name: str) -> str:
    """The one spelling of a core: `m4`, `M4` and `cortex-m4` are cortex-m4, `m0+` is cortex-m0plus.

    `host`, `any` and what is no core stay as they are.
    """
    short = name.lower().removeprefix(_PREFIX).replace("m0+", "m0plus")
    return f"{_PREFIX}{short}" if f"{_PREFIX}{short}" in VARIANTS else name


def short_core(core: str) -> str:
    """The name that files of measurements, builds and cores.bzl have for a core: m4."""
    return core.removeprefix(_PREFIX)


def require_core(name: str, *, besides: tuple[str, ...] = ()) -> str:
    """The core of that name, or one of `besides`.

    Raises:
      UsageError: there is none.
    """
    core = core_named(name)
    if core not in (*CORES, *besides):
        supported = (*CORES, *besides)
        raise UsageError(f"--core is {name}; supported are {', '.join(supported)}{did_you_mean(core, supported)}")
    return core


def variant_of(core: str) -> str:
    """The variant of our kernels that a core runs, by any spelling of its name."""
    return VARIANTS[core_named(core)]


def cores_of(variant: str) -> tuple[str, ...]:
    """The cores that run a variant of our kernels, the host among them."""
    return tuple(core for core, own in VARIANTS.items() if own == variant)


@dataclasses.dataclass(frozen=True)
class Target:
    """Where a model runs.

    Attributes:
      core: `cortex-m4` and its like, `host`, or `any`: bytes of the core that takes the most.
      board: a key of BOARDS, or None.
      runtime: `tflm`, or `aot`: emitted C++ without TFLM.
      stock_kernels: of the ops that stay TFLite's own: `quantmcu`, ours by RegisterFastOps where there are any,
        `reference`, TFLM's reference kernels alone, or `cmsis_nn`, TFLM built with CMSIS-NN's.
    """

    core: str = DEFAULT_CORE
    board: str | None = None
    runtime: str = TFLM
    stock_kernels: str = QUANTMCU

    @staticmethod
    def of(
        core: str | None = None,
        board: str | None = None,
        runtime: str = TFLM,
        stock_kernels: str = QUANTMCU,
    ) -> Target:
        """The target of these names.

        Args:
          core: in any spelling; None is the board's, or the default.
          board: a key of BOARDS in any case; None is none.
          runtime: one of RUNTIMES.
          stock_kernels: one of STOCK_KERNELS.

        Raises:
          UsageError: a name that is not known, or a board with another core.
        """
        if board is not None and board.lower() not in BOARDS:
            raise UsageError(f"--board is {board}; supported are {', '.join(BOARDS)}{did_you_mean(board, BOARDS)}")
        board = board and board.lower()
        on_board = BOARDS[board] if board else None
        chosen = require_core(core or on_board or DEFAULT_CORE, besides=(HOST, ANY))
        if on_board not in (None, chosen):
            raise UsageError(f"--board {board} has a {on_board}, and --core is {chosen}; leave one out")
        if runtime not in RUNTIMES:
            raise UsageError(f"--runtime is {runtime}; supported are {', '.join(RUNTIMES)}")
        if stock_kernels not in STOCK_KERNELS:
            raise UsageError(f"--stock_kernels is {stock_kernels}; supported are {', '.join(STOCK_KERNELS)}")
        if stock_kernels != QUANTMCU and runtime == AOT:
            raise UsageError(
                f"--stock_kernels is {stock_kernels}, a choice of --runtime {TFLM}: emitted code runs all ops on our "
                f"kernels; with --runtime {AOT} leave it out"
            )
        if stock_kernels == CMSIS_NN and chosen == HOST:
            raise UsageError(
                f"--stock_kernels is {CMSIS_NN}, which runs on a Cortex-M; with --core {HOST} leave it out"
            )
        return Target(chosen, board, runtime, stock_kernels)

    @property
    def variants(self) -> tuple[str, ...]:
        """The variants of our kernels that may run."""
        return KERNEL_VARIANTS if self.core == ANY else (variant_of(self.core),)

    @property
    def is_core(self) -> bool:
        """Whether it is one core that a file can name."""
        return self.core in CORES

    @property
    def timed_core(self) -> str:
        """Whose instructions stand for it, as files of measurements call it."""
        return short_core(self.core if self.is_core else DEFAULT_CORE)


def has_faster_kernels(target: Target) -> bool:
    """Whether no op of ours is slower on TFLM than the stock one.

    Our fast kernels beat TFLM's reference, our reference kernels do not; CMSIS-NN's for MVE are
    ahead of ours on some shapes.
    """
    if target.runtime != TFLM or REFERENCE in target.variants:
        return False
    return target.stock_kernels != CMSIS_NN or target.variants == (DSP,)


WORST_CORE = Target(ANY)
