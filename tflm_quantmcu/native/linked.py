"""Which of our C++ kernels a model links: of each op those for the widths that it runs, and no others.

In: calls of kernels with their params, or a model's patch stages. Out: what emitted code names, and the functions that
come with it, as tables of code sizes call them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator
from typing import Any

from tflm_quantmcu.graph.op_kind import OpKind
from tflm_quantmcu.graph.op_kinds import OP_KINDS, op_kind
from tflm_quantmcu.graph.types import ModelGraph, Window
from tflm_quantmcu.law.kernel_calls import (
    AddParams,
    Conv2DParams,
    DepthwiseConv2DParams,
    FeatureMap,
    FullyConnectedParams,
)
from tflm_quantmcu.law.stage_kernels import Kernels
from tflm_quantmcu.native.kernel_scratch import has_widths, is_fast
from tflm_quantmcu.stage.custom_ops import PATCH_STAGE, PREFIX, decode_options, program_of
from tflm_quantmcu.stage.geometry import StageOp
from tflm_quantmcu.stage.program import StageProgram

# Those of which a core may have a variant of its own (tflm_kernels/cortex_m/kernels.h).
_CORE_KERNELS = frozenset(kind.kernel for kind in OP_KINDS.values() if kind.kernel and kind.has_variants)


@dataclasses.dataclass(frozen=True)
class Linked:
    """A kernel.

    Attributes:
      name: below the namespace quantmcu: `kernels::Conv2DOf<8, 8>`, `Conv2DAmong<88, 84>`, `reference::Softmax`.
      units: what it links (tools/code_table.py).
    """

    name: str
    units: frozenset[str]


def kernel_name(kernel: str) -> str:
    """The kernel of all widths: `kernels::X`, the core's own, or `reference::X`."""
    return f"{'kernels' if kernel in _CORE_KERNELS else 'reference'}::{kernel}"


def linked_kernel(kernel: str, calls: Iterable[Any], variant: str) -> Linked:
    """The least that takes these calls.

    Args:
      kernel: name of the C++ function.
      calls: params of each call.
      variant: of the kernels that run.
    """
    params = list(calls)
    if not has_widths(variant, kernel):
        return _named(kernel_name(kernel))
    fast = [is_fast(variant, kernel, p) for p in params]
    if not any(fast):
        return _named(f"reference::{kernel}")
    if not all(fast):
        return _named(kernel_name(kernel))
    widths = sorted({_widths(p) for p in params}, reverse=True)
    units = frozenset(f"kernels::{kernel}Of<{'x'.join(map(str, pair))}>" for pair in widths)
    if len(widths) == 1:
        return Linked(f"kernels::{kernel}Of<{', '.join(map(str, widths[0]))}>", units)
    numbers = ("".join(map(str, pair)) for pair in widths)
    return Linked(f"{kernel}Among<{', '.join(numbers)}>", units)


def _named(name: str) -> Linked:
    return Linked(name, frozenset((name,)))


def _widths(params: Any) -> tuple[int, ...]:
    """(input bits, weight bits); of a sum (bits of all maps,), or (0,) where they differ."""
    if isinstance(params, AddParams):
        bits = {m.bits for m in (params.input0, params.input1, params.output)}
        return (bits.pop(),) if len(bits) == 1 else (0,)
    return params.input.bits, params.weight_bits


def stage_kernels(graph: ModelGraph, variant: str) -> dict[str, Linked]:
    """Field of C++ Kernels -> what the model's patch stages run there; {} without a stage."""
    stages = [program_of(graph, op) for op in graph.ops if op.kind == PATCH_STAGE]
    runs: dict[str, list[Any]] = {}
    for stage in stages:
        for index, op in enumerate(stage.ops):
            for field in op.traits.stage_kernels:
                params = _stage_params(stage, op, index) if field == op.traits.snake_name else ()
                runs.setdefault(field, []).extend(params if has_widths(variant, op.traits.kernel) else ())
    functions = {f: "".join(map(str.capitalize, f.split("_"))).replace("2d", "2D") for f in runs}
    return {
        field: linked_kernel(functions[field], params, variant) if params else _named(f"kernels::{functions[field]}")
        for field, params in runs.items()
    }


def own_kernels(graph: ModelGraph, variant: str) -> dict[str, Linked]:
    """Kind of op of ours -> the kernel that the model runs it on, outside of stages, where that depends on widths."""
    runs: dict[str, list[Any]] = {}
    for op in graph.ops:
        kernel = op_kind(op.kind.removeprefix(PREFIX)).kernel if op.kind.startswith(PREFIX) else ""
        if has_widths(variant, kernel):
            runs.setdefault(op.kind, []).append(_own_params(op.kind.removeprefix(PREFIX), op.custom_options))
    return {
        kind: linked_kernel(op_kind(kind.removeprefix(PREFIX)).kernel, calls, variant) for kind, calls in runs.items()
    }


def _own_params(kind: str, custom_options: bytes) -> Any:
    """What decides the kernel of an op outside of stages."""
    options, traits = decode_options(custom_options), op_kind(kind)
    output = FeatureMap(1, 1, 1, 0, options["output_bits"], 0)
    if traits.num_maps == 2:
        factors = [(options[f"{name}_multiplier"], options[f"{name}_shift"]) for name in ("input0", "input1", "output")]
        sources = [FeatureMap(1, 1, 1, 0, options[f"input{j}_bits"], 0) for j in range(2)]
        return AddParams(sources[0], sources[1], output, (0, 0), (factors[0], factors[1], factors[2]))
    source = FeatureMap(1, 1, options["input_channels"], 0, options["input_bits"], 0)
    window = Window(**{key: options[key] for key in traits.reach.value})
    return _filter_params(traits, source, output, window, options["weight_bits"], options.get("depth_multiplier", 1))


def _filter_params(
    kind: OpKind, source: FeatureMap, output: FeatureMap, window: Window, weight_bits: int, depth_multiplier: int
) -> Any:
    if kind.is_vector:
        return FullyConnectedParams(source, output, (0, 0), weight_bits)
    if kind.is_depthwise:
        return DepthwiseConv2DParams(source, output, window, (0, 0), weight_bits, depth_multiplier)
    return Conv2DParams(source, output, window, (0, 0), weight_bits)


def kernel_table(kernels: dict[str, Linked], namespace: str = "quantmcu::kernels") -> Kernels:
    """The table of them in C++; `namespace` is what the core's own are called by."""
    return Kernels(**{field: cpp_name(kernel, namespace) for field, kernel in kernels.items()})


def cpp_name(kernel: Linked, namespace: str = "quantmcu::kernels") -> str:
    """A kernel as C++ calls it."""
    own = kernel.name.removeprefix("kernels::")
    return f"quantmcu::{kernel.name}" if own == kernel.name else f"{namespace}::{own}"


def _stage_params(stage: StageProgram, op: StageOp, index: int) -> Iterator[Any]:
    """What decides the kernel of each class's calls: widths, channels, filters and factors."""
    for formats, tables in zip(stage.formats, stage.tables, strict=True):
        *sources, output = (
            FeatureMap(1, 1, stage.shapes[m][2], 0, formats[m].bits, formats[m].zero_point)
            for m in (*op.inputs, op.output)
        )
        if len(sources) == 2:
            factors = [(multiplier, shift) for multiplier, shift in tables[index].reshape(3, 2).tolist()]
            yield AddParams(sources[0], sources[1], output, (0, 0), (factors[0], factors[1], factors[2]))
        else:
            yield _filter_params(op.traits, sources[0], output, op.window, op.weight_bits, op.depth_multiplier)
