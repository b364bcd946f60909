"""A patch stage in a sentence: ops, patches, classes and scratch."""

from __future__ import annotations

from tflm_quantmcu.graph.precision_plan import CHOSEN_AT_RUN_TIME, OutlierRule
from tflm_quantmcu.stage.program import StageProgram
from tflm_quantmcu.tflite.streaming import describe_requests


def describe_stage(number: int, program: StageProgram) -> str:
    """One sentence: ops, patches, classes and scratch of a stage; BitOPs are those of the worst case."""
    rows, cols = len(program.patch_classes), len(program.patch_classes[0])
    fixed = [k for _, _, k in program.patches() if k != CHOSEN_AT_RUN_TIME]
    num_chosen = rows * cols - len(fixed)
    details = []
    for k, formats in enumerate(program.formats):
        bits = "/".join(str(f.bits) for f in formats)
        least = fixed.count(k)
        count = f"{least} to {least + num_chosen}" if num_chosen and k < 2 else f"{least}"
        details.append(f"class {k}: {count} patches, map bits {bits}")
    if num_chosen:
        details.append(f"{num_chosen} patches have their class chosen at run time: {describe_rule(program.outliers)}")
    if program.is_streamed:
        details.append(describe_requests(program))
    return (
        f"stage {number}: {len(program.ops)} ops in {rows}x{cols} patches of "
        f"{program.tile_height}x{program.tile_width}, {program.scratch_bytes:,} bytes of scratch, "
        f"{'at least ' if num_chosen else ''}{64 * program.cost.macs / max(program.cost.bit_ops, 1):.2f}x fewer BitOPs "
        f"than with all maps and weights at 8 bits; {'; '.join(details)}"
    )


def describe_rule(rule: OutlierRule) -> str:
    """How a class is chosen at run time."""
    share = f"{rule.share / (1 << 16):.2%}"
    return f"0 if more than {share} of the input's values are outside [{rule.low}, {rule.high}], else 1"
