"""What a patch stage's options say to people, who see them as attributes in Netron: its layers, ops, bits and tiles.

In: a stage's program and its layers' names. Out: keys of its options (docs/format.md F3) that no kernel reads.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from tflm_quantmcu.graph.types import Window
from tflm_quantmcu.stage.geometry import StageOp
from tflm_quantmcu.stage.program import StageProgram


def remarks_of(program: StageProgram, layers: Sequence[str]) -> dict[str, Any]:
    """The keys.

    Args:
      program: the stage.
      layers: a name an op.
    """
    rows = [f"{layer}: {op_text(program, op)}" for op, layer in zip(program.ops, layers, strict=True)]
    return {"ops": rows, "tile_grid": f"{len(program.patch_classes)}x{len(program.patch_classes[0])}"}


def layers_of(options: Mapping[str, Any]) -> list[str]:
    """The layer of each op, or [] where the options tell none."""
    return [str(row).rpartition(": ")[0] for row in options.get("ops", ())]


def op_text(program: StageProgram, op: StageOp) -> str:
    """Kind, window, bits of the weights, and of the output's bits those of each class."""
    bits = dict.fromkeys(f"a{formats[op.output].bits}" for formats in program.formats)
    weights = [f"w{op.weight_bits}"] if op.weight_bits else []
    window = [] if op.window == Window() else [window_text(op.window)]
    return " ".join([op.kind, *window, "|".join(bits), *weights])


def window_text(window: Window) -> str:
    """`3x3/2`: kernel, and strides where they are not 1."""
    strides = (window.stride_height, window.stride_width)
    text = f"{window.kernel_height}x{window.kernel_width}"
    if strides == (1, 1):
        return text
    return f"{text}/{strides[0]}" if strides[0] == strides[1] else f"{text}/{strides[0]}x{strides[1]}"
