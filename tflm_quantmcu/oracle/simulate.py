"""Runs whole int8 models on the numpy oracle, in batches, to the bytes that TFLM gives.

In: a ModelGraph with its plan, and a batch of inputs. Out: feature maps as unpacked values. An op that neither the
QMCU_ kernels nor `stock_kernels` know is left out with all that follows from it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from tflm_quantmcu.base.errors import UsageError
from tflm_quantmcu.graph.precision_plan import PrecisionPlan
from tflm_quantmcu.graph.types import Format, ModelGraph, Op, Window
from tflm_quantmcu.law import arithmetic
from tflm_quantmcu.law.arithmetic import quantize_multiplier
from tflm_quantmcu.lowering.images import one_image
from tflm_quantmcu.lowering.network import LoweredNetwork
from tflm_quantmcu.lowering.ops import LoweredOp
from tflm_quantmcu.oracle import stock_kernels
from tflm_quantmcu.oracle.own_kernels import LAWS, NO_FILTER, Call, Law
from tflm_quantmcu.oracle.run_stage import run_stage
from tflm_quantmcu.stage.build import planned_program
from tflm_quantmcu.stage.geometry import planned_ops, planned_sources
from tflm_quantmcu.stage.program import StageFormat, StageProgram


def simulate(
    graph: ModelGraph,
    plan: PrecisionPlan | None,
    x: np.ndarray | Sequence[np.ndarray],
    laws: Mapping[str, Law] = LAWS,
) -> dict[str, np.ndarray]:
    """Runs a batch through an int8 model as planned.

    Args:
      graph: the model as read.
      plan: its stages and widths; None runs the model as it is.
      x: [N, ...], inputs in the model's input type; of several one array each.
      laws: what computes each kind of ours.

    Returns:
      Tensor name -> [N, ...] values at the plan's formats, [N, B, ...] of a first dimension B other than 1,
      of the feature maps outside stages that are known (see above). What TFLM gives as an output with
      another format in the plan is that map requantised to the model's own.

    Raises:
      UsageError: x has not the shape or type of the model's input, or the plan does not fit the
        model.
      UnsupportedModelError: the plan lowers an op that has no kernel.
    """
    maps = FeatureMaps(graph, plan or PrecisionPlan(graph.sha256, {}), laws)
    arrays = (x,) if isinstance(x, np.ndarray) else tuple(x)
    for t, values in _checked_inputs(graph, arrays).items():
        maps.put(t, values, is_planned=False)
    stages, inside = _plan_stages(graph, maps.plan)
    for op in graph.ops:
        stage = stages.get(op.outputs[0])
        if stage is not None:
            sources, program = stage
            if maps.planned.keys() >= {*sources}:
                first, *others = (maps.planned[t] for t in sources)
                y = run_stage(program, first, laws, others)
                maps.put(op.outputs[0], y.reshape(len(y), *graph.tensors[op.outputs[0]].shape[1:]), is_planned=True)
        elif op.index not in inside:
            run_op(maps, op)
    return {graph.tensors[t].name: v for t, v in maps.planned.items()}


def known_maps(graph: ModelGraph, plan: PrecisionPlan) -> set[int]:
    """The feature maps that an op by op run of the plan, stages unsplit, has values of; nothing is run."""
    known, network = {t for t in graph.inputs if graph.tensors[t].shape[:1] == (1,)}, LoweredNetwork.of(graph)
    for op in graph.ops:
        sources = graph.feature_maps(op)
        has_oracle = _has_kernel(network, plan, op) or _has_images(graph, op) or stock_kernels.is_known(graph, op)
        if sources and known.issuperset(sources) and has_oracle:
            known.add(op.outputs[0])
    return known


class FeatureMaps:
    """Feature maps by tensor index, as our ops keep them and as stock ops, which know 8 bits, do.

    Where the plan gives a map another format, a requantize stands between the two (law A7).
    """

    def __init__(self, graph: ModelGraph, plan: PrecisionPlan, laws: Mapping[str, Law] = LAWS) -> None:
        self.laws = laws
        self.graph = graph
        self.network = LoweredNetwork.of(graph)
        self.plan = plan
        self.planned: dict[int, np.ndarray] = {}
        self.own: dict[int, np.ndarray] = {}

    def put(self, index: int, values: np.ndarray, *, is_planned: bool) -> None:
        """Takes a map, [N, ...] of its tensor's dtype, in the plan's format, or else in the model's own."""
        self.planned[index] = self.own[index] = values
        chosen = self._chosen_format(index)
        if chosen is None:
            return
        own = self.graph.tensors[index].format
        if is_planned:
            self.own[index] = _convert(values, chosen, own)
        else:
            self.planned[index] = _convert(values, own, chosen)

    def forget(self, index: int) -> None:
        """Frees a map that nothing reads any more."""
        self.planned.pop(index, None)
        self.own.pop(index, None)

    def keeps_bytes(self, op: Op) -> bool:
        """Whether the op is a reshape that leaves a map of the plan's format packed as it is."""
        if not op.traits.is_reshape:
            return False
        ends = (op.inputs[0], op.outputs[0])
        chosen, other = (self._chosen_format(t) for t in ends)
        if chosen is None or chosen != other:
            return False
        runs = {self.graph.tensors[t].shape[-1] for t in ends}
        return len(runs) == 1 or all(channels * chosen.bits % 8 == 0 for channels in runs)

    def _chosen_format(self, index: int) -> Format | None:
        """The plan's format of a map, where it is not the model's own."""
        tensor = self.graph.tensors[index]
        chosen = self.plan.formats.get(tensor.name)
        return None if chosen is None or chosen == tensor.format else chosen


def _convert(values: np.ndarray, source: Format, target: Format) -> np.ndarray:
    row = values.reshape(len(values), 1, -1, 1)
    converted = arithmetic.requantize(
        row,
        np.array(quantize_multiplier(source.scale / target.scale), np.int32),
        window=Window(),
        size=row.shape[1:3],
        zero_in=source.zero_point,
        output=StageFormat(target.bits, target.zero_point, target.qmin, target.qmax),
    )
    return converted.reshape(values.shape)


def _checked_inputs(graph: ModelGraph, arrays: Sequence[np.ndarray]) -> dict[int, np.ndarray]:
    """Input -> its samples, of those with a batch of 1; what comes of others is not known here."""
    if len(graph.inputs) != len(arrays):
        raise UsageError(f"the model has {len(graph.inputs)} inputs; given are samples of {len(arrays)}")
    found = {t: x for t, x in zip(graph.inputs, arrays, strict=True) if graph.tensors[t].shape[:1] == (1,)}
    for t, x in found.items():
        tensor = graph.tensors[t]
        if x.shape[1:] != tensor.shape[1:] or x.dtype != tensor.dtype:
            raise UsageError(
                f"the inputs are {x.dtype} {x.shape}; the model takes {tensor.dtype} {('N', *tensor.shape[1:])}"
            )
    return found


def _plan_stages(
    graph: ModelGraph, plan: PrecisionPlan
) -> tuple[dict[int, tuple[tuple[int, ...], StageProgram]], set[int]]:
    """(output tensor -> (input tensors, program), indices of all ops inside stages)."""
    stages: dict[int, tuple[tuple[int, ...], StageProgram]] = {}
    inside: set[int] = set()
    for stage in plan.stages:
        program = planned_program(graph, plan, stage)
        stages[graph.by_name[stage.output].index] = (planned_sources(graph, stage), program)
        inside |= {op.index for op in planned_ops(graph, stage)}
    return stages, inside


def run_op(maps: FeatureMaps, op: Op) -> None:
    """Runs an op outside the stages whose inputs are known and which has an oracle."""
    graph = maps.graph
    sources = graph.feature_maps(op)
    if (one := one_image(graph, op)) is not None:
        _run_images(maps, one, op)
        return
    has_kernel = _has_kernel(maps.network, maps.plan, op)
    is_planned = has_kernel or maps.keeps_bytes(op)
    known = maps.planned if is_planned else maps.own
    if not sources or any(t not in known for t in sources):
        return
    y: np.ndarray | None
    if has_kernel:
        lowered = maps.network.lower_planned(op, maps.plan)
        y = _run_lowered(maps, lowered, [known[t] for t in lowered.inputs])
    else:
        y = stock_kernels.run(graph, op, known)
    if y is not None:
        maps.put(op.outputs[0], y.reshape(len(y), *graph.tensors[op.outputs[0]].sample_shape), is_planned=is_planned)


def _run_images(maps: FeatureMaps, one: ModelGraph, op: Op) -> None:
    """Each image of a sample as a sample of its own."""
    (source,) = maps.graph.feature_maps(op)
    if source not in maps.own:
        return
    inner = FeatureMaps(one, PrecisionPlan(one.sha256, {}), maps.laws)
    inner.put(source, maps.own[source].reshape(-1, *one.tensors[source].shape[1:]), is_planned=False)
    run_op(inner, op)
    if op.outputs[0] in inner.own:
        y = inner.own[op.outputs[0]].reshape(-1, *maps.graph.tensors[op.outputs[0]].shape)
        maps.put(op.outputs[0], y, is_planned=False)


def _has_kernel(network: LoweredNetwork, plan: PrecisionPlan, op: Op) -> bool:
    """Whether one of our ops computes it as planned; lowering says why not where weights below 8 bits need one."""
    weights = network.weights(op)
    return (weights is not None and plan.weight_bits.get(weights.name, 8) != 8) or network.is_ours(op)


def _has_images(graph: ModelGraph, op: Op) -> bool:
    """Whether it is an op of several images, of one of which an oracle is there."""
    one = one_image(graph, op)
    return one is not None and (LoweredNetwork.of(one).is_ours(op) or stock_kernels.is_known(one, op))


def _run_lowered(maps: FeatureMaps, op: LoweredOp, inputs: Sequence[np.ndarray]) -> np.ndarray:
    graph, formats = maps.graph, maps.plan.formats
    chosen = [formats.get(graph.tensors[t].name, graph.tensors[t].format) for t in (*op.inputs, op.output)]
    shape = graph.tensors[op.output].shape
    return maps.laws[op.kind](
        Call(
            inputs,
            op.filter.values if op.filter else NO_FILTER,
            op.requantization_table(chosen[:-1], chosen[-1]),
            window=op.window,
            size=(shape[1], shape[2]) if len(shape) == 4 else (1, 1),
            zeros=[f.zero_point for f in chosen],
            depth_multiplier=op.depth_multiplier,
            output=StageFormat(chosen[-1].bits, chosen[-1].zero_point, *op.clamp_range(chosen[-1])),
        )
    )
