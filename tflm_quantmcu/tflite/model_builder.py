"""Adds feature maps, constants and our operators to the object tree of a `.tflite`."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from tflm_quantmcu.graph.types import Format
from tflm_quantmcu.law.packing import run_bytes
from tflm_quantmcu.stage.custom_ops import encode_options
from tflm_quantmcu.tflite import schema

SCHEMA_VERSION = 3


class ModelBuilder:
    """One model with one subgraph; `model` is the tree, new or read.

    Operators are made here and placed by the caller.
    """

    def __init__(self, model: schema.ModelT) -> None:
        self.model = model
        self._constants: dict[tuple[bytes, str, tuple[int, ...]], int] = {}

    @staticmethod
    def empty(description: str) -> ModelBuilder:
        """A model without tensors; buffer 0 is the empty one."""
        subgraph = schema.SubGraphT(tensors=[], operators=[], inputs=[], outputs=[], name=b"main")
        model = schema.ModelT(
            version=SCHEMA_VERSION,
            description=description,
            operatorCodes=[],
            subgraphs=[subgraph],
            buffers=[schema.BufferT()],
        )
        return ModelBuilder(model)

    @property
    def subgraph(self) -> schema.SubGraphT:
        return self.model.subgraphs[0]

    def set_format(self, tensor: int, shape: Sequence[int], format: Format) -> None:
        """Makes a tensor a packed feature map of this format (docs/format.md F2).

        Args:
          tensor: index.
          shape: [..., C] in values.
          format: how the values are stored.
        """
        changed = self.subgraph.tensors[tensor]
        changed.type = schema.TensorType.INT8
        changed.shape = np.array(packed_shape(shape, format.bits), np.int32)
        changed.shapeSignature = None
        changed.quantization = schema.QuantizationParametersT(
            scale=np.array([format.scale], np.float32),
            zeroPoint=np.array([format.zero_point], np.int64),
        )

    def add_map(self, name: str, shape: Sequence[int], format: Format) -> int:
        """A new packed feature map, see `set_format`; its index."""
        self.subgraph.tensors.append(schema.TensorT(name=name, buffer=0))
        index = len(self.subgraph.tensors) - 1
        self.set_format(index, shape, format)
        return index

    def add_constant(self, name: str, values: np.ndarray) -> int:
        """A constant int8 or int32 tensor of the values' shape; equal ones share one. Its index."""
        key = (values.tobytes(), values.dtype.name, values.shape)
        if key not in self._constants:
            data = np.frombuffer(values.tobytes(), np.uint8)
            self.model.buffers.append(schema.BufferT(data=data))
            tensor = schema.TensorT(
                name=name,
                shape=np.array(values.shape, np.int32),
                type=getattr(schema.TensorType, values.dtype.name.upper()),
                buffer=len(self.model.buffers) - 1,
            )
            self.subgraph.tensors.append(tensor)
            self._constants[key] = len(self.subgraph.tensors) - 1
        return self._constants[key]

    def add_bias(self, name: str, values: np.ndarray, scales: np.ndarray) -> int:
        """A constant of its own for a stock op: int32 values [O], float32 scales [1] or [O]. Its index."""
        self.model.buffers.append(schema.BufferT(data=np.frombuffer(values.tobytes(), np.uint8)))
        tensor = schema.TensorT(
            name=name,
            shape=np.array(values.shape, np.int32),
            type=schema.TensorType.INT32,
            buffer=len(self.model.buffers) - 1,
            quantization=schema.QuantizationParametersT(scale=scales, zeroPoint=np.zeros(scales.size, np.int64)),
        )
        self.subgraph.tensors.append(tensor)
        return len(self.subgraph.tensors) - 1

    def add_weights(self, tensor: int, values: np.ndarray, scales: np.ndarray) -> int:
        """A constant like int8 weights that the model has, of the same shape, with other values and scales. Its index.

        Args:
          tensor: index of the weights.
          values: int8 of their shape.
          scales: float32 [channels] or [1], as many as they have.
        """
        own = self.subgraph.tensors[tensor]
        self.model.buffers.append(schema.BufferT(data=np.frombuffer(values.tobytes(), np.uint8)))
        changed = copy.copy(own)
        changed.buffer = len(self.model.buffers) - 1
        changed.quantization = copy.copy(own.quantization)
        changed.quantization.scale = scales
        changed.quantization.min = changed.quantization.max = None
        self.subgraph.tensors.append(changed)
        return len(self.subgraph.tensors) - 1

    def add_reshaped_weights(self, tensor: int, values: np.ndarray, scales: np.ndarray, name: str) -> int:
        """The same with values of another shape. Its index.

        Args:
          tensor: index of the weights.
          values: int8 of any shape.
          scales: float32 [channels] or [1], as many as they have.
          name: of the new constant.
        """
        index = self.add_weights(tensor, values, scales)
        changed = self.subgraph.tensors[index]
        changed.name, changed.shape, changed.shapeSignature = name, np.array(values.shape, np.int32), None
        return index

    def operator(self, kind: str, inputs: Sequence[int], output: int, options: Mapping[str, Any]) -> schema.OperatorT:
        """An operator of a custom kind.

        Args:
          kind: its custom code.
          inputs, output: tensor indices.
          options: what its FlexBuffer map holds.
        """
        return schema.OperatorT(
            opcodeIndex=self._opcode(kind),
            inputs=np.array(inputs, np.int32),
            outputs=np.array([output], np.int32),
            customOptions=np.frombuffer(encode_options(options), np.uint8),
        )

    def builtin(self, kind: str, inputs: Sequence[int], output: int, options: Any) -> schema.OperatorT:
        """An operator of TFLite's own.

        Args:
          kind: as `BuiltinOperator` of the schema spells it.
          inputs, output: tensor indices.
          options: a table of the schema, whose name is their type's; None of an op without.
        """
        name = "NONE" if options is None else type(options).__name__.removesuffix("T")
        return schema.OperatorT(
            opcodeIndex=self._builtin_opcode(getattr(schema.BuiltinOperator, kind)),
            inputs=np.array(inputs, np.int32),
            outputs=np.array([output], np.int32),
            builtinOptionsType=getattr(schema.BuiltinOptions, name),
            builtinOptions=options,
        )

    def reshape(self, source: int, output: int) -> schema.OperatorT:
        """A RESHAPE to the shape that the output has."""
        shape = np.array(self.subgraph.tensors[output].shape, np.int32)
        return self.builtin("RESHAPE", [source], output, schema.ReshapeOptionsT(newShape=shape))

    def _builtin_opcode(self, builtin: int) -> int:
        codes = self.model.operatorCodes
        for index, code in enumerate(codes):
            if max(code.builtinCode, code.deprecatedBuiltinCode) == builtin:
                return index
        codes.append(schema.OperatorCodeT(builtinCode=builtin, deprecatedBuiltinCode=builtin, version=1))
        return len(codes) - 1

    def _opcode(self, kind: str) -> int:
        codes = self.model.operatorCodes
        name = kind.encode()
        for index, code in enumerate(codes):
            if code.customCode == name:
                return index
        custom = schema.BuiltinOperator.CUSTOM
        codes.append(schema.OperatorCodeT(builtinCode=custom, deprecatedBuiltinCode=custom, customCode=name, version=1))
        return len(codes) - 1


def packed_shape(shape: Sequence[int], bits: int) -> tuple[int, ...]:
    """The shape in bytes of a feature map [..., C] of this width."""
    return (*shape[:-1], run_bytes(shape[-1], bits))
