"""Changes a `.tflite` in one place, to make the odd and the broken models that tests need."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from tests.support.tiny_models import Handle, TinyModel
from tflm_quantmcu.tflite import schema
from tflm_quantmcu.tflite.writer import write_model


def edited(model: bytes, edit: Callable[[schema.ModelT], object]) -> bytes:
    """The model after `edit` has changed its object tree."""
    tree = schema.ModelT.InitFromPackedBuf(model)
    edit(tree)
    return write_model(tree)


def with_tensor(model: bytes, index: int, **fields: Any) -> bytes:
    """The model with other fields of one tensor."""

    def edit(tree: schema.ModelT) -> None:
        for name, value in fields.items():
            setattr(tree.subgraphs[0].tensors[index], name, value)

    return edited(model, edit)


def with_metadata(model: bytes, contents: Mapping[str, bytes]) -> bytes:
    """The model with these metadata buffers added."""

    def edit(tree: schema.ModelT) -> None:
        tree.metadata = list(tree.metadata or ())
        for name, data in contents.items():
            tree.buffers.append(schema.BufferT(data=np.frombuffer(data, np.uint8)))
            tree.metadata.append(schema.MetadataT(name=name, buffer=len(tree.buffers) - 1))

    return edited(model, edit)


def with_int4_weights(model: bytes, tensors: Sequence[int]) -> bytes:
    """The model with these int8 weights, all from -8 to 7, packed as INT4."""

    def edit(tree: schema.ModelT) -> None:
        for tensor in (tree.subgraphs[0].tensors[t] for t in tensors):
            values = np.asarray(tree.buffers[tensor.buffer].data, np.uint8) & 15
            padded = np.append(values, np.zeros(values.size % 2, np.uint8))
            tree.buffers[tensor.buffer].data = padded[::2] | padded[1::2] << 4
            tensor.type = schema.TensorType.INT4

    return edited(model, edit)


class StockModel(TinyModel):
    """A TinyModel that takes any builtin op."""

    def add_output(self, like: Handle) -> Handle:
        """Another output of the last op, of the shape and format of one."""
        output = self._map(like.shape, like.scale, like.zero_point)
        self._graph.operators[-1].outputs.append(output.index)
        return output

    def state(self, shape: tuple[int, ...], *, scale: float, zero_point: int = 0, dtype: str = "int8") -> Handle:
        """What an op keeps from one inference to the next."""
        handle = self._map(shape, scale, zero_point, dtype=dtype)
        self._graph.tensors[handle.index].isVariable = True
        return handle

    def stock(
        self,
        kind: str,
        inputs: list[Handle],
        options: Any,
        shape: tuple[int, ...],
        *,
        scale: float | None = None,
        zero_point: int | None = None,
        dtype: str = "int8",
    ) -> Handle:
        """Any op; the output has the first input's format where none is given."""
        return self._op(kind, [h.index for h in inputs], options, inputs[0], shape, scale, zero_point, dtype=dtype)

    def transpose_conv(
        self,
        x: Handle,
        filter: np.ndarray,
        bias: np.ndarray | None = None,
        *,
        size: tuple[int, int] | None = None,
        filter_scales: Sequence[float] = (0.01,),
        stride: tuple[int, int] = (2, 2),
        padding: str = "SAME",
        activation: str = "NONE",
        scale: float | None = None,
        zero_point: int | None = None,
    ) -> Handle:
        """TRANSPOSE_CONV; filter int8 [O, Kh, Kw, I]; by default of the size that Keras gives it."""
        options = schema.TransposeConvOptionsT(strideH=stride[0], strideW=stride[1])
        options.padding = getattr(schema.Padding, padding)
        options.fusedActivationFunction = getattr(schema.ActivationFunctionType, activation)
        more = [0 if padding == "SAME" else max(k - s, 0) for k, s in zip(filter.shape[1:3], stride, strict=True)]
        height, width = size or [n * s + m for n, s, m in zip(x.shape[1:3], stride, more, strict=True)]
        shape = (1, height, width, filter.shape[0])
        _, *weights = self._convolution_inputs(x, filter, bias, filter_scales, 0)
        inputs = [self.constant(np.array(shape, np.int32)).index, weights[0], x.index, *weights[1:]]
        return self._op("TRANSPOSE_CONV", inputs, options, x, shape, scale, zero_point)
