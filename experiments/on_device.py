"""What a converted model takes on a core, for tables of results: bytes and milliseconds beside accuracy and BitOPs."""

from __future__ import annotations

from typing import Any

from tflm_quantmcu.app.reserve import arena_bytes_on
from tflm_quantmcu.cost.boards import milliseconds
from tflm_quantmcu.cost.instructions import load_table
from tflm_quantmcu.cost.model_time import time_of_model
from tflm_quantmcu.graph.target import Target
from tflm_quantmcu.tflite.reader import read_model


def on_device(model: bytes, target: Target | None = None) -> dict[str, Any]:
    """Columns of a model's row: `core`, `arena_bytes` to reserve there, and estimated `milliseconds` on its board.

    Args:
      model: the `.tflite`, stock or converted.
      target: default a Cortex-M4.

    Raises:
      UnsupportedModelError: an op whose bytes are not known.
    """
    target = target or Target()
    graph = read_model(model)
    found = milliseconds(target.timed_core, target.board, time_of_model(graph, target, load_table(target.timed_core)))
    return {
        "core": target.core,
        "arena_bytes": arena_bytes_on(graph, target).reserved_bytes,
        "milliseconds": "" if found is None else round(found, 2),
    }
