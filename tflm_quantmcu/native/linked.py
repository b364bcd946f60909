"""Which of our C++ kernels a model links: of each op those for the widths that it runs, and no others.

In: calls of kernels with their params, or a model's patch stages. Out: what emitted code names, and the functions that
come with it, as tables of code sizes call them.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Iterator
from typing import Any

import numpy as np

from tflm_quantmcu.graph.op_kind import OpKind
from tflm_quantmcu.graph.op_kinds import OP_KINDS, op_kind
from tflm_quantmcu.graph.types import ModelGraph, Op, Window
from tflm_quantmcu.law.kernel_calls import (
    AddParams,
    Conv2DParams,
    DepthwiseConv2DParams,
    FeatureMap,
    FullyConnectedParams,
    KernelCall,
)
from tflm_quantmcu.law.stage_kernels import Kernels
from tflm_quantmcu.lowering.network import LoweredNetwork
from tflm_quantmcu.lowering.ops import LoweredOp
from tflm_quantmcu.native.kernel_scratch import has_widths, is_fast, least_kernels, may_run_on
from tflm_quantmcu.stage.custom_ops import PATCH_STAGE, PREFIX, decode_options, program_of
from tflm_quantmcu.stage.geometry import StageOp
from tflm_quantmcu.stage.program import StageProgram

# Those of which a core has a variant of its own (tflm_kernels/cortex_m/kernels.h).
_CORE_KERNELS = frozenset(kind.kernel for kind in OP_KINDS.values() if kind.kernel)

# TFLite's own ops that run on a kernel of ours that one may name.
FAST_CONVOLUTIONS = ("CONV_2D", "DEPTHWISE_CONV_2D")

# What runs ops of stages of the kinds that few networks have, and the fields of C++ Kernels that name their kernels
# (tflm_kernels/portable/ops/kernels.h).
_RARE_OP = "reference::RareOp"
_RARE = {"gather_channels", "resize_nearest", "depth_to_space", "resize_bilinear", "product"}

_NO_CLAMP = (0, 0)  # where it decides nothing
_BYTES = (8, 8)  # (input bits, weight bits)


@dataclasses.dataclass(frozen=True)
class _Call:
    """What decides the kernel of a call; `factors` int32 [2, output channels], multipliers and shifts."""

    params: Any
    factors: np.ndarray


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


def linked_kernel(kernel: str, calls: Iterable[Any], variant: str, regular: Collection[str] = ()) -> Linked:
    """The least that takes these calls.

    Args:
      kernel: name of the C++ function.
      calls: params of each call.
      variant: of the kernels that run.
      regular: of `regular_kernels`.
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
    if widths == [_BYTES] and (least := _least(variant, kernel, regular)):
        return least
    units = frozenset(f"kernels::{kernel}Of<{'x'.join(map(str, pair))}>" for pair in widths)
    if len(widths) == 1:
        return Linked(f"kernels::{kernel}Of<{', '.join(map(str, widths[0]))}>", units)
    numbers = ("".join(map(str, pair)) for pair in widths)
    return Linked(f"{kernel}Among<{', '.join(numbers)}>", units)


def _named(name: str) -> Linked:
    return Linked(name, frozenset((name,)))


def _least(variant: str, kernel: str, regular: Collection[str]) -> Linked | None:
    return next((_named(f"kernels::{name}") for name in least_kernels(variant, kernel) if name in regular), None)


def _widths(params: Any) -> tuple[int, ...]:
    """(input bits, weight bits); of a sum (bits of all maps,), or (0,) where they differ."""
    if isinstance(params, AddParams):
        bits = {m.bits for m in (params.input0, params.input1, params.output)}
        return (bits.pop(),) if len(bits) == 1 else (0,)
    return params.input.bits, params.weight_bits


def regular_kernels(graph: ModelGraph, calls: Iterable[KernelCall], variant: str) -> frozenset[str]:
    """The kernels without seldom paths (`least_kernels`) that are all that a project of this model alone needs, as far
    as calls of 8 bits go.

    Args:
      graph: the model.
      calls: of its ops outside of stages.
      variant: of the kernels that run.
    """
    runs = [(call.kernel, [_Call(call.params, call.factors)]) for call in calls if call.factors is not None]
    return _regular([*runs, *_stage_runs(graph, variant).values()], variant)


def regular_on_tflm(graph: ModelGraph, variant: str) -> frozenset[str]:
    """The same of a project for TFLM, whose own convolutions run on our kernels too: but for kernels of which a call is
    not known."""
    network = LoweredNetwork.of(graph)
    runs, unknown = list(_stage_runs(graph, variant).values()), set()
    for op in graph.ops:
        kind = op_kind(op.kind.removeprefix(PREFIX))
        if op.kind.startswith(PREFIX) and kind.has_filter:
            runs.append((kind.kernel, [_Call(_own_params(kind.name, op.custom_options), _factors(graph, op))]))
        elif op.kind in FAST_CONVOLUTIONS and network.refusal(op) is None:
            runs.append((kind.kernel, [_stock_call(graph, network.lower(op))]))
        elif op.kind in FAST_CONVOLUTIONS:
            unknown.add(kind.kernel)
    return _regular([run for run in runs if run[0] not in unknown], variant)


def _regular(runs: Iterable[tuple[str, list[_Call]]], variant: str) -> frozenset[str]:
    found: dict[str, list[str]] = {}
    for kernel, group in runs:
        if all(_widths(call.params) != _BYTES for call in group):
            continue
        # Those of several widths are chosen among kernels of widths.
        is_one = len({_widths(call.params) for call in group}) == 1
        found[kernel] = [
            name
            for name in found.get(kernel, least_kernels(variant, kernel))
            if is_one and all(may_run_on(variant, name, call.params, call.factors) for call in group)
        ]
    return frozenset(names[0] for names in found.values() if names)


def _factors(graph: ModelGraph, op: Op) -> np.ndarray:
    """Multipliers and shifts of an op of ours, int32 [2, output channels]."""
    table = graph.tensors[op.inputs[2]].data
    assert table is not None  # a constant, or the model would not be ours
    return table.reshape(3, -1)[1:]


def _stock_call(graph: ModelGraph, lowered: LoweredOp) -> _Call:
    """A convolution of TFLite's own as our kernel is called for it."""
    source, output = graph.tensors[lowered.inputs[0]], graph.tensors[lowered.output]
    maps = (
        FeatureMap(1, 1, source.shape[-1], 0, source.format.bits, source.format.zero_point),
        FeatureMap(1, 1, output.shape[-1], 0, output.format.bits, output.format.zero_point),
    )
    assert lowered.filter is not None
    clamp, bits = lowered.clamp_range(output.format), lowered.filter.bits
    params = _filter_params(lowered.traits, maps, lowered.window, clamp, bits, lowered.depth_multiplier)
    return _Call(params, lowered.requantization_table([source.format], output.format).reshape(3, -1)[1:])


def stage_kernels(graph: ModelGraph, variant: str, regular: Collection[str] = ()) -> dict[str, Linked]:
    """Field of C++ Kernels -> what the model's patch stages run there; {} without a stage. `regular`: of
    `regular_kernels`."""
    return {
        field: linked_kernel(function, [call.params for call in calls], variant, regular)
        if calls
        else _named(f"kernels::{function}")
        for field, (function, calls) in _stage_runs(graph, variant).items()
    }


def stage_units(graph: ModelGraph, variant: str, regular: Collection[str] = ()) -> set[str]:
    """What `stage_kernels` link."""
    kernels = stage_kernels(graph, variant, regular)
    units = {unit for kernel in kernels.values() for unit in kernel.units}
    return units | {_RARE_OP} if _RARE & kernels.keys() else units


def _stage_runs(graph: ModelGraph, variant: str) -> dict[str, tuple[str, list[_Call]]]:
    """Field of C++ Kernels -> its function, and the calls in patch stages that decide which is linked."""
    runs: dict[str, tuple[str, list[_Call]]] = {}
    for stage in (program_of(graph, op) for op in graph.ops if op.kind == PATCH_STAGE):
        for index, op in enumerate(stage.ops):
            for field in op.traits.stage_kernels:
                function = "".join(map(str.capitalize, field.split("_"))).replace("2d", "2D")
                _, calls = runs.setdefault(field, (function, []))
                if field == op.traits.snake_name and has_widths(variant, op.traits.kernel):
                    calls.extend(_stage_calls(stage, op, index))
    return runs


def own_kernels(graph: ModelGraph, variant: str, regular: Collection[str] = ()) -> dict[str, Linked]:
    """Kind of op of ours -> the kernel that the model runs it on, outside of stages, where that depends on widths.
    `regular`: of `regular_kernels`."""
    runs: dict[str, list[Any]] = {}
    for op in graph.ops:
        kernel = op_kind(op.kind.removeprefix(PREFIX)).kernel if op.kind.startswith(PREFIX) else ""
        if has_widths(variant, kernel):
            runs.setdefault(op.kind, []).append(_own_params(op.kind.removeprefix(PREFIX), op.custom_options))
    return {
        kind: linked_kernel(op_kind(kind.removeprefix(PREFIX)).kernel, calls, variant, regular)
        for kind, calls in runs.items()
    }


def fast_kernels(graph: ModelGraph, variant: str, regular: Collection[str] = ()) -> dict[str, Linked]:
    """Kind of op of TFLite's own -> the kernel of ours that the model runs it on, where TFLM's op takes one
    (tflm_kernels/micro/fast_ops.h). `regular`: of `regular_kernels`."""
    kernels = {kind: op_kind(kind).kernel for kind in FAST_CONVOLUTIONS if any(op.kind == kind for op in graph.ops)}
    return {
        kind: _least(variant, kernel, regular) or Linked(f"kernels::{kernel}Of<8, 8>", _units_of_bytes(variant, kernel))
        for kind, kernel in kernels.items()
    }


def _units_of_bytes(variant: str, kernel: str) -> frozenset[str]:
    """What `kernels::<kernel>Of<8, 8>` is on a variant: on one without kernels of widths the one of all."""
    return frozenset((f"kernels::{kernel}Of<8x8>" if has_widths(variant, kernel) else kernel_name(kernel),))


def _own_params(kind: str, custom_options: bytes) -> Any:
    """What decides the kernel of an op outside of stages."""
    options, traits = decode_options(custom_options), op_kind(kind)
    output = FeatureMap(1, 1, 1, 0, options["output_bits"], 0)
    if traits.num_maps == 2:
        factors = [(options[f"{name}_multiplier"], options[f"{name}_shift"]) for name in ("input0", "input1", "output")]
        sources = [FeatureMap(1, 1, 1, 0, options[f"input{j}_bits"], 0) for j in range(2)]
        return AddParams(sources[0], sources[1], output, _NO_CLAMP, (factors[0], factors[1], factors[2]))
    source = FeatureMap(1, 1, options["input_channels"], 0, options["input_bits"], 0)
    window = Window(**{key: options[key] for key in traits.reach.keys})
    depth_multiplier = options.get("depth_multiplier", 1)
    clamp = (options["clamp_min"], options["clamp_max"])
    return _filter_params(traits, (source, output), window, clamp, options["weight_bits"], depth_multiplier)


def _filter_params(
    kind: OpKind,
    maps: tuple[FeatureMap, FeatureMap],
    window: Window,
    clamp: tuple[int, int],
    weight_bits: int,
    depth_multiplier: int,
) -> Any:
    if kind.is_vector:
        return FullyConnectedParams(*maps, clamp, weight_bits)
    if kind.is_depthwise:
        return DepthwiseConv2DParams(*maps, window, clamp, weight_bits, depth_multiplier)
    return Conv2DParams(*maps, window, clamp, weight_bits)


def kernel_table(kernels: dict[str, Linked], namespace: str = "quantmcu::kernels") -> Kernels:
    """The table of them in C++; `namespace` is what the core's own are called by."""
    names = {field: cpp_name(kernel, namespace) for field, kernel in kernels.items()}
    return Kernels(**names, **({"rare_op": f"quantmcu::{_RARE_OP}"} if _RARE & kernels.keys() else {}))


def cpp_name(kernel: Linked, namespace: str = "quantmcu::kernels") -> str:
    """A kernel as C++ calls it."""
    own = kernel.name.removeprefix("kernels::")
    return f"quantmcu::{kernel.name}" if own == kernel.name else f"{namespace}::{own}"


def _stage_calls(stage: StageProgram, op: StageOp, index: int) -> Iterator[_Call]:
    """What decides the kernel of each class's calls: widths, channels, clamps, filters and factors."""
    for formats, tables in zip(stage.formats, stage.tables, strict=True):
        *sources, output = (
            FeatureMap(1, 1, stage.shapes[m][2], 0, formats[m].bits, formats[m].zero_point)
            for m in (*op.inputs, op.output)
        )
        clamp = (formats[op.output].clamp_min, formats[op.output].clamp_max)
        factors = tables[index].reshape(3, -1)
        if len(sources) == 2:
            pairs = [(multiplier, shift) for multiplier, shift in factors.tolist()]
            yield _Call(AddParams(sources[0], sources[1], output, clamp, (pairs[0], pairs[1], pairs[2])), factors)
        else:
            maps = sources[0], output
            params = _filter_params(op.traits, maps, op.window, clamp, op.weight_bits, op.depth_multiplier)
            yield _Call(params, factors[1:])
