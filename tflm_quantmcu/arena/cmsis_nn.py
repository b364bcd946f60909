"""What TFLM built with CMSIS-NN's kernels requests and keeps for an op beyond its data, in formulas.

In: an op that stays TFLite's own, and the variant of our kernels that its core runs: `dsp` and `mve` name the
instructions that CMSIS-NN is built for too, `reference` its plain C. Out: bytes. Refuses the few ops of which they are
not known.
Source: TFLM's micro/kernels/cmsis_nn, built for speed as by its Makefile, and arm_*_get_buffer_size of CMSIS-NN as GCC
compiles it.
"""

from __future__ import annotations

from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.graph.target import DSP, MVE
from tflm_quantmcu.graph.types import ModelGraph, Op, Tensor, Window
from tflm_quantmcu.placement.memory import align

_HALF, _WORD = 2, 4
_VECTOR = 16  # bytes of an MVE register
_COLUMNS = 4  # of im2col that the MVE kernels keep at once
_DEPTHWISE_BLOCK = 124  # CH_IN_BLOCK_MVE
_ONE_CHANNEL = 1  # outputs above which a depthwise convolution of one channel runs as a convolution
_NOT_KNOWN = ("BATCH_MATMUL", "TRANSPOSE_CONV", "UNIDIRECTIONAL_SEQUENCE_LSTM")


def cmsis_nn_scratch_bytes(graph: ModelGraph, op: Op, variant: str) -> tuple[int, ...] | None:
    """[buffer]; None where the op's kernel requests what TFLM's reference kernel does.

    Raises:
      IndexError, ValueError: the op has not the inputs of its kind.
      UnsupportedModelError: an op of which it is not known.
    """
    if op.kind in _NOT_KNOWN:
        raise _not_known(op, "")
    if op.kind not in ("AVERAGE_POOL_2D", "CONV_2D", "DEPTHWISE_CONV_2D", "FULLY_CONNECTED"):
        return None
    source, output = graph.tensors[op.inputs[0]], graph.tensors[op.outputs[0]]
    if source.dtype == "float32":
        return ()
    if source.dtype != "int8":
        raise _not_known(op, f" of {source.dtype}")
    if op.kind == "AVERAGE_POOL_2D":
        return _buffer(_WORD * source.shape[3] if variant == DSP else 0)
    filter = graph.tensors[op.inputs[1]]
    if op.kind == "FULLY_CONNECTED":
        return _fully_connected(graph, op, variant)
    assert op.window is not None
    size = _depthwise if op.traits.is_depthwise else _convolution
    return _buffer(size(source, filter, output, op.window, variant))


def cmsis_nn_kept_bytes(graph: ModelGraph, op: Op, variant: str) -> tuple[int, ...]:
    """The bytes of each allocation that stays beyond the op's data and tables: on MVE the sums of filters that are
    constant."""
    if variant != MVE or op.kind not in ("FULLY_CONNECTED", "SVDF"):
        return ()
    filter = graph.tensors[op.inputs[1]]
    if op.kind == "SVDF":
        return _buffer(_WORD * filter.shape[0] if graph.tensors[op.inputs[0]].dtype == "int8" else 0)
    return _buffer(_sums(graph, op) if _are_constant(graph, op) else 0)


def _not_known(op: Op, what: str) -> UnsupportedModelError:
    return UnsupportedModelError(
        f"how much scratch CMSIS-NN's kernel of {op.kind}{what} (op {op.index}) takes is not known; it is for "
        "--stock_kernels quantmcu and reference"
    )


def _buffer(num_bytes: int) -> tuple[int, ...]:
    return (num_bytes,) if num_bytes else ()


def _fully_connected(graph: ModelGraph, op: Op, variant: str) -> tuple[int, ...]:
    """Several rows run as a convolution, which takes multipliers a channel."""
    filter, output = graph.tensors[op.inputs[1]], graph.tensors[op.outputs[0]]
    if filter.dtype == "int8" and _runs_as_convolution(graph, op):
        return _buffer(2 * _WORD * output.shape[-1] if len(filter.scales) <= 1 else 0)
    return _buffer(_sums(graph, op) if variant == MVE and not _are_constant(graph, op) else 0)


def _runs_as_convolution(graph: ModelGraph, op: Op) -> bool:
    filter, output = graph.tensors[op.inputs[1]], graph.tensors[op.outputs[0]]
    return len(output.shape) > 2 and filter.shape[-1] % 4 == 0


def _sums(graph: ModelGraph, op: Op) -> int:
    filter, output = graph.tensors[op.inputs[1]], graph.tensors[op.outputs[0]]
    return 0 if filter.dtype != "int8" or _runs_as_convolution(graph, op) else _WORD * output.shape[-1]


def _are_constant(graph: ModelGraph, op: Op) -> bool:
    return all(graph.tensors[t].is_constant for t in op.inputs[1:] if t >= 0)


def _convolution(source: Tensor, filter: Tensor, output: Tensor, window: Window, variant: str) -> int:
    has_own_channels = filter.shape[3] == source.shape[3]
    is_dense = has_own_channels and window.dilation_height == window.dilation_width == 1
    if is_dense and _is_one_pixel(window):
        return 0
    is_row = source.shape[1] == window.kernel_height == 1
    if is_dense and is_row and window.stride_width * source.shape[3] % 4 == 0 and variant == MVE:
        return _row(source, output, window)
    return _columns(source.shape[3], window, variant)


def _is_one_pixel(window: Window) -> bool:
    return window.kernel_height == window.kernel_width == 1 and window.pad_top == window.pad_left == 0


def _columns(channels: int, window: Window, variant: str) -> int:
    """Bytes of im2col's columns."""
    length = channels * window.kernel_height * window.kernel_width
    if variant == MVE:
        return _COLUMNS * align(length, _VECTOR)
    return 2 * _HALF * align(length, 4)


def _row(source: Tensor, output: Tensor, window: Window) -> int:
    """Bytes of a convolution along one row on MVE."""
    stride, channels, pad = window.stride_width, source.shape[3], window.pad_left
    total = (output.shape[2] - 1) * stride + window.kernel_width - source.shape[2]
    uneven = total - int(total / 2) * 2  # C's remainder
    right = max(1, int((pad + uneven + stride - 1) / stride)) if pad + uneven else 0
    left = max(1, (pad + stride - 1) // stride) if pad else 0
    if right + max(output.shape[2] - right - left, 0) + left != output.shape[2]:
        return _columns(channels, window, MVE)
    at_right = right * channels if uneven else pad * channels
    taps = window.kernel_width * channels
    return max(taps + pad * channels, taps - channels + at_right)


def _depthwise(source: Tensor, filter: Tensor, output: Tensor, window: Window, variant: str) -> int:
    channels, num_outputs = source.shape[3], output.shape[3]
    taps = window.kernel_height * window.kernel_width
    is_packed = filter.dtype == "int4"
    if variant == MVE and not is_packed and channels == 1 and num_outputs > _ONE_CHANNEL:
        return _as_convolution(source, output, window) + num_outputs * taps
    is_plain = channels == num_outputs and source.shape[0] == 1
    if not is_plain or window.dilation_height != 1 or window.dilation_width != 1:
        return 0
    if variant == MVE:
        return _COLUMNS * _DEPTHWISE_BLOCK * taps
    if not is_packed and (variant != DSP or _is_three_by_three(window)):
        return 0
    return _HALF * channels * taps


def _is_three_by_three(window: Window) -> bool:
    return window.kernel_height == window.kernel_width == 3 and max(window.pad_top, window.pad_left) <= 1


def _as_convolution(source: Tensor, output: Tensor, window: Window) -> int:
    """Its filter becomes one of one channel."""
    if _is_one_pixel(window) and window.dilation_height == window.dilation_width == 1:
        return 0
    is_row = source.shape[1] == window.kernel_height == 1 and window.dilation_width == window.dilation_height == 1
    if is_row and window.stride_width % 4 == 0:
        return _row(source, output, window)
    return _columns(1, window, MVE)
