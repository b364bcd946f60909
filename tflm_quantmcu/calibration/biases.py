"""The steps in which an int8 model counts its biases: input scale x weight scale of each output channel (law A3)."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.graph.layer_names import op_place
from tflm_quantmcu.graph.types import Format, ModelGraph


def bias_steps(graph: ModelGraph, formats: Mapping[int, Format]) -> dict[int, np.ndarray]:
    """Bias tensor -> real value of a step, float64 [1] or [O], of the constant int32 biases.

    Args:
      graph: the int8 model.
      formats: tensor -> format, of feature maps that get another than the model's.

    Raises:
      UnsupportedModelError: ops with different steps share a bias.
    """
    steps: dict[int, np.ndarray] = {}
    for op in graph.ops:
        bias_at, map_at = op.traits.bias_input, op.traits.map_input
        bias = op.inputs[bias_at] if 0 < bias_at < len(op.inputs) else -1
        if bias < 0 or graph.tensors[bias].dtype != "int32" or not graph.tensors[bias].is_constant:
            continue
        source, weights = graph.tensors[op.inputs[map_at]], graph.tensors[op.inputs[1]]
        scale = formats[source.index].scale if source.index in formats else source.scales[0]
        step = scale * np.asarray(weights.scales, np.float64)
        if bias in steps and not np.array_equal(steps[bias], step):
            raise UnsupportedModelError(
                f"{op_place(graph, op)} shares its bias with an op of other "
                "scales; its maps cannot be given new formats: use --calibration_method own"
            )
        steps[bias] = step
    return steps
