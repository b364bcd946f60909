"""What all strategies can be told, or several of them."""

from __future__ import annotations

import dataclasses

from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.graph.types import COMPENSATIONS, PINNED_LAYERS
from tflm_quantmcu.search.settings.base import Settings, at_least, between, setting
from tflm_quantmcu.stage.build import INPUT_MODES


@dataclasses.dataclass(frozen=True, kw_only=True)
class StageSettings(Settings):
    """How the network may be split into patch stages."""

    GROUP = "patch stages"

    input: str = setting(
        "resident",
        "Where the network's input is: whole in the arena, or given to the first patch stage region by region by a "
        "reader of yours (a camera, external flash), so that the arena has no input.",
        kind=str,
        brief="whole in the arena, or read tile by tile",
        choices=INPUT_MODES,
    )
    max_macs_ratio: float | None = setting(
        None,
        "Bound on MACs over those of the unsplit network, halos that are computed again included; 1: nothing is "
        "computed twice. Where it is given stages are planned for few MACs, not for time.",
        kind=float,
        check=at_least(1),
    )
    max_slowdown: float | None = setting(
        None,
        "Bound on the estimated cycles, and on the instructions, of the split network on --core over those of the "
        "unsplit one on our kernels. Default 1.1; with --sram_bytes whatever the bound takes.",
        kind=float,
        check=at_least(1),
        brief="time of the split network over the unsplit one",
    )

    split: str = setting(
        "on",
        "Whether searches memory_driven, rl and hybrid split the network before they lower widths; off: widths alone, "
        "as their papers do.",
        kind=str,
        choices=("on", "off"),
    )

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.max_macs_ratio is not None and self.max_slowdown is not None:
            raise UsageError("--max_macs_ratio plans for MACs and --max_slowdown for time; give one of them")


@dataclasses.dataclass(frozen=True, kw_only=True)
class PinnedSettings(Settings):
    """What keeps 8 bits."""

    GROUP = "search"

    pinned_layers: str = setting(
        "none",
        "Layers whose weights keep 8 bits, of all searches that lower weights; the network's input and output "
        "maps always do.",
        kind=str,
        choices=PINNED_LAYERS,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class CompensationSettings(Settings):
    """What becomes of a search's result."""

    GROUP = "search"

    compensation: str = setting(
        "weights",
        "What makes up for widths below 8 bits, from the calibration samples: biases and the rounding of weights, "
        "biases alone (bias), or nothing (off).",
        kind=str,
        choices=COMPENSATIONS,
    )


@dataclasses.dataclass(frozen=True, kw_only=True)
class WeightCutSettings(Settings):
    """The order in which weights are cut to a flash bound (`memory_rules.weight_cuts`)."""

    GROUP = "search memory_driven, rl and hybrid"

    memory_driven_margin: float = setting(
        0.05,
        "Searches memory_driven and rl cut, of the weights whose share of all is less than this below the largest, the "
        "earliest layer's.",
        kind=float,
        check=between(0, 1),
    )
