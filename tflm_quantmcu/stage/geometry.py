"""Which pixels the ops of a patch stage need, and which part of a graph a stage is: all that tiles are judged by."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np

from tflm_quantmcu.base.errors import UnsupportedModelError
from tflm_quantmcu.graph.op_kind import OpKind
from tflm_quantmcu.graph.op_kinds import op_kind
from tflm_quantmcu.graph.stage_plan import StagePlan
from tflm_quantmcu.graph.types import ModelGraph, Op, Window
from tflm_quantmcu.lowering.ops import LoweredOp
from tflm_quantmcu.stage import tiles

Region = tuple[int, int, int, int]  # y0, y1, x0, x1
Step = tuple[Window, tuple[int, ...], int, bool]  # of an op: its inputs, its output, whether it upsamples


@dataclasses.dataclass(frozen=True, eq=False)
class StageOp:
    """One op of a stage; `inputs` and `output` are map indices, `filter` the packed bytes, `depth_multiplier` of a
    GATHER_CHANNELS the number of its runs."""

    kind: str
    inputs: tuple[int, ...]
    output: int
    window: Window
    weight_bits: int = 0
    depth_multiplier: int = 0
    filter: bytes = b""

    @property
    def traits(self) -> OpKind:
        """What is known of its kind."""
        return op_kind(self.kind)


@dataclasses.dataclass(frozen=True)
class StageGeometry:
    """Which pixels a stage's ops need: all that tile sizes are judged by."""

    shapes: tuple[tuple[int, int, int], ...]
    ops_y: tuple[tiles.AxisOp, ...]
    ops_x: tuple[tiles.AxisOp, ...]
    reduces: bool = False

    @property
    def tiled(self) -> int:
        """The map that is cut into tiles: the last one, or what the reduction at the end makes it of."""
        return len(self.shapes) - (2 if self.reduces else 1)

    @property
    def num_inputs(self) -> int:
        """The maps that come in, the first ones; the ops write the others."""
        return len(self.shapes) - len(self.ops_y)

    @staticmethod
    def of(shapes: Sequence[tuple[int, int, int]], ops: Sequence[StageOp]) -> StageGeometry:
        steps = [
            (op.window, moving_inputs(op.kind, op.inputs, op.output, shapes), op.output, op.traits.upsamples)
            for op in ops
        ]
        return StageGeometry.of_steps(shapes, steps, reduces=ops[-1].traits.is_reduction)

    @staticmethod
    def of_lowered(graph: ModelGraph, ops: Sequence[LoweredOp], sources: Sequence[int]) -> StageGeometry:
        tensors = map_tensors(ops, sources)
        shapes = [map_shape(graph, t) for t in tensors]
        steps = lowered_steps(ops, tensors, shapes)
        return StageGeometry.of_steps(shapes, steps, reduces=ops[-1].traits.is_reduction)

    @staticmethod
    def of_steps(
        shapes: Sequence[tuple[int, int, int]],
        steps: Sequence[Step],
        *,
        reduces: bool = False,
    ) -> StageGeometry:
        return StageGeometry(
            tuple(shapes),
            tuple(_axis_op("height", "top", *step) for step in steps),
            tuple(_axis_op("width", "left", *step) for step in steps),
            reduces,
        )

    def axis_spans(self, axis: int, tile: int, modes: Sequence[int], *, primed: int = tiles.NOT_PRIMED) -> np.ndarray:
        """Spans along one axis, int64 [tiles, maps up to the tiled one, 3], pixels, as of `tiles.axis_spans`.

        Args:
          axis: 0 is height, 1 width.
          tile: pixels of a tile along it.
          modes: [map] of the caches, as in `MapCache`.
          primed: PRIMED and its like; with those of priming tiles first.
        """
        extents = [shape[axis] for shape in self.shapes[: self.tiled + 1]]
        ops = (self.ops_y, self.ops_x)[axis][: self.tiled + 1 - self.num_inputs]
        kept = tiles.kept_along(axis, modes)
        is_primed = primed in (tiles.PRIMED, (tiles.ROWS_PRIMED, tiles.PRIMED)[axis])
        before = tiles.priming_tiles(ops, extents, tile, kept) if is_primed else []
        return tiles.axis_spans(ops, extents, before + tiles.split_axis(extents[-1], tile), kept)

    def spans(
        self, tile_height: int, tile_width: int, modes: Sequence[int], *, primed: int = tiles.NOT_PRIMED
    ) -> tuple[np.ndarray, np.ndarray]:
        """Spans along height and along width, as of `axis_spans`.

        Args:
          tile_height, tile_width: pixels.
          modes: [map] of the caches, as in `MapCache`.
          primed: PRIMED and its like; with those of priming tiles first.
        """
        rows = self.axis_spans(0, tile_height, modes, primed=primed)
        return rows, self.axis_spans(1, tile_width, modes, primed=primed)

    def lifetimes(self) -> list[tuple[int, int]]:
        """(first, last) op that touches each map; a map is born with the op that writes it, inputs with the first."""
        written = {op.output: time for time, op in enumerate(self.ops_y)}
        read = {m: time for time, op in enumerate(self.ops_y) for m in op.inputs}
        births = [written.get(m, 0) for m in range(len(self.shapes))]
        return [(birth, read.get(m, birth)) for m, birth in enumerate(births)]

    def shortcuts(self) -> list[int]:
        """The maps worth computing ahead: of no more bytes a row than what they are made of, a row of theirs for each
        that they end, which ops behind them read too."""
        found = []
        for place, (op, across) in enumerate(zip(self.ops_y, self.ops_x, strict=True)):
            is_read = any(op.inputs[0] in other.inputs for other in self.ops_y[place + 1 :])
            (_, width, channels), (_, columns, depth) = (self.shapes[m] for m in (op.inputs[0], op.output))
            is_smaller = columns * depth <= op.stride * width * channels
            is_quick = op.kernel <= op.stride and across.kernel <= across.stride  # others look further ahead themselves
            is_inner = len(op.inputs) == 1 and op.output < self.tiled and op.upsampling == 1
            if is_read and is_smaller and is_quick and is_inner:
                found.append(op.output)
        return found

    def liveness(self) -> np.ndarray:
        """float64 [maps, ops]: 1 where a map is live while an op runs, else 0."""
        ops = np.arange(len(self.ops_y))
        return np.array([(first <= ops) & (ops <= last) for first, last in self.lifetimes()], float)


def lowered_steps(ops: Sequence[LoweredOp], maps: Sequence[int], shapes: Sequence[tuple[int, int, int]]) -> list[Step]:
    """The steps of a lowered stage with these maps, tensor indices, of these shapes."""
    index = {t: m for m, t in enumerate(maps)}
    steps = []
    for op in ops:
        inputs, output = tuple(index[t] for t in op.inputs), index[op.output]
        steps.append((op.window, moving_inputs(op.kind, inputs, output, shapes), output, op.traits.upsamples))
    return steps


def is_gated(kind: str, inputs: Sequence[int], output: int, shapes: Sequence[tuple[int, int, int]]) -> bool:
    """Whether an op multiplies each pixel of its first map by the second's one pixel, which is read whole.

    Args:
      kind: of the op.
      inputs, output: maps.
      shapes: [map] (height, width, channels).
    """
    return kind == "MUL" and shapes[inputs[1]][:2] == (1, 1) != shapes[output][:2]


def moving_inputs(
    kind: str, inputs: tuple[int, ...], output: int, shapes: Sequence[tuple[int, int, int]]
) -> tuple[int, ...]:
    """The inputs of which tiles read a part each: all but a gate; arguments as of `is_gated`."""
    return inputs[:1] if is_gated(kind, inputs, output, shapes) else inputs


def _axis_op(
    extent: str, side: str, window: Window, inputs: tuple[int, ...], output: int, upsamples: bool
) -> tiles.AxisOp:
    stride = getattr(window, f"stride_{extent}")
    return tiles.AxisOp(
        inputs=inputs,
        output=output,
        kernel=getattr(window, f"kernel_{extent}"),
        stride=1 if upsamples else stride,
        upsampling=stride if upsamples else 1,
        dilation=getattr(window, f"dilation_{extent}"),
        pad=getattr(window, f"pad_{side}"),
    )


def macs_per_pixel(kind: str, window: Window, input_channels: int, output_channels: int) -> int:
    """Multiply-accumulates of one output pixel, all channels; of FULLY_CONNECTED of one input pixel.

    Args:
      kind: of the op.
      window: its kernel counts.
      input_channels, output_channels: of its maps.
    """
    taps, products = window.kernel_height * window.kernel_width, op_kind(kind).products
    return products(taps, input_channels, output_channels) if products else 0


def map_tensors(ops: Sequence[LoweredOp], sources: Sequence[int]) -> tuple[int, ...]:
    """The tensor index of each map of a lowered stage that reads these tensors."""
    return (*sources, *(op.output for op in ops))


def tiled_tensor(ops: Sequence[LoweredOp]) -> int:
    """The tensor that a lowered stage cuts into tiles: its output, or what the reduction at its end takes."""
    return ops[-1].inputs[0] if ops[-1].traits.is_reduction else ops[-1].output


def map_shape(graph: ModelGraph, tensor: int) -> tuple[int, int, int]:
    """(height, width, channels) of a [1, H, W, C] feature map; a vector is one pixel."""
    shape = graph.tensors[tensor].shape
    return (shape[1], shape[2], shape[3]) if len(shape) == 4 else (1, 1, shape[-1])


def planned_ops(graph: ModelGraph, stage: StagePlan) -> tuple[Op, ...]:
    """The ops of a planned stage, in execution order; raises as `stage_ops`, and KeyError for unknown tensors."""
    return stage_ops(graph, planned_sources(graph, stage), graph.by_name[stage.output].index)


def planned_sources(graph: ModelGraph, stage: StagePlan) -> tuple[int, ...]:
    """The tensors that a planned stage reads, in the order of its maps."""
    return tuple(graph.by_name[name].index for name in stage.inputs)


def stage_ops(graph: ModelGraph, sources: Sequence[int], target: int) -> tuple[Op, ...]:
    """The ops that tensor `target` is made with of the tensors `sources`, in execution order.

    Raises:
      UnsupportedModelError: the region has another entry or exit.
    """
    entries = "', '".join(graph.tensors[t].label for t in sources)
    names = f"between '{entries}' and '{graph.tensors[target].label}'"
    inside: set[int] = set()
    wanted = [target]
    while wanted:
        tensor = wanted.pop()
        op = graph.producer.get(tensor)
        if tensor in sources or (op is not None and op.index in inside):
            continue
        if op is None:
            raise UnsupportedModelError(f"the region {names} also reads '{graph.tensors[tensor].label}'")
        inside.add(op.index)
        wanted += graph.feature_maps(op)
    ops = tuple(op for op in graph.ops if op.index in inside)
    for op in ops:
        for t in op.outputs:
            readers = {c.index for c in graph.consumers[t]}
            if t != target and (readers - inside or t in graph.outputs):
                raise UnsupportedModelError(f"'{graph.tensors[t].label}' of the region {names} is read outside it")
    if not ops:
        raise UnsupportedModelError(f"there is no op {names}")
    return ops


def unfiltered_ops(lowered: Sequence[LoweredOp], maps: Sequence[int]) -> list[StageOp]:
    """The ops of a stage with these maps, weights at 8 bits."""
    index = {t: m for m, t in enumerate(maps)}
    return [
        StageOp(op.kind, tuple(index[t] for t in op.inputs), index[op.output], op.window, 8, op.depth_multiplier)
        for op in lowered
    ]
