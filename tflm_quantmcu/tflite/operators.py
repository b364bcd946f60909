"""QMCU_ ops outside stages, as docs/format.md F3 writes them: options and constants of one op.

In: a lowered op with its formats, or one op of a stage with regions. Out: QmcuOp, and an operator in a model that is
being built.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from tflm_quantmcu.graph.op_kind import OpKind, Table
from tflm_quantmcu.graph.op_kinds import op_kind
from tflm_quantmcu.graph.types import Format, Window
from tflm_quantmcu.lowering.ops import LoweredOp
from tflm_quantmcu.stage.custom_ops import PREFIX
from tflm_quantmcu.stage.format_version import FORMAT_VERSION
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.model_builder import ModelBuilder


@dataclasses.dataclass(frozen=True)
class QmcuMap:
    """A feature map as an op's options name it."""

    channels: int
    bits: int
    zero_point: int


@dataclasses.dataclass(frozen=True, eq=False)
class QmcuOp:
    """One QMCU_ op.

    Attributes:
      kind: as LoweredOp.kind.
      inputs: one, or two of an add.
      output: the map written.
      clamps: (min, max) of the output.
      window: of convolutions and pools; of a requantize or a lut the pads.
      table: int32, as `requantization_table` gives it.
      filter: packed uint8 in the shape of docs/format.md F2; None where there is none.
      weight_bits: of the filter.
      depth_multiplier: of a depthwise convolution.
      origins: (top, left) in each input of an add.
    """

    kind: str
    inputs: tuple[QmcuMap, ...]
    output: QmcuMap
    clamps: tuple[int, int]
    window: Window
    table: np.ndarray
    filter: np.ndarray | None = None
    weight_bits: int = 0
    depth_multiplier: int = 1
    origins: tuple[tuple[int, int], ...] = ((0, 0), (0, 0))

    @property
    def traits(self) -> OpKind:
        """What is known of its kind."""
        return op_kind(self.kind)

    @staticmethod
    def of(op: LoweredOp, inputs: Sequence[Format], output: Format, channels: Sequence[int]) -> QmcuOp:
        """A lowered op at these formats.

        Args:
          op: it.
          inputs, output: formats of its maps.
          channels: of the inputs, then of the output.
        """
        maps = [QmcuMap(c, f.bits, f.zero_point) for c, f in zip(channels, (*inputs, output), strict=True)]
        filter = op.filter
        return QmcuOp(
            kind=op.kind,
            inputs=tuple(maps[:-1]),
            output=maps[-1],
            clamps=op.clamp_range(output),
            window=op.window,
            table=op.requantization_table(inputs, output),
            filter=filter.packed if filter else None,
            weight_bits=filter.bits if filter else 0,
            depth_multiplier=op.depth_multiplier,
        )

    def options(self) -> dict[str, Any]:
        """The keys of docs/format.md F3."""
        result: dict[str, Any] = {"version": FORMAT_VERSION, **_map_keys("output", self.output)}
        result["clamp_min"], result["clamp_max"] = self.clamps
        if self.traits.num_maps == 2:
            return {**result, **self._add_keys()}
        result |= _map_keys("input", self.inputs[0])
        result |= {key: getattr(self.window, key) for key in self.traits.reach.keys}
        if self.filter is not None:
            result["weight_bits"] = self.weight_bits
        elif self.traits.table is Table.FACTOR:
            result["multiplier"], result["shift"] = self.table.tolist()
        if self.traits.is_depthwise:
            result["depth_multiplier"] = self.depth_multiplier
        return result

    def _add_keys(self) -> dict[str, int]:
        keys = {"channels": self.output.channels}
        words = self.table.tolist()
        for j, (source, origin) in enumerate(zip(self.inputs, self.origins, strict=True)):
            keys |= {
                f"input{j}_bits": source.bits,
                f"input{j}_zero_point": source.zero_point,
                f"input{j}_top": origin[0],
                f"input{j}_left": origin[1],
                f"input{j}_multiplier": words[2 * j],
                f"input{j}_shift": words[2 * j + 1],
            }
        return {**keys, "output_multiplier": words[4], "output_shift": words[5]}

    def operator(self, builder: ModelBuilder, name: str, inputs: Sequence[int], output: int) -> schema.OperatorT:
        """The operator with its constants in the model.

        Args:
          builder: of the model.
          name: that the constants' names begin with.
          inputs, output: tensor indices.
        """
        constants = []
        if self.filter is not None:
            filter = self.filter.view(np.int8)
            constants = [
                builder.add_constant(f"{name}/filter", filter),
                builder.add_constant(f"{name}/table", self.table),
            ]
        if self.traits.has_entries:
            constants = [builder.add_constant(f"{name}/table", self.table.astype("<i4").view(np.int8))]
        return builder.operator(PREFIX + self.kind, [*inputs, *constants], output, self.options())


def requantize(source: Format, output: Format, channels: int) -> QmcuOp:
    """A change of format alone."""
    op = LoweredOp("REQUANTIZE", "", (), -1, Window(), "NONE")
    return QmcuOp.of(op, [source], output, [channels, channels])


def _map_keys(prefix: str, map: QmcuMap) -> dict[str, int]:
    return {f"{prefix}_{key}": value for key, value in dataclasses.asdict(map).items()}
