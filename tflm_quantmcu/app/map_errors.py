"""How far the feature maps of two models are apart, layer by layer, over samples.

In: real values of maps of both, chunk by chunk. Out: MapError a map. Knows no model.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np


@dataclasses.dataclass(frozen=True)
class MapError:
    """One feature map of a model beside that of its reference.

    Attributes:
      layer: Keras' name of the layer, or the tensor's.
      tensor: its name.
      op: kind of the op that writes it.
      stage: number of the patch stage that computes it; None outside.
      shape: of one sample.
      max_error, mean_error: of the absolute differences, in the reference's real values.
      sqnr_db: power of the reference by that of the difference; None where they are equal.
      cosine: of the angle between them; None where one of them is all 0.
      is_beyond: the limit.
    """

    layer: str
    tensor: str
    op: str
    stage: int | None
    shape: tuple[int, ...]
    max_error: float
    mean_error: float
    sqnr_db: float | None
    cosine: float | None
    is_beyond: bool = False

    def as_dict(self) -> dict[str, Any]:
        """The fields in JSON's types."""
        return {**dataclasses.asdict(self), "shape": list(self.shape)}

    @property
    def sqnr_text(self) -> str:
        """The SQNR in words."""
        return "equal" if self.sqnr_db is None else f"{self.sqnr_db:.1f} dB"


class ErrorSums:
    """Adds up one map's differences."""

    def __init__(self) -> None:
        self._count = 0
        self._max = 0.0
        self._sums = np.zeros(5)

    def add(self, reference: np.ndarray, found: np.ndarray) -> None:
        """Takes real values of both, of any float type and one shape; what is NaN in either was not computed and does
        not count."""
        a, b = (np.asarray(values, np.float64).ravel() for values in (reference, found))
        both = ~(np.isnan(a) | np.isnan(b))
        a, b = a[both], b[both]
        if not a.size:
            return
        difference = np.abs(a - b)
        self._count += a.size
        self._max = max(self._max, float(difference.max()))
        self._sums += [difference.sum(), difference @ difference, a @ a, b @ b, a @ b]

    @property
    def is_empty(self) -> bool:
        """Whether no value has come."""
        return not self._count

    def figures(self) -> dict[str, float | None]:
        """max_error, mean_error, sqnr_db and cosine, as MapError has them."""
        absolute, error, reference, found, product = self._sums.tolist()
        norm = np.sqrt(reference * found)
        return {
            "max_error": self._max,
            "mean_error": absolute / self._count,
            "sqnr_db": None if error == 0 else 10 * float(np.log10(max(reference, 1e-30) / error)),
            "cosine": float(product / norm) if norm else None,
        }


def first_beyond(errors: Sequence[MapError]) -> MapError | None:
    """The first map, in execution order, beyond the limit."""
    return next((error for error in errors if error.is_beyond), None)
