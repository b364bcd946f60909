"""Where fine-tuning starts: at the weights and biases that a plan's compensation found, in a Keras model's own terms.

In: a Keras model whose layers are known in the graph of its int8 `.tflite`, a plan for that. Out: the same layers with
other values. From there training has little left to win back; from weights rounded to the nearest it has points.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping
from typing import Any

import numpy as np

from tflm_quantmcu.compensation.moments import grouped_weights
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.graph.types import ModelGraph
from tflm_quantmcu.keras_bridge.fake_quant import folded, kernel_rows
from tflm_quantmcu.keras_bridge.mapping import KerasMapping
from tflm_quantmcu.keras_bridge.to_tflite import keras
from tflm_quantmcu.lowering.network import LoweredNetwork


def start_kernels(graph: ModelGraph, plan: PrecisionPlan, mapping: KerasMapping) -> None:
    """Gives kernels the values that the plan rounds them to; a channel that normalisation silences keeps its own.

    Raises:
      UsageError: the plan's rounded weights do not fit the model.
    """
    for op in graph.ops:
        kernel = mapping.kernels.get(op.inputs[1]) if op.traits.has_filter else None
        name = graph.tensors[op.inputs[1]].name if kernel else ""
        rounded = plan.rounded_weights.get(name)
        if kernel is None or rounded is None or rounded.bits != plan.weight_bits.get(name, 8):
            continue
        own = kernel_rows(np.asarray(kernel.variable, np.float64), kernel.channel_axes)
        rows = grouped_weights(LoweredNetwork.of(graph).lower_planned(op, plan)).reshape(own.shape)
        factors = np.broadcast_to(kernel.factors[:, None], rows.shape)
        start = np.divide(rows, factors, out=own.copy(), where=factors != 0)
        kernel.variable.assign(start.T.reshape(kernel.variable.shape))


def start_biases(
    graph: ModelGraph,
    plan: PrecisionPlan,
    mapping: KerasMapping,
    norms: Mapping[Any, keras.layers.BatchNormalization],
) -> None:
    """Adds the plan's bias corrections to biases, or takes them off the means that batch normalisation expects.

    Of patch classes the mean by their patches counts, of ops that share a layer their mean. A layer of several kernels
    keeps its bias, which is that of the last of its ops alone.

    Args:
      graph, plan, mapping: as of `start_kernels`.
      norms: layer -> the normalisation that follows it.
    """
    corrections = _mean_corrections(plan)
    found: dict[Any, list[np.ndarray]] = defaultdict(list)
    kernels: dict[Any, set[int]] = defaultdict(set)
    for op in graph.ops:
        kernel = mapping.kernels.get(op.inputs[1]) if op.traits.has_filter else None
        if kernel is not None:
            kernels[kernel.layer].add(kernel.index)
            found[kernel.layer].append(corrections.get(graph.tensors[op.outputs[0]].name, np.zeros(1)))
    for layer in (layer for layer, indices in kernels.items() if len(indices) == 1):
        norm, correction = norms.get(layer), sum(found[layer]) / len(found[layer])
        if not np.any(correction):
            continue
        if norm is not None:
            norm.moving_mean.assign_sub(correction / folded(norm)[0])
        elif getattr(layer, "bias", None) is not None:
            layer.bias.assign_add(correction)


def _mean_corrections(plan: PrecisionPlan) -> dict[str, np.ndarray]:
    found = {name: np.asarray(values) for name, values in plan.bias_corrections.items()}
    for stage in plan.stages:
        for share, patch_class in zip(stage.class_shares(), stage.classes, strict=True):
            for name, values in patch_class.bias_corrections.items():
                found[name] = found.get(name, 0.0) + share * np.asarray(values)
    return found
