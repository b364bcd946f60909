"""The Keras model that fine-tuning trains: an ordinary model's layers, holding to a plan's formats.

In: a Keras model, the graph of its int8 `.tflite`, a plan, and where the graph's tensors are in the model. Out: a
functional model with the same weights. Refuses plans that lower what is not a Keras operation's output.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from typing import Any, Union

import numpy as np

from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.calibration.plan_formats import planned_formats
from tflm_quantmcu.finetuning.training_start import start_biases, start_kernels
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.graph.types import Format, ModelGraph, Tensor
from tflm_quantmcu.keras_bridge.fake_quant import FakeQuantizedKernels, FakeQuantizedMap, FreezableNormalization, Kernel
from tflm_quantmcu.keras_bridge.mapping import KerasMapping, rebuild
from tflm_quantmcu.keras_bridge.to_tflite import keras

Path = Union[str, "os.PathLike[str]"]


class TrainingModel(keras.Model):
    """The functional model that is trained: the layers of the ordinary one, with the plan's values between them.

    It saves itself as an ordinary model, and its weights with the learned scales.
    """

    @staticmethod
    def of(
        ordinary: keras.Model, graph: ModelGraph, plan: PrecisionPlan, mapping: KerasMapping, input_shape: Sequence[int]
    ) -> TrainingModel:
        """Builds it around the layers of `ordinary`, which it trains from where the plan's compensation put them.

        Raises:
          UnsupportedModelError: see `finetune`.
        """
        kernels = _kernels_by_layer(graph, plan, mapping)
        start_kernels(graph, plan, mapping)
        maps = _maps_by_point(graph, plan, mapping)
        source, outer = graph.tensors[graph.inputs[0]], keras.Input(input_shape)
        wrapped: list[FakeQuantizedKernels] = []
        quantized: dict[str, FakeQuantizedMap] = {}

        def wrap(layer: Any) -> Any:
            if layer in kernels:
                wrapped.append(FakeQuantizedKernels(layer, *zip(*kernels[layer], strict=True), name=layer.name))
                return wrapped[-1]
            is_norm = isinstance(layer, keras.layers.BatchNormalization)
            return FreezableNormalization(layer, name=layer.name) if is_norm else layer

        def observe(number: int, name: str, output: Any) -> Any:
            del name
            if number not in maps:
                return output
            names, layer = maps[number]
            quantized.update(dict.fromkeys(names, layer))
            return layer(output)

        x = outer
        if source.dtype == "int8":
            quantized[source.name] = FakeQuantizedMap(*planned_formats(graph, plan, source))
            x = quantized[source.name](x)
        body = rebuild(ordinary, wrap=wrap, observe=observe, input_shape=input_shape)
        norms = _norms_by_layer(body)
        start_biases(graph, plan, mapping, norms)
        _round_sums(graph, plan, mapping, wrapped, norms, quantized)
        model = TrainingModel(outer, body(x), name=f"{ordinary.name}_training")
        model._parts = (ordinary, tuple(wrapped), quantized)
        return model

    def __setattr__(self, name: str, value: Any) -> None:
        """Keras would count what `_parts` holds as further layers."""
        if name == "_parts":
            object.__setattr__(self, name, value)
        else:
            super().__setattr__(name, value)

    def ordinary_model(self) -> keras.Model:
        """A copy of the trained model without our layers; kernels below 8 bits have the values they are held to."""
        ordinary, wrapped, _ = self._parts
        held = {id(k.variable): np.asarray(layer.quantized(k)) for layer in wrapped for k in layer.lowered()}
        copy = keras.models.clone_model(ordinary)
        copy.set_weights([held.get(id(v), np.asarray(v)) for v in ordinary.weights])
        return copy

    def learned_formats(self) -> dict[tuple[str, Format], Format]:
        """(tensor name, planned format) -> the format with its learned scale."""
        return {
            (name, planned): learned
            for name, layer in self._parts[2].items()
            for planned, learned in zip(layer.formats, layer.learned_formats(), strict=True)
        }

    def freeze_normalization(self) -> None:
        """Lets batch normalisation use and keep its moving statistics from now on."""
        for layer in self._flatten_layers(include_self=False):
            if isinstance(layer, FreezableNormalization):
                layer.is_frozen.assign(1.0)

    def save(self, filepath: Path, *args: Any, **keywords: Any) -> None:
        """Saves the ordinary model, so that ModelCheckpoint writes files that Keras alone can load."""
        self.ordinary_model().save(filepath, *args, **keywords)


def _maps_by_point(
    graph: ModelGraph, plan: PrecisionPlan, mapping: KerasMapping
) -> dict[int, tuple[list[str], FakeQuantizedMap]]:
    """Point -> names of the tensors it gives, and the layer that holds it to the first one's lowest formats."""
    tensors = {t: graph.tensors[t] for op in graph.ops for t in op.outputs}
    lowered = {t for t, tensor in tensors.items() if tensor.dtype == "int8" and _is_lowered(graph, plan, tensor)}
    for t in sorted(lowered - set(mapping.points)):
        raise UnsupportedModelError(
            f"the plan lowers '{tensors[t].label}', which is no Keras operation's output; build the model of layers "
            "with one convolution each, or keep that map at 8 bits"
        )
    found: dict[int, list[int]] = {}
    for t, point in mapping.points.items():
        if t in lowered or t not in graph.outputs:  # a loss needs scores, not steps of scores
            found.setdefault(point, []).append(t)
    return {
        point: (
            [tensors[t].name for t in group],
            FakeQuantizedMap(*planned_formats(graph, plan, tensors[max(group, key=lambda t: t in lowered)])),
        )
        for point, group in found.items()
    }


def _is_lowered(graph: ModelGraph, plan: PrecisionPlan, tensor: Tensor) -> bool:
    return len(tensor.scales) == 1 and any(f.bits < 8 for f in planned_formats(graph, plan, tensor)[0])


def _kernels_by_layer(
    graph: ModelGraph, plan: PrecisionPlan, mapping: KerasMapping
) -> dict[Any, list[tuple[Kernel, int]]]:
    for name, bits in plan.weight_bits.items():
        if bits < 8 and graph.by_name[name].index not in mapping.kernels:
            raise UnsupportedModelError(f"the plan lowers the weights '{name}', which are no Keras layer's kernel")
    kernels: dict[Any, dict[int, tuple[Kernel, int]]] = {}
    for t, kernel in mapping.kernels.items():
        bits = plan.weight_bits.get(graph.tensors[t].name, 8)
        found = kernels.setdefault(kernel.layer, {})
        if kernel.index not in found or bits < found[kernel.index][1]:
            found[kernel.index] = (kernel, bits)
    return {layer: list(found.values()) for layer, found in kernels.items()}


def _norms_by_layer(body: keras.Model) -> dict[Any, keras.layers.BatchNormalization]:
    """Layer with a kernel -> the batch normalisation that follows it."""
    return {
        norm.input._keras_history.operation.layer: norm.layer
        for norm in body._flatten_layers(include_self=False)
        if isinstance(norm, FreezableNormalization)
        and isinstance(norm.input._keras_history.operation, FakeQuantizedKernels)
    }


def _round_sums(
    graph: ModelGraph,
    plan: PrecisionPlan,
    mapping: KerasMapping,
    wrapped: Sequence[FakeQuantizedKernels],
    norms: Mapping[Any, keras.layers.BatchNormalization],
    quantized: Mapping[str, FakeQuantizedMap],
) -> None:
    """Tells each layer with a kernel which maps it reads and gives, and what normalisation follows it."""
    by_layer = {layer.layer: layer for layer in wrapped}
    for op in graph.ops:
        kernel = mapping.kernels.get(op.inputs[1]) if len(op.inputs) > 1 else None
        if kernel is None or kernel.layer not in by_layer:
            continue
        source = graph.tensors[op.inputs[0]]
        pad = graph.producer.get(source.index)
        if pad is not None and pad.pads and not _is_lowered(graph, plan, source):
            source = graph.tensors[pad.inputs[0]]  # inside a stage it is folded into the window
        output = quantized.get(graph.tensors[op.outputs[0]].name)
        if source.name in quantized and output is not None:
            by_layer[kernel.layer].round_sums(quantized[source.name], output, norms.get(kernel.layer))
