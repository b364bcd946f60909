"""A model under conversion: the one mutable thing that passes work on."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from tflite_micro.tensorflow.lite.python import schema_py_generated as schema

from tflm_quantmcu.custom_ops import encode_options
from tflm_quantmcu.packing import run_bytes
from tflm_quantmcu.types import Format, ModelGraph, PrecisionPlan


@dataclasses.dataclass
class Rewrite:
    """A model under conversion.

    `graph` stays the model as read, and tensors are only added, so its indices hold in every pass but the last.

    Attributes:
      model: the file's object tree, changed by passes.
      graph: as read.
      plan: what to do.
      slots: for each op of `graph` the operators that stand in its place now.
      strip_metadata: leave out all that the device does not need.
    """

    model: schema.ModelT
    graph: ModelGraph
    plan: PrecisionPlan
    slots: list[list[schema.OperatorT]]
    strip_metadata: bool = False
    _constants: dict[tuple[bytes, str, tuple[int, ...]], int] = dataclasses.field(default_factory=dict)

    @property
    def tensors(self) -> list[schema.TensorT]:
        return self.model.subgraphs[0].tensors

    def format_of(self, tensor: int) -> Format:
        """The format that the plan gives an int8 feature map outside stages."""
        read = self.graph.tensors[tensor]
        return self.plan.formats.get(read.name, read.format)

    def is_reformatted(self, tensor: int) -> bool:
        """Whether the plan gives the tensor another format than the model's."""
        read = self.graph.tensors[tensor]
        chosen = self.plan.formats.get(read.name)
        return chosen is not None and chosen != read.format

    def set_format(self, tensor: int, shape: Sequence[int], format: Format) -> None:
        """Makes a tensor a packed feature map [..., C] (docs/format.md F2)."""
        changed = self.tensors[tensor]
        changed.type = schema.TensorType.INT8
        changed.shape = np.array(packed_shape(shape, format.bits), np.int32)
        changed.shapeSignature = None
        changed.quantization = schema.QuantizationParametersT(
            scale=np.array([format.scale], np.float32),
            zeroPoint=np.array([format.zero_point], np.int64),
        )

    def add_map(self, name: str, shape: Sequence[int], format: Format) -> int:
        """A new packed feature map [..., C]; its index."""
        self.tensors.append(schema.TensorT(name=name, buffer=0))
        index = len(self.tensors) - 1
        self.set_format(index, shape, format)
        return index

    def add_constant(self, name: str, values: np.ndarray) -> int:
        """A constant int8 or int32 tensor; equal ones share one. Its index."""
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
            self.tensors.append(tensor)
            self._constants[key] = len(self.tensors) - 1
        return self._constants[key]

    def custom_operator(
        self, kind: str, inputs: Sequence[int], output: int, options: Mapping[str, Any]
    ) -> schema.OperatorT:
        """An operator of one of our kinds; placing it into a slot is the caller's."""
        return schema.OperatorT(
            opcodeIndex=self._opcode(kind),
            inputs=np.array(inputs, np.int32),
            outputs=np.array([output], np.int32),
            customOptions=np.frombuffer(encode_options(options), np.uint8),
        )

    def _opcode(self, kind: str) -> int:
        codes = self.model.operatorCodes
        name = kind.encode()
        for index, code in enumerate(codes):
            if code.customCode == name:
                return index
        custom = schema.BuiltinOperator.CUSTOM
        codes.append(
            schema.OperatorCodeT(
                builtinCode=custom, deprecatedBuiltinCode=custom, customCode=name, version=1
            )
        )
        return len(codes) - 1


def packed_shape(shape: Sequence[int], bits: int) -> tuple[int, ...]:
    """The shape in bytes of a feature map [..., C] of this width."""
    return (*shape[:-1], run_bytes(shape[-1], bits))
