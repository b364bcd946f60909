"""A row a layer: what it is called in Keras, where it runs, at which widths, what it takes, and how far it is off.

In: what each layer takes, and the errors of its values. Out: LayerRows, in the source's order, and a table of them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from typing import Any

import rich.box
import rich.table

from tflm_quantmcu.app.map_errors import MapError
from tflm_quantmcu.cost.layer_costs import LayerCost, layer_costs
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.graph.target import Target
from tflm_quantmcu.graph.types import ModelGraph


@dataclasses.dataclass(frozen=True)
class LayerRow(LayerCost):
    """What one op of the source model takes, and what became of its values.

    Attributes:
      sqnr_db: of the output beside that of the int8 model; None if it is equal or was not compared.
      is_equal: the output is that of the int8 model in every byte; None where it was not compared.
    """

    sqnr_db: float | None = None
    is_equal: bool | None = None

    def as_dict(self) -> dict[str, Any]:
        """The fields in JSON's types."""
        return {**dataclasses.asdict(self), "shape": list(self.shape), "map_bits": list(self.map_bits)}


def layer_rows(
    graph: ModelGraph,
    converted: ModelGraph,
    plan: PrecisionPlan,
    target: Target,
    errors: Collection[MapError] | None,
) -> list[LayerRow]:
    """The table.

    Args:
      graph: the source, in its canonical form.
      converted: what it became.
      plan: by which.
      target: on which cycles are estimated.
      errors: of maps whose values were compared; None: the outputs are equal.
    """
    costs = layer_costs(graph, converted, plan, target)
    if errors is None:
        return [LayerRow(**vars(cost), is_equal=True) for cost in costs]
    found = {error.tensor: error.sqnr_db for error in errors}
    return [
        LayerRow(**vars(cost), sqnr_db=found[cost.tensor], is_equal=found[cost.tensor] is None)
        if cost.tensor in found
        else LayerRow(**vars(cost))
        for cost in costs
    ]


def layers_as_text(rows: Sequence[LayerRow]) -> rich.table.Table:
    """The table for a terminal."""
    table = rich.table.Table(box=rich.box.SIMPLE_HEAD)
    for heading in ("layer", "op", "stage", "bits"):
        table.add_column(heading, justify="right" if heading == "stage" else "left")
    for heading in ("MACs", "bytes", "cycles", "SQNR"):
        table.add_column(heading, justify="right")
    for row in rows:
        cycles = "-" if row.cycles is None else f"{row.cycles:,}"
        sqnr = "equal" if row.is_equal else "-" if row.sqnr_db is None else f"{row.sqnr_db:.1f} dB"
        stage = "" if row.stage is None else str(row.stage)
        figures = (f"{row.converted_macs:,}", f"{row.num_bytes:,}", cycles, sqnr)
        table.add_row(row.layer, row.op, stage, row.bits_text, *figures)
    return table
