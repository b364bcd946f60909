"""An int8 model's graph as an ordinary Keras model of real numbers, for what needs gradients and has no Keras source.

In: a ModelGraph. Out: a functional model of Keras' own layers that computes what the int8 model does, but for its
rounding: weights and biases are the dequantised ones, fused activations are the layers' own, QUANTIZE and DEQUANTIZE
are nothing. Its inputs and outputs are real values. Refuses ops that no Keras layer computes.
"""

from __future__ import annotations

from tflm_quantmcu.graph.types import ModelGraph
from tflm_quantmcu.keras_bridge.layer_builder import LayerBuilder, Observe, Wrap
from tflm_quantmcu.keras_bridge.layers_of_ops import LAYERS
from tflm_quantmcu.keras_bridge.to_tflite import keras


def keras_from_graph(
    graph: ModelGraph,
    *,
    wrap: Wrap = lambda op, layer: layer,
    observe: Observe = lambda tensor, x: x,
) -> keras.Model:
    """Builds the model.

    Args:
      graph: an int8 model.
      wrap: what stands for the layer, built and with its weights, of each convolution and fully connected op.
      observe: (map, its values) -> what goes on in place of a map that an op writes.

    Raises:
      UnsupportedModelError: an op that Keras has no layer for, or not with these parameters; the sentence names it.
    """
    return _model(LayerBuilder(graph, wrap, observe))


def _model(builder: LayerBuilder) -> keras.Model:
    graph = builder.graph
    for t in graph.inputs:
        tensor = graph.tensors[t]
        builder.values[t] = keras.Input(tensor.shape[1:], name=builder.name(tensor))
    inputs = [builder.values[t] for t in graph.inputs]
    for op in graph.ops:
        output = graph.tensors[op.outputs[0]]
        if op.kind not in LAYERS or len(op.outputs) != 1:
            raise builder.refuse(op, f"no Keras layer stands for it; supported are {', '.join(sorted(LAYERS))}")
        y = LAYERS[op.kind](builder, op)
        if tuple(y.shape[1:]) != output.shape[1:]:
            raise builder.refuse(op, f"Keras gives it the shape {list(y.shape[1:])}, not {list(output.shape[1:])}")
        builder.values[output.index] = builder.observe(output, y)
    outputs = [builder.values[t] for t in graph.outputs]
    ends = [group[0] if len(group) == 1 else group for group in (inputs, outputs)]
    return keras.Model(*ends, name="from_tflite")
