"""Metadata buffers of a `.tflite`: named bytes beside the graph."""

from __future__ import annotations

import json
import math

from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.graph.target import CORES
from tflm_quantmcu.graph.types import Tensor
from tflm_quantmcu.tflite import schema

PLAN_METADATA = "QUANTMCU_PLAN"
TARGET_METADATA = "QUANTMCU_TARGET"
INPUT_METADATA = "QUANTMCU_INPUT"


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


def source_input_fields(source: Tensor) -> bytes:
    """INPUT_METADATA (docs/format.md F5) of the input that a QUANTIZE, which streaming leaves out, made int8."""
    fields = {"dtype": source.dtype, "scale": source.scales[0], "zero_point": source.zero_points[0]}
    return json.dumps(fields).encode()


def source_input_of(model: schema.ModelT, shape: tuple[int, ...]) -> Tensor | None:
    """The model's own uint8 input, of which the streamed int8 one was made; None where the file tells none.

    Args:
      model: the converted model.
      shape: of the streamed input.

    Raises:
      UsageError: the metadata cannot be read.
    """
    data = read_metadata(model, INPUT_METADATA)
    if data is None:
        return None
    try:
        fields = json.loads(data)
        dtype, scale, zero_point = fields["dtype"], float(fields["scale"]), int(fields["zero_point"])
    except (ValueError, TypeError, KeyError, OverflowError, RecursionError):
        dtype, scale, zero_point = "", 0.0, 0
    if dtype != "uint8" or not (math.isfinite(scale) and scale > 0) or not 0 <= zero_point <= 255:
        raise UsageError(f"the file's {INPUT_METADATA} does not tell a uint8 input's scale and zero point")
    return Tensor(-1, "input", shape, dtype, (scale,), (zero_point,))
