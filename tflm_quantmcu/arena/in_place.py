"""Which ops outside of patch stages may write their output over an input that nobody reads any more.

Such an op makes each value of its output of the value at the same place of that input, in rising order, and reads it
before it writes: so do our kernels on all cores, TFLM's reference kernels and CMSIS-NN's. A SOFTMAX reads a whole row
before it writes the first value of it; a RESIZE_BILINEAR to a smaller map reads no pixel before that which it writes.
Decision: docs/decisions/0028-ops-in-place.md.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

from tflm_quantmcu.graph.types import ModelGraph, Op, Tensor
from tflm_quantmcu.lowering.network import LoweredNetwork
from tflm_quantmcu.placement.memory import ARENA_ALIGNMENT, align
from tflm_quantmcu.stage.custom_ops import PREFIX, decode_options

# TFLM's kernel does nothing where its input is its output; those of the other reshapes copy in any case.
_RESHAPE = "RESHAPE"
_OF_ONE_INPUT = frozenset(
    (
        *("ABS", "CEIL", "COS", "DEQUANTIZE", "ELU", "EXP", "FLOOR", "GELU", "HARD_SWISH", "LEAKY_RELU", "LOG"),
        *("LOGISTIC", "NEG", "PRELU", "QUANTIZE", "RELU", "RELU6", "ROUND", "RSQRT", "SIN", "SOFTMAX", "SQRT"),
        *("SQUARE", "TANH"),
    )
)
_RESIZE = "RESIZE_BILINEAR"
_OF_TWO_INPUTS = frozenset(("ADD", "DIV", "MAXIMUM", "MINIMUM", "MUL", "SQUARED_DIFFERENCE", "SUB"))
_OURS = frozenset(PREFIX + name for name in ("ADD", "LUT", "CHANNEL_LUT", "REQUANTIZE"))


def reshape_sources(graph: ModelGraph, inside: Collection[int] = ()) -> dict[int, int]:
    """Output of a RESHAPE -> the tensor that its bytes are.

    Args:
      graph: the model.
      inside: indices of ops that stages hold.
    """
    sources: dict[int, int] = {}
    for op in graph.ops:
        if op.kind != _RESHAPE or op.index in inside:
            continue
        source = graph.tensors[op.inputs[0]]
        if not (source.is_constant or source.is_variable):
            sources[op.outputs[0]] = sources.get(source.index, source.index)
    return sources


def overlays(graph: ModelGraph, op: Op) -> Mapping[int, int]:
    """The inputs that the output of an op may share bytes with, the first one best.

    Args:
      graph: the model, stock or converted.
      op: of it, no patch stage.

    Returns:
      Tensor index -> the least bytes by which that input must begin behind the output: a multiple of 16. Whether
      something reads the input later is not looked at.
    """
    num_inputs = 1 if op.kind in _OF_ONE_INPUT else 2 if op.kind in _OF_TWO_INPUTS | _OURS else 0
    if op.kind in _OURS and not _keeps_places(decode_options(op.custom_options)):
        return {}
    output, found = graph.tensors[op.outputs[0]], {}
    if op.kind == _RESIZE and _shrinks(graph.tensors[op.inputs[0]], output):
        return {op.inputs[0]: 0}
    for source in (graph.tensors[t] for t in op.inputs[:num_inputs] if t >= 0):
        if source.is_constant or source.is_variable or output.is_variable or source.shape != output.shape:
            continue
        num_bytes, output_bytes = (t.num_bytes for t in (source, output))
        if num_bytes == output_bytes or num_inputs == 1:
            found[source.index] = align(max(0, output_bytes - num_bytes), ARENA_ALIGNMENT)
    return found


def _shrinks(source: Tensor, output: Tensor) -> bool:
    """Whether a resize has no more rows and columns than its input: then no pixel is made of one before its place."""
    is_map = len(source.shape) == len(output.shape) == 4 and not (source.is_constant or source.is_variable)
    return is_map and all(n <= m for m, n in zip(source.shape, output.shape, strict=True))


def eight_bit_overlays(graph: ModelGraph, op: Op, tensor_bytes: Sequence[int]) -> Mapping[int, int]:
    """The `overlays` of an op of a model that is yet to be converted, but for maps that will have fewer bits.

    Args:
      graph: the model.
      op: of it.
      tensor_bytes: [tensor] that the arena will hold.
    """

    def is_whole(tensor: int) -> bool:
        return tensor_bytes[tensor] >= graph.tensors[tensor].num_bytes

    joined = LoweredNetwork.of(graph).reads(op)[len(op.inputs) :]  # what one table reads in place of the op's inputs
    found = dict.fromkeys(joined, 0) or overlays(graph, op)
    return {t: n for t, n in found.items() if is_whole(t)} if found and is_whole(op.outputs[0]) else {}


def _keeps_places(options: Mapping[str, object]) -> bool:
    """Whether an op of ours has 8 bits everywhere, and neither pads nor crops."""
    widths = [value for key, value in options.items() if key.endswith("_bits")]
    moves = [value for key, value in options.items() if key.endswith(("_top", "_left"))]
    return all(bits == 8 for bits in widths) and not any(moves)
