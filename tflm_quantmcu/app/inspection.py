"""Describes a model file in words: its ops, and of converted ones the stages, patches, classes, bits and bytes."""

from __future__ import annotations

import dataclasses
import os
from collections.abc import Sequence

from tflm_quantmcu.app.code_size import code_bytes
from tflm_quantmcu.app.peak import why_not_smaller
from tflm_quantmcu.app.reserve import (
    arena_bytes_on,
    losses_of_other_cores,
    reserved_by_core,
    stack_sentence,
    unknown_persistent_bytes,
)
from tflm_quantmcu.app.stage_sentences import describe_stage
from tflm_quantmcu.arena.memory_map import draw_png, draw_text
from tflm_quantmcu.arena.plan import tflm_plan
from tflm_quantmcu.arena.predict import arena_by_variant
from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.converter.convert import convert_model
from tflm_quantmcu.cost.boards import time_text
from tflm_quantmcu.cost.instructions import load_table
from tflm_quantmcu.cost.model_time import time_of_model
from tflm_quantmcu.graph.precision_plan import CHOSEN_AT_RUN_TIME, PrecisionPlan
from tflm_quantmcu.graph.subgraphs import why_whole
from tflm_quantmcu.graph.target import ANY, AOT, DEFAULT_CORE, Target, cores_of
from tflm_quantmcu.graph.types import ModelGraph
from tflm_quantmcu.patches.planner import plan_stages
from tflm_quantmcu.stage.build import INPUT_MODES
from tflm_quantmcu.stage.custom_ops import PATCH_STAGE, PREFIX, decode_options, is_converted, program_of
from tflm_quantmcu.stage.format_version import READ_SINCE, check_version
from tflm_quantmcu.stage.program import StageProgram
from tflm_quantmcu.stage.remarks import layers_of
from tflm_quantmcu.tflite.canonical.canonical import canonical
from tflm_quantmcu.tflite.full_integer import require_source
from tflm_quantmcu.tflite.metadata import plan_of, target_of
from tflm_quantmcu.tflite.missing_ops import missing_kinds, runnable, tables_sentence
from tflm_quantmcu.tflite.model_file import AnyModel, ModelFile
from tflm_quantmcu.tflite.view import view_graph


def describe_model(model: AnyModel, target: Target | None = None) -> str:
    """The whole description, one text.

    Args:
      model: the `.tflite`.
      target: whose RAM is told; None: the core that the file names, else all.

    Raises:
      UnsupportedModelError: `model` is not a model that can be read.
    """
    named = ModelFile.of(model)
    file = runnable(named)
    graph = file.graph
    stages = [op for op in graph.ops if op.kind == PATCH_STAGE]
    parts = [view_graph(named.graph)]
    parts += tables_sentence(missing_kinds(named))
    for number, op in enumerate(stages):
        parts.append(_describe_program(number, program_of(graph, op), layers_of(decode_options(op.custom_options))))
    stock = (target or Target()).stock_kernels
    arenas = arena_by_variant(graph, stock)
    cores = [f"{n:,} with {variant} kernels ({', '.join(cores_of(variant))})" for variant, n in arenas.items()]
    most = max(arenas.values())
    parts.append(f"non-persistent arena: at most {most:,} bytes; {', '.join(cores)}; flash: {len(file.data):,} bytes")
    if is_converted(named.graph):
        parts.append(_describe_format(named.graph))
    parts.append(_describe_reserve(file, target))
    parts.append(_describe_time(file, target))
    return "\n\n".join(parts)


def target_for(file: ModelFile, core: str | None = None, board: str | None = None, **names: str) -> Target:
    """A target of these names; where neither tells the core, the one that the file names, or any.

    Raises:
      UsageError: as `Target.of`.
    """
    return Target.of(core or (None if board else target_of(file.tree) or ANY), board, **names)


def describe_why(model: AnyModel, target: Target) -> str:
    """What keeps the arena of a model from being smaller, and what would help.

    Args:
      model: a `.tflite`; of one that is not converted yet is told what `plan --search uniform` would make of it, beside
        what `--input streamed` would.
      target: whose kernels and time count.

    Raises:
      UnsupportedModelError: `model` is not a model that can be converted.
    """
    file = ModelFile.of(model)
    if is_converted(file.graph):
        return "\n".join(why_not_smaller(file.graph, file.graph))
    source = canonical(file)
    require_source(source.graph)
    if source.graph.subgraphs:
        return why_whole(source.graph)
    lines, arenas = [], {}
    for mode in INPUT_MODES:
        table = load_table(target.timed_core)
        try:
            found = plan_stages(
                source.graph,
                input_mode=mode,
                variants=target.variants,
                stock_kernels=target.stock_kernels,
                table=table,
            )
        except UnsupportedModelError as error:
            if mode == INPUT_MODES[0]:
                raise
            lines.append(str(error))
            continue
        best = found.best
        arenas[mode] = best.arena_bytes if best else found.baseline_arena_bytes
        if mode == INPUT_MODES[0]:  # resident
            plan = PrecisionPlan(source.sha256, {}, stages=best.plans(source.graph) if best else ())
            lines = [found.reason, *why_not_smaller(source.graph, ModelFile(convert_model(source, plan)).graph)]
    return "\n".join([*lines, *(f"--input {mode}: {n:,} bytes of maps and scratch" for mode, n in arenas.items())])


def _describe_format(graph: ModelGraph) -> str:
    """What reads the ops of ours in a converted model, in Python and in firmware.

    Raises:
      UsageError: an op of a version that this package does not read.
    """
    versions = []
    for op in graph.ops:
        if op.kind.startswith(PREFIX):
            options = decode_options(op.custom_options)
            check_version(op.kind, options)
            versions.append(options["version"])
    newest = max(versions)
    return f"format {newest}: runs with tflm_quantmcu {READ_SINCE[newest]} and later"


def _describe_reserve(file: ModelFile, target: Target | None) -> str:
    """RAM to reserve on every core, and what the file's pins cost the others than its own."""
    graph, named = file.graph, target_of(file.tree)
    chosen = target or Target.of(named or ANY)
    unknown_bytes = unknown_persistent_bytes(file)
    found = arena_bytes_on(graph, chosen, unknown_bytes=unknown_bytes)
    where = "any core" if chosen.core == ANY else chosen.core
    what = "arena and stack" if chosen.runtime == AOT else "tensor arena"
    most = "" if found.is_exact else "at most "
    by_core = reserved_by_core(graph, chosen, unknown_bytes=unknown_bytes)
    lines = [f"made for {named}{_stock_kernels_of(file)}"] if named else []
    lines.append(
        f"{what} to reserve on {where}: {most}{found.reserved_bytes:,} bytes ({found.nonpersistent_bytes:,} of maps "
        f"and scratch); {', '.join(f'{core} {n:,}' for core, n in by_core.items())}"
    )
    lines.append(stack_sentence(graph, chosen))
    code = code_bytes(graph, chosen)
    if code is not None:
        lines.append(f"our code in flash on {where}, beside TFLM's own: {code:,} bytes")
    return "\n".join(
        [*lines, *losses_of_other_cores(graph, dataclasses.replace(chosen, core=named or ANY, board=None))]
    )


def _stock_kernels_of(file: ModelFile) -> str:
    """Whose kernels were to run the stock ops, as the plan in the file says; "" if it does not."""
    plan = plan_of(file.tree)
    kernels = plan.search.get("stock_kernels") if plan else None
    return f", --stock_kernels {kernels}" if kernels else ""


def _describe_time(file: ModelFile, target: Target | None) -> str:
    """One inference on the target's core and board, and the longest span between two calls of a hook."""
    chosen = target or Target.of(target_of(file.tree) or DEFAULT_CORE)
    time = time_of_model(file.graph, chosen, load_table(chosen.timed_core))
    lines = [f"on cortex-{chosen.timed_core}: {time.instructions:,} instructions of our kernels, estimated"]
    lines.append(time_text(chosen.timed_core, chosen.board, [time]))
    if time.longest and not time.unknown:
        span = time_text(chosen.timed_core, chosen.board, [time.longest])
        lines.append(f"longest span between two calls of a hook: {time.longest.label}, {span}")
    return "\n".join(lines)


def describe_memory(model: AnyModel, png: str | os.PathLike[str] | None = None) -> str:
    """The arena as TFLM lays it out with the reference kernels, lifetime x offset, as text.

    If `png` names a file, also as a picture there.

    Raises:
      UnsupportedModelError: `model` is not a model that can be read, or its arena is not known.
    """
    graph = runnable(ModelFile.of(model)).graph
    plan = tflm_plan(graph)
    if png is not None:
        draw_png(graph, plan, png)
    return draw_text(graph, plan)


def _describe_program(number: int, program: StageProgram, layers: Sequence[str]) -> str:
    """The stage op by op; `layers` has a name an op, or none."""
    names = [f" '{layer}'" for layer in layers] or [""] * len(program.ops)
    lines = [describe_stage(number, program)]
    for index, op in enumerate(program.ops):
        height, width, channels = program.shapes[op.output]
        bits = " ".join(f"a{formats[op.output].bits}" for formats in program.formats)
        weights = f" w{op.weight_bits}" if op.weight_bits else ""
        window = op.window
        kernel = f" {window.kernel_height}x{window.kernel_width}/{window.stride_height}x{window.stride_width}"
        sources = ", ".join(f"map {m}" for m in op.inputs)
        lines.append(
            f"  {index:2} {op.kind}{names[index]}{kernel}{weights}: {sources} -> map {op.output} "
            f"[{height}, {width}, {channels}], a class: {bits}"
        )
    is_chosen = any(k == CHOSEN_AT_RUN_TIME for _, _, k in program.patches())
    lines.append("  patch classes" + (", ? is chosen at run time:" if is_chosen else ":"))
    lines += [
        "    " + " ".join("?" if k == CHOSEN_AT_RUN_TIME else str(k) for k in row) for row in program.patch_classes
    ]
    cost = program.cost
    most = "at most " if is_chosen else ""
    lines.append(f"  {cost.macs:,} MACs, {most}{cost.bit_ops:,} BitOPs, recomputed halos included")
    return "\n".join(lines)
