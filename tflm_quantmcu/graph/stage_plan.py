"""A patch stage as decided: its tiles, the classes of its patches, and rounded weights."""

from __future__ import annotations

import base64
import dataclasses
import functools
import zlib
from collections.abc import Mapping
from typing import Any

import numpy as np

from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.graph.types import Format

CHOSEN_AT_RUN_TIME = -1
_KEPT_PACKED = 256


@dataclasses.dataclass(frozen=True)
class PatchClass:
    """One class of patches of a stage.

    Attributes:
      name: `outlier` (every map keeps the model's 8-bit format) or `ordinary`.
      formats: tensor name -> format, for the maps whose format is not the model's own.
      bias_corrections: see `PrecisionPlan`; of the stage's ops in patches of this class.
    """

    name: str
    formats: Mapping[str, Format]
    bias_corrections: Mapping[str, tuple[float, ...]] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class RoundedWeights:
    """Weights that are not the model's own, or those rounded to the nearest (law A9).

    Attributes:
      bits: 8, 4 or 2; they count where the plan gives the weights this width.
      scales: float32 values, one an output channel; of 8 bits as many as the model's own weights have.
      packed: zlib data of int8 values, in the order that a `.tflite` keeps them, within the width's range. A file says
        what it likes here, so that they are unpacked where the model says how many there may be.
    """

    bits: int
    scales: tuple[float, ...]
    packed: bytes

    @staticmethod
    def of(bits: int, scales: np.ndarray, values: np.ndarray) -> RoundedWeights:
        """The fingerprint of float32 scales [O], in any shape, and int8 values."""
        return RoundedWeights(bits, tuple(scales.ravel().tolist()), _packed(values.tobytes()))

    def values(self, limit: int) -> np.ndarray:
        """Int8 [N], read-only; of more than `limit` the first `limit` + 1.

        Raises:
          UsageError: they are no zlib data.
        """
        unpacker = zlib.decompressobj()
        try:
            unpacked = unpacker.decompress(self.packed, limit + 1)
        except zlib.error as error:
            raise UsageError(f"the plan's rounded weights are no zlib data: {error}") from None
        return np.frombuffer(unpacked, np.int8)

    def to_fields(self) -> dict[str, Any]:
        """What stands in the plan's file: values as base64 of zlib."""
        return {"bits": self.bits, "scales": list(self.scales), "values": base64.b64encode(self.packed).decode()}


@functools.lru_cache(maxsize=_KEPT_PACKED)
def _packed(values: bytes) -> bytes:
    """Kept, since searches round the same weights again and again."""
    return zlib.compress(values, 9)


@dataclasses.dataclass(frozen=True)
class OutlierRule:
    """How a patch's class is chosen at run time (VDPC): 0 if it holds outliers, else 1.

    Attributes:
      low, high: values of the stage's input outside of [low, high] are outliers; steps of its format.
      share: a patch holds outliers if more than share / 2^16 of its values are some.
    """

    low: int
    high: int
    share: int

    def __post_init__(self) -> None:
        if not (-128 <= self.low <= 127 and -128 <= self.high <= 127 and 0 <= self.share <= 1 << 16):
            raise UsageError(f"the outlier rule {self} has values outside int8 or a share outside 0 to {1 << 16}")


@dataclasses.dataclass(frozen=True)
class StagePlan:
    """A patch stage: the ops between two tensors, run tile by tile.

    Attributes:
      input, output: tensor names; the stage is every op that the output is made with of the inputs.
      tile_height, tile_width: of the output, in pixels.
      patch_classes: rows x cols class indices, row-major; CHOSEN_AT_RUN_TIME where `outliers` decides.
      classes: what the indices mean.
      cache_mode: what inner maps keep for the tiles that follow: `recompute` nothing, `rows` the columns that the next
        tile of the row reads again, `full` the rows for the next row of tiles too, `ahead` the same of a map that is
        computed ahead, so that what it is made of is not kept for it.
      map_caches: tensor name -> cache mode, for the maps whose mode is not the stage's.
      primed: tiles before the first one bring cached maps on their way, so that none starts with all it looks ahead.
      input_mode: `resident`, the input stands whole in memory, or `streamed`, tiles pull their regions from a reader.
      vdpc: `static`, `dynamic`, or `off` when there is one class and no classification.
      outliers: the rule of dynamic VDPC, else None.
      other_inputs: names of the tensors that it reads beside `input`, which stand whole in memory.
      layers: Keras' name, or the tensor's, of each op inside, for who reads the file; nothing is decided by them.
    """

    input: str
    output: str
    tile_height: int
    tile_width: int
    patch_classes: tuple[tuple[int, ...], ...]
    classes: tuple[PatchClass, ...]
    cache_mode: str = "recompute"
    map_caches: Mapping[str, str] = dataclasses.field(default_factory=dict)
    primed: bool = False
    input_mode: str = "resident"
    vdpc: str = "off"
    outliers: OutlierRule | None = None
    other_inputs: tuple[str, ...] = ()
    layers: tuple[str, ...] = dataclasses.field(default=(), compare=False)

    @property
    def inputs(self) -> tuple[str, ...]:
        """The tensors that it reads, in the order of its maps."""
        return (self.input, *self.other_inputs)

    def expected_classes(self) -> np.ndarray:
        """The indices in `patch_classes`, int64 [rows, cols]; those chosen at run time count as the last class,
        ordinary."""
        grid = np.array(self.patch_classes)
        return np.where(grid == CHOSEN_AT_RUN_TIME, len(self.classes) - 1, grid)

    def class_shares(self) -> np.ndarray:
        """The share of the patches that each class has, float64 [classes], see `expected_classes`."""
        grid = self.expected_classes()
        return np.bincount(grid.ravel(), minlength=len(self.classes)) / grid.size
