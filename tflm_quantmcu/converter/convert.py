"""Turns an int8 `.tflite` and a plan into a `.tflite` for stock TFLM with our op library.

In: bytes and a PrecisionPlan. Out: bytes, the same for the same input. Refuses plans made for another model, models
that are not full-integer int8, and what a pass cannot carry over exactly.
"""

from __future__ import annotations

from collections.abc import Callable

from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.converter.passes.attach_plan import attach_plan
from tflm_quantmcu.converter.passes.fuse_stages import fuse_stages
from tflm_quantmcu.converter.passes.insert_requantize import insert_requantize
from tflm_quantmcu.converter.passes.pin_offsets import pin_offsets
from tflm_quantmcu.converter.passes.prune_unused import prune_unused
from tflm_quantmcu.converter.passes.quantize_ops import quantize_ops
from tflm_quantmcu.converter.passes.table_missing import table_missing
from tflm_quantmcu.converter.passes.take_ops import take_ops
from tflm_quantmcu.converter.rewrite import Rewrite
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.graph.subgraphs import why_whole
from tflm_quantmcu.graph.target import WORST_CORE, Target
from tflm_quantmcu.graph.types import BIT_WIDTHS, ModelGraph
from tflm_quantmcu.tflite.canonical.canonical import canonical
from tflm_quantmcu.tflite.full_integer import require_source
from tflm_quantmcu.tflite.model_file import AnyModel, ModelFile
from tflm_quantmcu.tflite.writer import associated_files, write_model

PASSES: tuple[Callable[[Rewrite], None], ...] = (
    fuse_stages,  # first: it decides which ops are left for the others
    quantize_ops,  # next: lowers what is left, still on the model's tensors
    take_ops,  # then: of what stays at 8 bits, all that keeps fewer bytes as an op of ours
    insert_requantize,  # after both: only now is it known which side of a map is ours and which stock
    table_missing,  # next: what then still reads and writes 8 bits
    attach_plan,  # before the pruning: it drops metadata whose buffers are then unused
    prune_unused,  # before the last: renumbers everything
    pin_offsets,  # last: an offset a tensor, in the order in which they now stand
)


def convert_model(
    model: AnyModel,
    plan: PrecisionPlan,
    *,
    strip_metadata: bool = False,
    target: Target = WORST_CORE,
    keep_stock_ops: bool = False,
    fits: Callable[[ModelGraph], bool] | None = None,
) -> bytes:
    """Converts a model.

    Args:
      model: a full-integer int8 `.tflite`, whose canonical form is converted.
      plan: made for exactly these bytes.
      strip_metadata: leave out the plan and every other metadata that the device does not read; offsets of an
        offline memory plan stay.
      target: whose arena is to be small; the file runs right on every core.
      keep_stock_ops: leave ops that stay at 8 bits outside of stages stock ops, whatever bytes they take.
      fits: whether a converted model's arena meets a bound: of those that do, the one is taken that suits other cores.

    Returns:
      The converted `.tflite`, constants aligned to 16 bytes.

    Raises:
      UsageError: the plan is for another model, or does not fit it.
      UnsupportedModelError: the model, or what the plan asks of it.
    """
    file = canonical(ModelFile.of(model))
    if plan.model_sha256 != file.sha256:
        raise UsageError(
            f"the plan was made for the model with SHA-256 {plan.model_sha256[:12]}..., this one has "
            f"{file.sha256[:12]}...; make a plan for this model"
        )
    graph = file.graph
    require_source(graph)
    _check_names(graph, plan)
    if graph.subgraphs:
        return _left_alone(file, plan)
    tree = file.copied_tree()
    rewrite = Rewrite(
        tree,
        graph,
        plan,
        strip_metadata=strip_metadata,
        target=target,
        keeps_stock_ops=keep_stock_ops,
        fits=fits,
    )
    for rewrite_pass in PASSES:
        rewrite_pass(rewrite)
    return write_model(rewrite.model) + (b"" if strip_metadata else associated_files(file.origin.data))


def _left_alone(file: ModelFile, plan: PrecisionPlan) -> bytes:
    if plan.stages or plan.formats or plan.weight_bits or plan.bias_corrections:
        raise UsageError(f"the plan changes the network, and {why_whole(file.graph)}")
    return file.data


def _check_names(graph: ModelGraph, plan: PrecisionPlan) -> None:
    maps = [*plan.formats, *(name for s in plan.stages for c in s.classes for name in c.formats)]
    for name in maps:
        tensor = graph.by_name.get(name)
        if tensor is None or tensor.is_constant or tensor.dtype != "int8" or len(tensor.scales) != 1:
            raise UsageError(f"the plan gives a format to '{name}', which is no int8 feature map of the model")
    weighted = {graph.tensors[op.outputs[0]].name for op in graph.ops if op.traits.has_filter}
    corrected = [*plan.bias_corrections, *(name for s in plan.stages for c in s.classes for name in c.bias_corrections)]
    for name in corrected:
        if name not in weighted:
            raise UsageError(
                f"the plan corrects the bias of '{name}', which no convolution or fully connected op writes"
            )
    for name, bits in {**dict.fromkeys(plan.rounded_weights, 8), **plan.weight_bits}.items():
        readers = graph.consumers[graph.by_name[name].index] if name in graph.by_name else ()
        if not any(graph.tensors[op.inputs[1]].name == name for op in readers if op.traits.has_filter):
            raise UsageError(f"the plan gives bits to '{name}', which is no weights of the model")
        if bits not in BIT_WIDTHS:
            raise UsageError(f"the plan gives {bits} bits to '{name}'; supported are 8, 4 and 2")
