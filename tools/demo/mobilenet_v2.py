"""`make picture`: one network that no microcontroller holds, and the arena it takes here, in one picture.

    python -m tools.demo.mobilenet_v2             # writes docs/mobilenet_v2.svg and prints its table
    python -m tools.demo.mobilenet_v2 --check     # exit code 1 if the picture shows other figures

MobileNetV2-1.0 at 224x224 with random weights (bytes do not depend on them), int8 by TFLiteConverter, is split at 8
bits for a Cortex-M4 and a Cortex-M55, with the input in the arena and streamed. Every version runs on the real TFLM of
this host and equals the unsplit network in every byte, or nothing is written. About three minutes.
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import rich.box
import rich.console
import rich.table

import tflm_quantmcu as qm
from experiments.networks import mobilenet_v2

PICTURE = Path(__file__).resolve().parents[2] / "docs" / "mobilenet_v2.svg"
CORES = ("cortex-m4", "cortex-m55")
INPUTS = (("", "resident"), (", input streamed", "streamed"))
NUM_SAMPLES = 4
LARGEST_SRAM = 512 * 1024  # bytes of the largest parts that this project speaks of

# Pixels.
_WIDTH, _LEFT, _RIGHT, _TOP, _BAR, _GAP, _GROUP = 860, 190, 180, 64, 22, 8, 26
_STYLE = """
  svg { font-family: system-ui, sans-serif; background: #fff }
  text { font-size: 12px; fill: #33475f } .title { font-size: 15px; font-weight: 600; fill: #12263f }
  .value { paint-order: stroke; stroke: #fff; stroke-width: 5px }
  .stock { fill: #b4bfcc } .ours { fill: #2f6fb5 } .limit { stroke: #a8650f; stroke-dasharray: 5 4 }
  .part { fill: #a8650f }
  @media (prefers-color-scheme: dark) {
    svg { background: #11161d } .value { stroke: #11161d }
    text { fill: #b7c4d3 } .title { fill: #e8eef6 }
    .stock { fill: #4a5768 } .ours { fill: #7fb0e6 } .limit { stroke: #e0a458 } .part { fill: #e0a458 }
  }"""


@dataclasses.dataclass(frozen=True)
class Bar:
    """One version on one core.

    Attributes:
      core: `cortex-m4`, ...
      name: `stock TFLM`, or how it was split.
      arena_bytes: of tensor arena to reserve there.
      slowdown: estimated cycles over those of the unsplit network on our kernels.
    """

    core: str
    name: str
    arena_bytes: int
    slowdown: float | None = None


def measure(model: bytes) -> Iterator[Bar]:
    """The bars of an int8 `.tflite`, in the picture's order.

    Raises:
      RuntimeError: a split network gives other bytes than the unsplit one.
    """
    stock = qm.Interpreter(model)
    x = np.random.default_rng(0).integers(-128, 128, (NUM_SAMPLES, *stock.inputs[0].shape[1:]), np.int8)
    expected = stock.predict(x)
    for core in CORES:
        for name, layout in INPUTS:
            result = qm.convert(model, search="uniform", core=core, input=layout)
            if not np.array_equal(qm.Interpreter(result.model).predict(x), expected):
                raise RuntimeError(f"split for {core}{name} the network gives other bytes than unsplit")
            figures = result.report.as_dict()
            if not name:
                yield Bar(core, "stock TFLM", figures["before"]["arena_bytes"])
            slowdown = figures["after"]["cycles"] / figures["before"]["cycles"]
            yield Bar(core, f"split, 8 bits{name}", figures["after"]["arena_bytes"], slowdown)


def draw(bars: Sequence[Bar]) -> str:
    """The picture, always the same for the same bars."""
    scale = (_WIDTH - _LEFT - _RIGHT) / max(bar.arena_bytes for bar in bars)
    body, y, core = [], _TOP, ""
    for bar in bars:
        y += _GROUP if core not in ("", bar.core) else 0
        if bar.core != core:
            core = bar.core
            body.append(f'<text class="title" x="16" y="{y + 15}">{core.title()}</text>')
            y += _BAR
        body.append(_bar(bar, y, scale))
        y += _BAR + _GAP
    x = round(_LEFT + LARGEST_SRAM * scale)
    limit = (
        f'<line class="limit" x1="{x}" y1="{_TOP - 8}" x2="{x}" y2="{y}"/>'
        f'<text class="part" x="{x + 6}" y="{_TOP + 4}">512 KB of SRAM</text>'
    )
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {y + 12}" role="img">',
            "<title>Tensor arena of MobileNetV2-1.0 at 224x224: stock TFLM against the split network</title>",
            f"<style>{_STYLE}\n</style>",
            '<text class="title" x="16" y="26">MobileNetV2-1.0 at 224x224, int8: tensor arena to reserve</text>',
            '<text x="16" y="44">The same output in every byte, on the real TFLM</text>',
            limit,
            *body,
            "</svg>\n",
        ]
    )


def _bar(bar: Bar, y: int, scale: float) -> str:
    length, kind = round(bar.arena_bytes * scale), "ours" if bar.slowdown else "stock"
    value = f"{bar.arena_bytes:,} bytes{_cycles(bar, ', ')}"
    return (
        f'<text x="16" y="{y + 15}">{bar.name}</text>'
        f'<rect class="{kind}" x="{_LEFT}" y="{y}" width="{length}" height="{_BAR}" rx="2"/>'
        f'<text class="value" x="{_LEFT + length + 8}" y="{y + 15}">{value}</text>'
    )


def _cycles(bar: Bar, before: str = "") -> str:
    return f"{before}{bar.slowdown:.2f} x cycles" if bar.slowdown else ""


def _show(bars: Sequence[Bar]) -> None:
    table = rich.table.Table(box=rich.box.SIMPLE_HEAD, title="MobileNetV2-1.0 at 224x224: the arena to reserve")
    for heading in ("core", "version", "bytes", "of the unsplit network's cycles, estimated"):
        table.add_column(heading, justify="left" if heading in ("core", "version") else "right")
    for bar in bars:
        table.add_row(bar.core, bar.name, f"{bar.arena_bytes:,}", _cycles(bar))
    rich.console.Console(width=100).print(table)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--check", action="store_true", help="compare with docs/mobilenet_v2.svg, write nothing")
    arguments = parser.parse_args()
    bars = list(measure(mobilenet_v2(1.0, 224)))
    _show(bars)
    if not arguments.check:
        PICTURE.write_text(draw(bars), "utf-8")
        print(f"every version equals the unsplit network in every byte on {NUM_SAMPLES} inputs; drawn: {PICTURE.name}")
    elif PICTURE.read_text("utf-8") != draw(bars):
        sys.exit("docs/mobilenet_v2.svg shows other figures: run `make picture`")


if __name__ == "__main__":
    main()
