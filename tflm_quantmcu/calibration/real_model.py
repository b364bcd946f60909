"""The unquantised network behind an int8 model: the same ops on float32, with the real values of its weights.

In: an int8 `.tflite`. Out: float32 `.tflite` files that stock TFLM runs: the whole network, or one op of it. Nothing is
rounded, nor clipped but by activation functions. QUANTIZE and DEQUANTIZE hand on their input.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping

import numpy as np

from tflm_quantmcu.calibration.biases import bias_steps
from tflm_quantmcu.graph.types import Op, Tensor
from tflm_quantmcu.lowering.network import LoweredNetwork
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.model_file import AnyModel, ModelFile
from tflm_quantmcu.tflite.writer import write_model

_MOVES = ("QUANTIZE", "DEQUANTIZE")


class RealModel:
    """An int8 model's twin in float32; tensors have the same indices.

    Attributes:
      graph: the int8 model.
    """

    def __init__(self, model: AnyModel, weight_bits: Mapping[str, int] | None = None) -> None:
        """Args:
        model: the int8 `.tflite`.
        weight_bits: weight tensor name -> bits, of weights that are to have the values of a narrower width.

        Raises:
          UnsupportedModelError: the file is damaged, an op has no kernel of that width, or a bias is shared.
        """
        file = ModelFile.of(model)
        self._model = file.copied_tree()
        self.graph = file.graph
        reals = self._real_constants(weight_bits or {})
        for read, tensor in zip(self.graph.tensors, self._model.subgraphs[0].tensors, strict=True):
            if read.index in reals:
                tensor.buffer = len(self._model.buffers)
                self._model.buffers.append(schema.BufferT(data=np.frombuffer(reals[read.index].tobytes(), np.uint8)))
            if read.index in reals or _is_quantized(read):
                tensor.type, tensor.quantization = schema.TensorType.FLOAT32, None
        self._move_with_reshapes()

    def whole(self) -> bytes:
        """The network; its input is float32."""
        model = copy.copy(self._model)
        model.metadata, model.metadataBuffer, model.signatureDefs = None, None, None
        return write_model(model)

    def of_op(self, op: Op) -> bytes:
        """A model of one op; its inputs are the op's feature maps, each once, in order, its outputs the op's."""
        whole = self._model.subgraphs[0]
        used = list(dict.fromkeys(t for t in (*op.inputs, *op.outputs) if t >= 0))
        place = {t: i for i, t in enumerate(used)} | {-1: -1}
        operator = copy.copy(whole.operators[op.index])
        code = self._model.operatorCodes[operator.opcodeIndex]
        operator.opcodeIndex = 0
        operator.inputs = np.array([place[int(t)] for t in operator.inputs], np.int32)
        operator.outputs = np.array([place[int(t)] for t in operator.outputs], np.int32)
        tensors, buffers = [], [schema.BufferT()]
        for t in used:
            tensor = copy.copy(whole.tensors[t])
            tensor.buffer = 0
            if self.graph.tensors[t].is_constant:
                tensor.buffer = len(buffers)
                buffers.append(self._model.buffers[whole.tensors[t].buffer])
            tensors.append(tensor)
        subgraph = schema.SubGraphT(
            tensors=tensors,
            operators=[operator],
            inputs=np.array([place[t] for t in dict.fromkeys(self.graph.feature_maps(op))], np.int32),
            outputs=operator.outputs,
        )
        return write_model(
            schema.ModelT(version=self._model.version, operatorCodes=[code], subgraphs=[subgraph], buffers=buffers)
        )

    def _real_constants(self, weight_bits: Mapping[str, int]) -> dict[int, np.ndarray]:
        """Float32 values of the quantised constants and the biases."""
        graph, network = self.graph, LoweredNetwork.of(self.graph)
        reals = {t.index: _dequantized(t) for t in graph.tensors if t.is_constant and _is_quantized(t)}
        for index, step in bias_steps(graph, {}).items():
            reals[index] = (np.asarray(graph.tensors[index].data) * step).astype(np.float32)
        for op in graph.ops:
            weights = network.weights(op)
            bits = weight_bits.get(weights.name, 8) if weights else 8
            if weights and bits < 8:
                filter = network.lower(op, weight_bits=bits).filter
                assert filter is not None
                spread = filter.scales.reshape(-1, *[1] * (filter.values.ndim - 1))
                scales = np.moveaxis(spread, 0, op.traits.weight_axis)
                reals[weights.index] = (filter.values * scales).astype(np.float32).reshape(weights.shape)
        return reals

    def _move_with_reshapes(self) -> None:
        operators = self._model.subgraphs[0].operators or ()
        reshape = schema.BuiltinOperator.RESHAPE
        self._model.operatorCodes.append(
            schema.OperatorCodeT(builtinCode=reshape, deprecatedBuiltinCode=reshape, version=1)
        )
        for op, operator in zip(self.graph.ops, operators, strict=True):
            if op.kind in _MOVES:
                operator.opcodeIndex = len(self._model.operatorCodes) - 1
                operator.builtinOptionsType, operator.builtinOptions = schema.BuiltinOptions.NONE, None


def _is_quantized(tensor: Tensor) -> bool:
    return tensor.dtype in ("int8", "uint8", "int4") and bool(tensor.scales)


def _dequantized(tensor: Tensor) -> np.ndarray:
    assert tensor.data is not None
    shape = [1] * tensor.data.ndim
    if len(tensor.scales) > 1:
        shape[tensor.quantized_dimension] = len(tensor.scales)
    scales = np.asarray(tensor.scales, np.float32).reshape(shape)
    zero_points = np.asarray(tensor.zero_points, np.float32).reshape(shape)
    return (tensor.data.astype(np.float32) - zero_points) * scales
