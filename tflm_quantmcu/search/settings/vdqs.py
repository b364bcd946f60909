"""Settings of search vdqs: how patches are classified (VDPC), and what widths are lowered for."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.calibration.outliers import PHIS
from tflm_quantmcu.graph.types import BIT_WIDTHS
from tflm_quantmcu.search.settings.base import Settings, between, setting

OBJECTIVES = ("cycles", "bit_ops")
DEFAULT_LAMBDA = 0.5
DEFAULT_PHI = 0.999


@dataclasses.dataclass(frozen=True, kw_only=True)
class VdqsSettings(Settings):
    GROUP = "search vdqs"

    vdpc: str = setting(
        "static",
        "When patches are classified: once, by position, from the calibration; when they run (dynamic), by a pass over "
        "the input of each; or never (off), all are ordinary.",
        kind=str,
        choices=("static", "dynamic", "off"),
    )
    vdpc_phi: float = setting(
        DEFAULT_PHI,
        "Coverage of the fitted Gaussian beyond which a value is an outlier.",
        kind=float,
        choices=PHIS,
    )
    vdpc_outlier_fraction: float | None = setting(
        None,
        "Share of outliers above which a patch keeps 8 bits; default twice that of the whole map, 0: any outlier.",
        kind=float,
        check=between(0, 1),
    )
    objective: str | None = setting(
        None,
        "What search vdqs lowers widths for. cycles, the default: it lowers what a bound needs and nothing else, for "
        "BitOPs saved make no core faster. bit_ops: QuantMCU's own trade of entropy against BitOPs, which "
        "--vdqs_lambda sets and, where it is given, asks for.",
        kind=str,
        choices=(None, *OBJECTIVES),
    )
    vdqs_lambda: float | None = setting(
        None,
        f"Weight of the entropy loss against the BitOPs saved, 0 to 1, of --objective bit_ops; default "
        f"{DEFAULT_LAMBDA}.",
        kind=float,
        check=between(0, 1),
    )
    vdqs_min_bits: int = setting(
        4, "Smallest width that VDQS gives a map; below 4 expect to fine-tune.", kind=int, choices=BIT_WIDTHS
    )
    vdqs_min_weight_bits: int = setting(
        8, "Smallest width that VDQS gives weights of patch stages; 4 suits it.", kind=int, choices=BIT_WIDTHS
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        for name, default in (("vdpc_phi", DEFAULT_PHI), ("vdpc_outlier_fraction", None)):
            if self.vdpc == "off" and getattr(self, name) != default:
                raise UsageError(f"--{name} says what an outlier is, and --vdpc off asks for none; drop one of them")
        if self.vdqs_lambda is not None and self.objective == "cycles":
            raise UsageError("--vdqs_lambda weighs BitOPs, which --objective cycles does not; use --objective bit_ops")

    @property
    def trade(self) -> float | None:
        """Lambda of the objective bit_ops; None where BitOPs do not count."""
        if self.objective == "bit_ops" or self.vdqs_lambda is not None:
            return DEFAULT_LAMBDA if self.vdqs_lambda is None else self.vdqs_lambda
        return None

    @property
    def parameters(self) -> Mapping[str, Any]:
        """The parameters with the objective and its lambda as they count."""
        objective = "cycles" if self.trade is None else "bit_ops"
        return {**super().parameters, "objective": objective, "vdqs_lambda": self.trade}
