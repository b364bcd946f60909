"""Builds tiny int8 `.tflite` models op by op: a test says exactly which network it means."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from typing import Any

import flatbuffers
import numpy as np

from tflm_quantmcu.tflite import schema

Pair = tuple[int, int]


@dataclasses.dataclass(frozen=True)
class Handle:
    """A feature map of a model under construction."""

    index: int
    shape: tuple[int, ...]
    scale: float
    zero_point: int


class TinyModel:
    """One subgraph, built front to back; every method adds an op and returns its output.

    Scales and zero points of outputs are the caller's, the input's where they are left out.
    """

    def __init__(self) -> None:
        self._model = schema.ModelT()
        self._model.version = 3
        self._model.buffers = [schema.BufferT()]
        self._model.operatorCodes = []
        self._graph = schema.SubGraphT()
        self._graph.tensors, self._graph.operators, self._graph.inputs = [], [], []
        self._model.subgraphs = [self._graph]

    def build(self, *outputs: Handle) -> bytes:
        """The `.tflite` with these outputs."""
        self._graph.outputs = [h.index for h in outputs]
        builder = flatbuffers.Builder(1024)
        builder.Finish(self._model.Pack(builder), file_identifier=b"TFL3")
        return bytes(builder.Output())

    def input(self, shape: Sequence[int], *, scale: float = 0.05, zero_point: int = 0, dtype: str = "int8") -> Handle:
        handle = self._map(shape, scale, zero_point, dtype=dtype)
        self._graph.inputs.append(handle.index)
        return handle

    def conv2d(
        self,
        x: Handle,
        filter: np.ndarray,
        bias: np.ndarray | None = None,
        *,
        filter_scales: Sequence[float] = (0.01,),
        stride: Pair = (1, 1),
        dilation: Pair = (1, 1),
        padding: str = "SAME",
        activation: str = "NONE",
        scale: float | None = None,
        zero_point: int | None = None,
    ) -> Handle:
        """CONV_2D; filter int8 [O, Kh, Kw, I]."""
        options = schema.Conv2DOptionsT()
        options.strideH, options.strideW = stride
        options.dilationHFactor, options.dilationWFactor = dilation
        options.padding = getattr(schema.Padding, padding)
        options.fusedActivationFunction = getattr(schema.ActivationFunctionType, activation)
        size = _window_output(x.shape, filter.shape[1:3], stride, dilation, padding)
        inputs = self._convolution_inputs(x, filter, bias, filter_scales, 0)
        return self._op("CONV_2D", inputs, options, x, (x.shape[0], *size, filter.shape[0]), scale, zero_point)

    def depthwise_conv2d(
        self,
        x: Handle,
        filter: np.ndarray,
        bias: np.ndarray | None = None,
        *,
        filter_scales: Sequence[float] = (0.01,),
        stride: Pair = (1, 1),
        dilation: Pair = (1, 1),
        padding: str = "SAME",
        activation: str = "NONE",
        scale: float | None = None,
        zero_point: int | None = None,
    ) -> Handle:
        """DEPTHWISE_CONV_2D; filter int8 [Kh, Kw, O], O a multiple of the input's channels."""
        options = schema.DepthwiseConv2DOptionsT()
        options.strideH, options.strideW = stride
        options.dilationHFactor, options.dilationWFactor = dilation
        options.depthMultiplier = filter.shape[2] // x.shape[3]
        options.padding = getattr(schema.Padding, padding)
        options.fusedActivationFunction = getattr(schema.ActivationFunctionType, activation)
        size = _window_output(x.shape, filter.shape[:2], stride, dilation, padding)
        inputs = self._convolution_inputs(x, filter[None], bias, filter_scales, 3)
        return self._op(
            "DEPTHWISE_CONV_2D", inputs, options, x, (x.shape[0], *size, filter.shape[2]), scale, zero_point
        )

    def fully_connected(
        self,
        x: Handle,
        filter: np.ndarray,
        bias: np.ndarray | None = None,
        *,
        filter_scales: Sequence[float] = (0.01,),
        activation: str = "NONE",
        scale: float | None = None,
        zero_point: int | None = None,
    ) -> Handle:
        """FULLY_CONNECTED; filter int8 [O, I]."""
        options = schema.FullyConnectedOptionsT()
        options.fusedActivationFunction = getattr(schema.ActivationFunctionType, activation)
        inputs = self._convolution_inputs(x, filter, bias, filter_scales, 0)
        return self._op("FULLY_CONNECTED", inputs, options, x, (1, filter.shape[0]), scale, zero_point)

    def add(
        self,
        x0: Handle,
        x1: Handle,
        *,
        activation: str = "NONE",
        scale: float | None = None,
        zero_point: int | None = None,
    ) -> Handle:
        options = schema.AddOptionsT()
        options.fusedActivationFunction = getattr(schema.ActivationFunctionType, activation)
        shape = np.broadcast_shapes(x0.shape, x1.shape)
        return self._op("ADD", [x0.index, x1.index], options, x0, shape, scale, zero_point)

    def mul(
        self,
        x0: Handle,
        x1: Handle,
        *,
        activation: str = "NONE",
        scale: float | None = None,
        zero_point: int | None = None,
    ) -> Handle:
        options = schema.MulOptionsT()
        options.fusedActivationFunction = getattr(schema.ActivationFunctionType, activation)
        shape = np.broadcast_shapes(x0.shape, x1.shape)
        return self._op("MUL", [x0.index, x1.index], options, x0, shape, scale, zero_point)

    def constant(self, values: np.ndarray, *, scale: float | None = None, zero_point: int = 0) -> Handle:
        """A constant as an operand, quantised where a scale is given."""
        scales, zero_points = ([], []) if scale is None else ([scale], [zero_point])
        return Handle(self._constant(values, scales, zero_points), values.shape, scale or 0.0, zero_point)

    def weights(self, values: np.ndarray, scales: Sequence[float]) -> Handle:
        """A constant with a scale a row, or one."""
        return Handle(self._constant(values, scales, [0] * len(scales)), values.shape, scales[0], 0)

    def concatenation(self, sources: Sequence[Handle], axis: int) -> Handle:
        options = schema.ConcatenationOptionsT()
        options.axis = axis
        shape = list(sources[0].shape)
        shape[axis] = sum(x.shape[axis] for x in sources)
        return self._op("CONCATENATION", [x.index for x in sources], options, sources[0], shape)

    def transpose(self, x: Handle, order: Sequence[int]) -> Handle:
        options = schema.TransposeOptionsT()
        inputs = [x.index, self._constant(np.array(order, np.int32))]
        return self._op("TRANSPOSE", inputs, options, x, [x.shape[d] for d in order])

    def logistic(self, x: Handle) -> Handle:
        return self._op("LOGISTIC", [x.index], None, x, x.shape, 1 / 256, -128)

    def hard_swish(self, x: Handle, *, scale: float, zero_point: int) -> Handle:
        return self._op("HARD_SWISH", [x.index], schema.HardSwishOptionsT(), x, x.shape, scale, zero_point)

    def tanh(self, x: Handle) -> Handle:
        return self._op("TANH", [x.index], None, x, x.shape, 1 / 128, 0)

    def average_pool2d(self, x: Handle, kernel: Pair, **window: Any) -> Handle:
        """AVERAGE_POOL_2D; `stride`, `padding`, `activation` as of `conv2d`."""
        return self._pool2d("AVERAGE_POOL_2D", x, kernel, **window)

    def max_pool2d(self, x: Handle, kernel: Pair, **window: Any) -> Handle:
        """MAX_POOL_2D; `stride`, `padding`, `activation` as of `conv2d`."""
        return self._pool2d("MAX_POOL_2D", x, kernel, **window)

    def pad(self, x: Handle, pads: Sequence[Pair], *, value: int | None = None) -> Handle:
        """PAD, or PADV2 where the value is given; pads: (before, after) a dimension."""
        shape = tuple(n + before + after for n, (before, after) in zip(x.shape, pads, strict=True))
        inputs = [x.index, self._constant(np.array(pads, np.int32))]
        if value is None:
            return self._op("PAD", inputs, schema.PadOptionsT(), x, shape)
        fill = self._constant(np.array([value], np.int8), [x.scale], [x.zero_point])
        return self._op("PADV2", [*inputs, fill], schema.PadV2OptionsT(), x, shape)

    def relu(self, x: Handle, *, scale: float | None = None, zero_point: int | None = None) -> Handle:
        return self._op("RELU", [x.index], None, x, x.shape, scale, zero_point)

    def relu6(self, x: Handle) -> Handle:
        return self._op("RELU6", [x.index], None, x, x.shape)

    def quantize(self, x: Handle, *, scale: float, zero_point: int, dtype: str = "int8") -> Handle:
        options = schema.QuantizeOptionsT()
        return self._op("QUANTIZE", [x.index], options, x, x.shape, scale, zero_point, dtype=dtype)

    def dequantize(self, x: Handle) -> Handle:
        options = schema.DequantizeOptionsT()
        return self._op("DEQUANTIZE", [x.index], options, x, x.shape, dtype="float32")

    def reshape(
        self,
        x: Handle,
        shape: Sequence[int],
        *,
        scale: float | None = None,
        zero_point: int | None = None,
    ) -> Handle:
        """RESHAPE, which copies bytes whatever the scales are."""
        options = schema.ReshapeOptionsT()
        options.newShape = list(shape)
        inputs = [x.index, self._constant(np.array(shape, np.int32))]
        return self._op("RESHAPE", inputs, options, x, shape, scale, zero_point)

    def mean(
        self,
        x: Handle,
        axes: Sequence[int] = (1, 2),
        *,
        keep_dims: bool = False,
        scale: float | None = None,
        zero_point: int | None = None,
    ) -> Handle:
        options = schema.ReducerOptionsT()
        options.keepDims = keep_dims
        reduced = {a % len(x.shape) for a in axes}
        shape = [1 if a in reduced else n for a, n in enumerate(x.shape) if keep_dims or a not in reduced]
        inputs = [x.index, self._constant(np.array(axes, np.int32))]
        return self._op("MEAN", inputs, options, x, shape, scale, zero_point)

    def softmax(self, x: Handle, *, beta: float = 1.0) -> Handle:
        options = schema.SoftmaxOptionsT()
        options.beta = beta
        return self._op("SOFTMAX", [x.index], options, x, x.shape, 1 / 256, -128)

    def leaky_relu(
        self, x: Handle, alpha: float, *, scale: float | None = None, zero_point: int | None = None
    ) -> Handle:
        options = schema.LeakyReluOptionsT()
        options.alpha = alpha
        return self._op("LEAKY_RELU", [x.index], options, x, x.shape, scale, zero_point)

    def elu(self, x: Handle, *, scale: float | None = None, zero_point: int | None = None) -> Handle:
        return self._op("ELU", [x.index], None, x, x.shape, scale, zero_point)

    def silu(self, x: Handle, *, scale: float | None = None, zero_point: int | None = None, **options: Any) -> Handle:
        """LOGISTIC, and MUL of what it reads with what it gives."""
        return self.mul(x, self.logistic(x), scale=scale, zero_point=zero_point, **options)

    def resize_nearest(
        self, x: Handle, size: Pair, *, align_corners: bool = False, half_pixel_centers: bool = False
    ) -> Handle:
        options = schema.ResizeNearestNeighborOptionsT()
        options.alignCorners, options.halfPixelCenters = align_corners, half_pixel_centers
        inputs = [x.index, self._constant(np.array(size, np.int32))]
        return self._op("RESIZE_NEAREST_NEIGHBOR", inputs, options, x, (x.shape[0], *size, x.shape[3]))

    def _pool2d(
        self,
        kind: str,
        x: Handle,
        kernel: Pair,
        *,
        stride: Pair = (1, 1),
        padding: str = "VALID",
        activation: str = "NONE",
    ) -> Handle:
        options = schema.Pool2DOptionsT()
        options.filterHeight, options.filterWidth = kernel
        options.strideH, options.strideW = stride
        options.padding = getattr(schema.Padding, padding)
        options.fusedActivationFunction = getattr(schema.ActivationFunctionType, activation)
        size = _window_output(x.shape, kernel, stride, (1, 1), padding)
        return self._op(kind, [x.index], options, x, (x.shape[0], *size, x.shape[3]))

    def _convolution_inputs(
        self,
        x: Handle,
        filter: np.ndarray,
        bias: np.ndarray | None,
        scales: Sequence[float],
        axis: int,
    ) -> list[int]:
        zeros = [0] * len(scales)
        inputs = [x.index, self._constant(filter.astype(np.int8), scales, zeros, axis)]
        if bias is not None:
            bias_scales = [x.scale * s for s in scales]
            inputs.append(self._constant(bias.astype(np.int32), bias_scales, zeros))
        return inputs

    def _constant(
        self,
        values: np.ndarray,
        scales: Sequence[float] = (),
        zero_points: Sequence[int] = (),
        axis: int = 0,
    ) -> int:
        buffer = schema.BufferT()
        buffer.data = np.frombuffer(values.tobytes(), np.uint8)
        self._model.buffers.append(buffer)
        tensor = self._tensor("constant", values.shape, str(values.dtype), scales, zero_points)
        tensor.quantization.quantizedDimension = axis
        tensor.buffer = len(self._model.buffers) - 1
        return len(self._graph.tensors) - 1

    def _map(self, shape: Sequence[int], scale: float, zero_point: int, *, dtype: str = "int8") -> Handle:
        quantized = ([scale], [zero_point]) if dtype != "float32" else ([], [])
        self._tensor("map", shape, dtype, *quantized)
        scale = float(np.float32(scale))
        return Handle(len(self._graph.tensors) - 1, tuple(shape), scale, zero_point)

    def _tensor(
        self,
        prefix: str,
        shape: Sequence[int],
        dtype: str,
        scales: Sequence[float],
        zero_points: Sequence[int],
    ) -> Any:
        tensor = schema.TensorT()
        tensor.name = f"{prefix}{len(self._graph.tensors)}"
        tensor.shape = list(shape)
        tensor.type = getattr(schema.TensorType, dtype.upper())
        tensor.buffer = 0
        tensor.quantization = schema.QuantizationParametersT()
        tensor.quantization.scale = list(scales)
        tensor.quantization.zeroPoint = list(zero_points)
        self._graph.tensors.append(tensor)
        return tensor

    def _op(
        self,
        kind: str,
        inputs: Sequence[int],
        options: Any,
        like: Handle,
        shape: Sequence[int],
        scale: float | None = None,
        zero_point: int | None = None,
        *,
        dtype: str = "int8",
    ) -> Handle:
        output = self._map(
            shape,
            like.scale if scale is None else scale,
            like.zero_point if zero_point is None else zero_point,
            dtype=dtype,
        )
        op = schema.OperatorT()
        op.opcodeIndex = self._opcode(getattr(schema.BuiltinOperator, kind))
        op.inputs, op.outputs = list(inputs), [output.index]
        if options is not None:
            name = type(options).__name__.removesuffix("T")
            op.builtinOptionsType = getattr(schema.BuiltinOptions, name)
            op.builtinOptions = options
        self._graph.operators.append(op)
        return output

    def _opcode(self, builtin: int) -> int:
        for index, code in enumerate(self._model.operatorCodes):
            if code.builtinCode == builtin:
                return index
        code = schema.OperatorCodeT()
        code.builtinCode, code.deprecatedBuiltinCode, code.version = builtin, min(builtin, 127), 1
        self._model.operatorCodes.append(code)
        return len(self._model.operatorCodes) - 1


def _window_output(shape: Sequence[int], kernel: Sequence[int], stride: Pair, dilation: Pair, padding: str) -> Pair:
    if padding == "SAME":
        height, width = (math.ceil(n / s) for n, s in zip(shape[1:3], stride, strict=True))
    else:
        height, width = (
            (n - (k - 1) * d - 1) // s + 1 for n, k, s, d in zip(shape[1:3], kernel, stride, dilation, strict=True)
        )
    return height, width
