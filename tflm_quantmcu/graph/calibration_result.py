"""A calibration as measured: statistics of a model's feature maps, and how ranges are chosen from them."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

import numpy as np

from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.graph.keras_comparison import KerasComparison
from tflm_quantmcu.graph.types import Format

CALIBRATION_METHODS = ("own", "minmax", "percentile", "mse", "uspiq")


@dataclasses.dataclass(frozen=True)
class CalibrationMethod:
    """How ranges of feature maps are chosen from what calibration saw (law A9).

    Attributes:
      name: `own` leaves 8-bit maps as the model has them; the others choose them anew. One of CALIBRATION_METHODS.
      percentile: of method `percentile`: the share of values, in percent, beyond which either end is clipped.
    """

    name: str = "own"
    percentile: float = 99.99

    def __post_init__(self) -> None:
        if self.name not in CALIBRATION_METHODS:
            raise UsageError(f"--calibration_method is {self.name}; supported are {', '.join(CALIBRATION_METHODS)}")
        if not 50 < self.percentile <= 100:
            raise UsageError(f"--calibration_percentile is {self.percentile}; it must be above 50 and at most 100")

    @property
    def flags(self) -> dict[str, str | float]:
        """The flags that decide anything, by name."""
        percentile = {"calibration_percentile": self.percentile} if self.name == "percentile" else {}
        return {"calibration_method": self.name, **percentile}

    @staticmethod
    def of_flags(flags: Mapping[str, Any]) -> CalibrationMethod:
        """What `flags` names among others, with defaults for what it does not."""
        fields = {"name": "calibration_method", "percentile": "calibration_percentile"}
        return CalibrationMethod(**{field: flags[flag] for field, flag in fields.items() if flag in flags})


OWN_FORMATS = CalibrationMethod()


@dataclasses.dataclass(frozen=True, eq=False)
class TensorStats:
    """What calibration saw of one int8 feature map, over all samples.

    Attributes:
      name: tensor name.
      histogram: int64 [256], count of each q from -128 to 127: lossless, so every statistic follows from it.
      format: the map's 8-bit format.
      outliers: float32 [len(PHIS), H, W], mean share of the values at each position that are beyond z(phi) standard
        deviations of the map's fitted Gaussian; None for maps that are not [1, H, W, C].
      method: how its formats below 8 bits are chosen.
    """

    name: str
    histogram: np.ndarray
    format: Format
    outliers: np.ndarray | None = None
    method: CalibrationMethod = OWN_FORMATS


@dataclasses.dataclass(frozen=True, eq=False)
class CalibrationResult:
    """Calibration of one model.

    Attributes:
      model_sha256: the int8 `.tflite` that was measured.
      model: that file's bytes when calibration made it, of a Keras model or with new 8-bit formats; else None.
      samples: the model's own inputs [N, ...], in the model's input type.
      stats: tensor name -> stats.
      method: how ranges are chosen.
      source_sha256: the int8 `.tflite` that new 8-bit formats were given to; else None.
      weights_sha256: of the Keras model that was converted and measured; else None.
      comparison: of that Keras model with the int8 `.tflite` measured; else None.
    """

    model_sha256: str
    model: bytes | None
    samples: np.ndarray
    stats: Mapping[str, TensorStats]
    method: CalibrationMethod = OWN_FORMATS
    source_sha256: str | None = None
    weights_sha256: str | None = None
    comparison: KerasComparison | None = None
