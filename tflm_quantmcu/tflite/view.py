"""A model as text: one line an op in execution order, tensors as T# as TFLite's own tools write them, Keras' layers."""

from __future__ import annotations

from tflm_quantmcu.graph.layer_names import layer_names
from tflm_quantmcu.graph.subgraphs import why_whole
from tflm_quantmcu.graph.types import ModelGraph, Op, Tensor
from tflm_quantmcu.stage.custom_ops import PATCH_STAGE, PREFIX, decode_options


def view_graph(graph: ModelGraph) -> str:
    """The listing.

    Raises:
      UnsupportedModelError: the options of one of our ops cannot be read.
    """
    if graph.subgraphs:
        parts = [f"subgraph {n}\n{view_graph(part)}" for n, part in enumerate(graph.subgraphs)]
        return "\n\n".join([*parts, why_whole(graph)])
    lines = [f"input  {_tensor(graph.tensors[t])}" for t in graph.inputs]
    if graph.streamed_input is not None:
        streamed = graph.streamed_input
        lines.append(f"input  '{streamed.label}' {streamed.dtype}{_shape(streamed)}, streamed")
    lines += [_op(graph, op) for op in graph.ops]
    lines += [f"output T{t}" for t in graph.outputs]
    return "\n".join(lines)


def _op(graph: ModelGraph, op: Op) -> str:
    inputs = ", ".join("-" if t < 0 else _argument(graph.tensors[t]) for t in op.inputs)
    outputs = ", ".join(_tensor(graph.tensors[t]) for t in op.outputs)
    layer = graph.derived(layer_names).get(graph.tensors[op.outputs[0]].name) if op.outputs else None
    named = (f"layer '{layer}'",) if layer else ()
    details = " ".join((*named, *_window(op), *_custom(op)))
    return f"{op.index:<3} {op.kind}({inputs}) -> {outputs}" + (f"  {details}" if details else "")


def _argument(tensor: Tensor) -> str:
    if not tensor.is_constant:
        return f"T{tensor.index}"
    return f"T{tensor.index} {tensor.dtype}{_shape(tensor)}"


def _tensor(tensor: Tensor) -> str:
    return f"T{tensor.index} '{tensor.label}' {tensor.dtype}{_shape(tensor)}"


def _shape(tensor: Tensor) -> str:
    return f"[{','.join(map(str, tensor.shape))}]"


def _window(op: Op) -> tuple[str, ...]:
    parts = []
    if op.window:
        w = op.window
        parts.append(f"{w.kernel_height}x{w.kernel_width} stride {w.stride_height}x{w.stride_width}")
        if (w.dilation_height, w.dilation_width) != (1, 1):
            parts.append(f"dilation {w.dilation_height}x{w.dilation_width}")
        if (w.pad_top, w.pad_left) != (0, 0):
            parts.append(f"pad {w.pad_top},{w.pad_left}")
    if op.pads:
        parts.append("pads " + " ".join(f"{before},{after}" for before, after in op.pads))
    if op.activation != "NONE":
        parts.append(op.activation)
    return tuple(parts)


def _custom(op: Op) -> tuple[str, ...]:
    if not op.kind.startswith(PREFIX):
        return ()
    options = decode_options(op.custom_options)
    if op.kind == PATCH_STAGE:
        return (
            f"{options.get('num_ops')} ops, tiles {options.get('tile_height')}x{options.get('tile_width')},",
            f"{options.get('num_classes')} classes, {options.get('cache_mode')}",
        )
    bits = [options.get(key) for key in ("input_bits", "input0_bits", "input1_bits")]
    source = "+".join(f"a{b}" for b in bits if b is not None)
    weights = f"w{options['weight_bits']}" if "weight_bits" in options else ""
    return (f"{source}{weights}->a{options.get('output_bits')}",)
