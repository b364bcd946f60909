"""The arena, lifetime x offset, as rectangles that a page draws and a JSON file lists.

In: a graph and how TFLM lays it out. Out: ArenaPicture. Names are those of layers.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from tflm_quantmcu.arena.plan import tflm_plan
from tflm_quantmcu.graph.layer_names import layer_of, layers_of_ops
from tflm_quantmcu.graph.types import ModelGraph
from tflm_quantmcu.stage.custom_ops import PREFIX

NUM_COLOURS = 8
PLOT = (90, 14, 900, 290)  # left, top, width and height within a picture of 1000 x 340
_LETTER, _LINE, _LEAST_LETTERS = 7.2, 16, 6  # width of a letter, height of a line, and the fewest worth to be shown


@dataclasses.dataclass(frozen=True)
class Block:
    """Bytes of the arena over some steps; step 0 is before the first op, op i runs in step i + 1.

    Attributes:
      name: the layer whose map it holds, or `scratch of` the op's.
      is_scratch: of a kernel or a stage.
      first, last: steps.
      offset, num_bytes: in the arena.
      colour: 0 to NUM_COLOURS - 1; the same of one map in pictures that share a numbering.
    """

    name: str
    is_scratch: bool
    first: int
    last: int
    offset: int
    num_bytes: int
    colour: int


@dataclasses.dataclass(frozen=True)
class Drawn:
    """A block's rectangle, and its name as far as there is room; `is_upright`: it is written upwards."""

    block: Block
    x: float
    y: float
    width: float
    height: float
    label: str
    is_upright: bool


@dataclasses.dataclass(frozen=True)
class ArenaPicture:
    """A placed arena.

    Attributes:
      title: for people.
      blocks: by offset within time.
      steps: what runs in each step; the first is the input.
      num_bytes: of the arena's maps and scratch.
    """

    title: str
    blocks: tuple[Block, ...]
    steps: tuple[str, ...]
    num_bytes: int

    @property
    def peak_step(self) -> int:
        """The step in which most bytes are taken."""
        held = [sum(b.num_bytes for b in self.blocks if b.first <= s <= b.last) for s in range(len(self.steps))]
        return max(range(len(held)), key=held.__getitem__)

    def drawn(self, top: int) -> list[Drawn]:
        """The blocks in a picture of PLOT whose upper edge is at `top` bytes."""
        left, upper, width, height = PLOT
        step, drawn = width / len(self.steps), []
        for b in self.blocks:
            w, h = (b.last - b.first + 1) * step, b.num_bytes / top * height
            x, y = left + b.first * step, upper + height - (b.offset + b.num_bytes) / top * height
            label, is_upright = _label("scratch" if b.is_scratch else b.name, w, h)
            drawn.append(Drawn(b, round(x, 1), round(y, 1), round(w, 1), round(h, 1), label, is_upright))
        return drawn

    def as_dict(self) -> dict[str, Any]:
        """The fields in JSON's types."""
        blocks = [{k: v for k, v in dataclasses.asdict(b).items() if k != "colour"} for b in self.blocks]
        return {"num_bytes": self.num_bytes, "steps": list(self.steps), "blocks": blocks}


def _label(name: str, width: float, height: float) -> tuple[str, bool]:
    """What of a name a rectangle holds, and whether it stands upright there."""
    across, upwards = (int((side - 8) / _LETTER) for side in (width, height))
    if height > _LINE and across >= min(len(name), _LEAST_LETTERS):
        return (name if len(name) <= across else name[: across - 1] + "…"), False
    if width > _LINE and upwards >= min(len(name), _LEAST_LETTERS):
        return (name if len(name) <= upwards else name[: upwards - 1] + "…"), True
    return "", False


def arena_picture(graph: ModelGraph, title: str, colours: Mapping[str, int]) -> ArenaPicture:
    """The arena as TFLM lays the model out with the reference kernels.

    Args:
      graph: the model.
      title: of the picture.
      colours: tensor name -> its colour's number.

    Raises:
      UnsupportedModelError: an op whose bytes are not known.
    """
    plan = tflm_plan(graph)
    ops = layers_of_ops(graph, range(len(graph.ops)))
    steps = ("input", *(f"{op.kind.removeprefix(PREFIX)} {name}" for op, name in zip(graph.ops, ops, strict=True)))
    blocks = []
    for b in plan.buffers:
        if b.last < b.first or not b.num_bytes:
            continue
        tensors = [graph.tensors[t] for t in b.tensors]
        name = " = ".join(dict.fromkeys(layer_of(graph, t) for t in tensors)) if tensors else ""
        colour = colours.get(tensors[0].name.removesuffix("/packed"), 0) % NUM_COLOURS if tensors else 0
        shown = name or f"scratch of {ops[b.first - 1]}"
        blocks.append(Block(shown, not tensors, b.first, b.last, b.offset, b.num_bytes, colour))
    return ArenaPicture(title, tuple(sorted(blocks, key=lambda b: (b.first, b.offset))), steps, plan.arena_bytes)
