"""Metadata buffers of a `.tflite`: named bytes beside the graph."""

from __future__ import annotations

from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.graph.target import CORES
from tflm_quantmcu.tflite import schema

PLAN_METADATA = "QUANTMCU_PLAN"
TARGET_METADATA = "QUANTMCU_TARGET"


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


def target_of(model: schema.ModelT) -> str | None:
    """The core that the file's offsets are pinned for (docs/format.md F5), or None if the file names none.

    Raises:
      UsageError: a core that we do not know.
    """
    target = read_metadata(model, TARGET_METADATA)
    if target is None:
        return None
    name = target.decode("ascii", "replace")
    if name not in CORES:
        raise UsageError(f"the file's {TARGET_METADATA} is '{name}'; supported are {', '.join(CORES)}")
    return name
