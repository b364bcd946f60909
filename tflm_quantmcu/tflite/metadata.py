"""Metadata buffers of a `.tflite`: named bytes beside the graph."""

from __future__ import annotations

from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.tflite import schema

PLAN_METADATA = "QUANTMCU_PLAN"


def read_metadata(model: schema.ModelT, name: str) -> bytes | None:
    """The contents of a metadata buffer, or None if the model has no such metadata."""
    for metadata in model.metadata or ():
        if metadata.name == name.encode():
            data = model.buffers[metadata.buffer].data
            return b"" if data is None else bytes(data)
    return None


def plan_of(model: schema.ModelT) -> PrecisionPlan | None:
    """The plan that a converted model carries, or None if it was stripped.

    Raises:
      UsageError: the plan cannot be read.
    """
    plan = read_metadata(model, PLAN_METADATA)
    return None if plan is None else PrecisionPlan.from_json(plan.decode("utf-8", "replace"))
