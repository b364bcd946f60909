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
    graphs = first.graph, second.graph
    seen: set[int] = set()
    for ours, theirs in zip(graphs[0].ops, graphs[1].ops, strict=False):
        place = f"op {ours.index}, {ours.kind}"
        if what := _of_op(ours, theirs):
            return [*found, f"{place}: {what}"]
        pairs = zip((*ours.inputs, *ours.outputs), (*theirs.inputs, *theirs.outputs), strict=True)
        for i, j in pairs:
            if i < 0 or j < 0 or i in seen:
                continue
            seen.add(i)
            tensor = graphs[0].tensors[i]
            found += [f"{place}, '{tensor.label}': {what}" for what in _of_tensor(tensor, graphs[1].tensors[j])]
    if len(graphs[0].ops) != len(graphs[1].ops):
        found.append(f"{len(graphs[0].ops)} ops and {len(graphs[1].ops)}")
    return found


def beside(first: ModelFile, second: ModelFile) -> list[str]:
    """Sentences on what may differ in files of the same network, and does."""
    trees = first.tree, second.tree
    sides = [
        {
            "description": _text(tree.description),
            "metadata": [(_text(entry.name), bytes(tree.buffers[entry.buffer].data)) for entry in tree.metadata or []],
            "versions of ops": [(code.builtinCode, code.version) for code in tree.operatorCodes],
            "order of tensors": [_text(tensor.name) for tensor in tree.subgraphs[0].tensors],
            "number of buffers": len(tree.buffers),
            "signatures": [_text(signature.signatureKey) for signature in tree.signatureDefs or []],
            "bytes of the file": len(file.data),
        }
        for tree, file in zip(trees, (first, second), strict=True)
    ]
    return [f"{name}: {a} and {b}" for (name, a), b in zip(sides[0].items(), sides[1].values(), strict=True) if a != b]


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
