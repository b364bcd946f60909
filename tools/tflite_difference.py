"""Says in what two `.tflite` files of one network differ: the first tensor in the order of execution, and what of it.

    python -m tools.tflite_difference A.tflite B.tflite

Out: sentences; exit code 1 where a tensor, an op or its options differ. Files may differ beside these: in the order of
tensors and buffers, in names of signatures, in versions that are written down.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence

import numpy as np

from tflm_quantmcu.graph.types import Op, Tensor
from tflm_quantmcu.tflite.model_file import ModelFile

SAME = "every tensor, op and option is the same"


def differences(first: ModelFile, second: ModelFile) -> list[str]:
    """A sentence an op or tensor that differs, those of an op's inputs before its outputs; none of equal networks."""
    found: list[str] = []
    for op, other in zip(first.graph.ops, second.graph.ops, strict=False):
        if what := _of_op(op, other):
            return [*found, f"op {op.index}, {op.kind}: {what}"]
    for op, tensor, other_tensor in _paired(first, second):
        place = f"op {op.index}, {op.kind}, '{tensor.label}'"
        found += [f"{place}: {what}" for what in _of_tensor(tensor, other_tensor)]
    if len(first.graph.ops) != len(second.graph.ops):
        found.append(f"{len(first.graph.ops)} ops and {len(second.graph.ops)}")
    return found


def beside(first: ModelFile, second: ModelFile) -> list[str]:
    """Sentences on what may differ in files of the same network, and does."""
    found = []
    names = [(tensor.name, other.name) for _, tensor, other in _paired(first, second)]
    others = [pair for pair in names if pair[0] != pair[1]]
    if others:
        found.append(f"names of {len(others)} of {len(names)} tensors, first '{others[0][0]}' and '{others[0][1]}'")
    trees = first.tree, second.tree
    entries = [[_text(entry.name) for entry in tree.metadata or []] for tree in trees]
    contents = [[bytes(tree.buffers[entry.buffer].data) for entry in tree.metadata or []] for tree in trees]
    if entries[0] != entries[1]:
        found.append(f"metadata: {', '.join(entries[0]) or 'none'} and {', '.join(entries[1]) or 'none'}")
    else:
        found += [f"metadata {n}: other bytes" for n, a, b in zip(entries[0], *contents, strict=True) if a != b]
    sides = [
        {
            "description": _text(tree.description),
            "versions of ops": sorted((code.builtinCode, code.version) for code in tree.operatorCodes),
            "buffers": len(tree.buffers),
            "bytes": len(file.data),
        }
        for tree, file in zip(trees, (first, second), strict=True)
    ]
    pairs = zip(sides[0].items(), sides[1].values(), strict=True)
    return found + [f"{name}: {a} and {b}" for (name, a), b in pairs if a != b]


def _paired(first: ModelFile, second: ModelFile) -> Iterator[tuple[Op, Tensor, Tensor]]:
    """Tensors that stand in the same place, each once, with the first op that has it."""
    seen: set[int] = set()
    for op, other in zip(first.graph.ops, second.graph.ops, strict=False):
        for i, j in zip((*op.inputs, *op.outputs), (*other.inputs, *other.outputs), strict=False):
            if i >= 0 and j >= 0 and i not in seen:
                seen.add(i)
                yield op, first.graph.tensors[i], second.graph.tensors[j]


def _of_op(first: Op, second: Op) -> str:
    if first.kind != second.kind:
        return f"{first.kind} and {second.kind}"
    if len(first.inputs) != len(second.inputs) or len(first.outputs) != len(second.outputs):
        return "another number of inputs or outputs"
    options = [
        (op.window, op.activation, op.pads, op.axis, dict(op.options), op.custom_options) for op in (first, second)
    ]
    return "" if options[0] == options[1] else f"options {options[0]} and {options[1]}"


def _of_tensor(first: Tensor, second: Tensor) -> Iterator[str]:
    for name in ("shape", "dtype", "quantized_dimension", "zero_points"):
        a, b = (getattr(tensor, name) for tensor in (first, second))
        if a != b:
            yield f"{name.replace('_', ' ')} {a} and {b}"
    scales = [np.asarray(tensor.scales, np.float32) for tensor in (first, second)]
    if scales[0].shape != scales[1].shape:
        yield f"{len(scales[0])} scales and {len(scales[1])}"
    elif np.any(scales[0] != scales[1]):
        at = int(np.argmax(scales[0] != scales[1]))
        steps = abs(int(scales[0][at].view(np.int32)) - int(scales[1][at].view(np.int32)))
        yield (
            f"scale {scales[0][at]:.9g} and {scales[1][at]:.9g}, {steps} of float32's steps apart "
            f"({np.count_nonzero(scales[0] != scales[1])} of {len(scales[0])} scales differ)"
        )
    if first.data is not None and second.data is not None and first.shape == second.shape:
        unequal = first.data != second.data
        if np.any(unequal):
            by = np.abs(first.data.astype(np.int64) - second.data.astype(np.int64)).max()
            yield f"{np.count_nonzero(unequal)} of {unequal.size} values differ, by at most {by}"
    elif (first.data is None) != (second.data is None):
        yield "constant in one of them"


def _text(name: bytes | str | None) -> str:
    return name.decode("utf-8", "replace") if isinstance(name, bytes) else name or ""


def main(arguments: Sequence[str]) -> int:
    first, second = (ModelFile.of(path) for path in arguments)
    found = differences(first, second)
    print("\n".join(found or [SAME]))
    print("\n".join(beside(first, second)))
    return int(bool(found))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
